//! What an arrival does, and how well its client behaves.

/// A kind of client behaviour. Each arrival of the plan is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// One plain chat completion.
    Chat,
    /// One streamed chat completion.
    ChatStream,
    /// One embeddings request.
    Embeddings,
    /// One response with `store: false`.
    Response,
    /// A chain of responses, each citing the one before.
    Chain,
    /// The same, streamed: the next turn starts as soon as the id has been read from the running stream.
    ChainStream,
    /// A conversation is created, then continued by responses.
    Conversation,
}

impl Shape {
    /// Every shape, in the order of the reports.
    pub const ALL: [Shape; 7] = [
        Shape::Chat,
        Shape::ChatStream,
        Shape::Embeddings,
        Shape::Response,
        Shape::Chain,
        Shape::ChainStream,
        Shape::Conversation,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Chat => "chat",
            Shape::ChatStream => "chat-stream",
            Shape::Embeddings => "embeddings",
            Shape::Response => "response",
            Shape::Chain => "chain",
            Shape::ChainStream => "chain-stream",
            Shape::Conversation => "conversation",
        }
    }
}

/// How a client behaves. Whatever becomes of a badly behaved one's own request is no failure, as long as nothing wrong
/// comes of it: for itself nothing that looks whole and is not, for others nothing at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manners {
    /// It sends at once, and reads as fast as it can.
    #[default]
    Good,
    /// It drips its body: 16 pieces over some 0.8 s.
    SlowSender,
    /// It takes 20 ms over each piece of the answer that it reads.
    SlowReader,
    /// It goes away after half of its body.
    VanishSending,
    /// It goes away after the first piece of the answer.
    VanishReading,
}

impl Manners {
    /// All of them, in the order of the reports.
    pub const ALL: [Manners; 5] = [
        Manners::Good,
        Manners::SlowSender,
        Manners::SlowReader,
        Manners::VanishSending,
        Manners::VanishReading,
    ];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Manners::Good => "good",
            Manners::SlowSender => "slow-sender",
            Manners::SlowReader => "slow-reader",
            Manners::VanishSending => "vanish-sending",
            Manners::VanishReading => "vanish-reading",
        }
    }
}
