//! What is sent: shapes of traffic and their weights, and the recipe of each request, from which its body can be made
//! again, byte for byte, with any model's name in it.

use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Value, json};

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

/// Shapes with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Shape, u32)>);

impl Mix {
    /// A mix of these; shapes of weight 0 never arrive. At least one weight must be positive.
    pub fn new(weights: impl IntoIterator<Item = (Shape, u32)>) -> Option<Mix> {
        let weights: Vec<_> = weights.into_iter().filter(|(_, weight)| *weight > 0).collect();
        (!weights.is_empty()).then_some(Mix(weights))
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> Shape {
        let total: u64 = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = dice.next() % total;
        for (shape, weight) in &self.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *shape,
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }
}

impl Default for Mix {
    /// Mostly stateless, with every kind of state: `chat=4,chat-stream=4,embeddings=2,response=2,chain=1,chain-stream=1`.
    /// No conversations, because not every cloud has them.
    fn default() -> Self {
        use Shape::{Chain, ChainStream, Chat, ChatStream, Embeddings, Response};
        Mix(vec![(Chat, 4), (ChatStream, 4), (Embeddings, 2), (Response, 2), (Chain, 1), (ChainStream, 1)])
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = |pair: &str| {
            let (name, weight) = pair.split_once('=').unwrap_or((pair, "1"));
            let shape = Shape::ALL.into_iter().find(|shape| shape.name() == name.trim());
            let shape = shape.ok_or_else(|| format!("no such shape: {name:?}"))?;
            let weight =
                weight.trim().parse::<u32>().map_err(|error| format!("weight of {name}: {error}"))?;
            Ok::<_, String>((shape, weight))
        };
        let weights = text.split(',').map(pair).collect::<Result<Vec<_>, _>>()?;
        Mix::new(weights).ok_or_else(|| "at least one weight must be positive".to_owned())
    }
}

/// What one request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// POST chat completions.
    Chat {
        /// With `stream: true`.
        stream: bool,
    },
    /// POST embeddings.
    Embeddings,
    /// POST responses.
    Response {
        /// With `stream: true`.
        stream: bool,
        /// With `store: false` if not; absent, which means true, if so.
        store: bool,
        /// `previous_response_id`.
        previous: Option<String>,
        /// `conversation`.
        conversation: Option<String>,
    },
    /// POST conversations.
    NewConversation,
}

/// One request: everything that its bytes are made from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The behaviour that it is part of.
    pub shape: Shape,
    /// What it does.
    pub step: Step,
    /// 1 for the first request of its shape.
    pub turn: u32,
    /// Unique; see [`crate::cloud::NONCE_HEADER`].
    pub nonce: String,
    /// The model that the client asks for; none for steps without one.
    pub model: Option<String>,
    /// Extra bytes of text in the body, about.
    pub padding_bytes: usize,
}

impl Recipe {
    /// Path below the base URL.
    pub fn path(&self) -> &'static str {
        match self.step {
            Step::Chat { .. } => "/chat/completions",
            Step::Embeddings => "/embeddings",
            Step::Response { .. } => "/responses",
            Step::NewConversation => "/conversations",
        }
    }

    /// It asks for a stream.
    pub fn streams(&self) -> bool {
        matches!(self.step, Step::Chat { stream: true } | Step::Response { stream: true, .. })
    }

    /// It cites state, by the simple reading: `previous_response_id` or `conversation`.
    pub fn cites(&self) -> bool {
        matches!(
            &self.step,
            Step::Response { previous: Some(_), .. } | Step::Response { conversation: Some(_), .. }
        )
    }

    /// It leaves state behind and cites none.
    pub fn creates(&self) -> bool {
        matches!(self.step, Step::NewConversation | Step::Response { store: true, .. }) && !self.cites()
    }

    /// The body that the client sends, or would send if its model were `model`.
    /// Where the model's name stands (first or last) and how the text is escaped differ from nonce to nonce.
    pub fn body(&self, model: Option<&str>) -> Bytes {
        let mut dice = Dice::new(
            self.nonce.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
        );
        let model_last = dice.next().is_multiple_of(2);
        let text = format!("{} {}", self.nonce, padding(self.padding_bytes, &mut dice));
        let mut fields = self.fields(&text);
        if let Some(model) = model {
            let field = ("model", Value::from(model));
            fields.insert(if model_last { fields.len() } else { 0 }, field);
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", ")).into()
    }

    fn fields(&self, text: &str) -> Vec<(&'static str, Value)> {
        match &self.step {
            Step::Chat { stream } => {
                let mut fields = vec![("messages", json!([{"role": "user", "content": text}]))];
                if *stream {
                    fields.push(("stream", true.into()));
                    fields.push(("stream_options", json!({"include_usage": true})));
                }
                fields
            }
            // A short vector: the test is of the way there, not of the size of the answer.
            Step::Embeddings => vec![("input", text.into()), ("dimensions", 8.into())],
            Step::Response { stream, store, previous, conversation } => {
                let mut fields = vec![("input", text.into())];
                if *stream {
                    fields.push(("stream", true.into()));
                }
                if !store {
                    fields.push(("store", false.into()));
                }
                fields.extend(previous.as_ref().map(|id| ("previous_response_id", id.as_str().into())));
                fields.extend(conversation.as_ref().map(|id| ("conversation", id.as_str().into())));
                fields
            }
            Step::NewConversation => vec![("metadata", json!({"nonce": self.nonce}))],
        }
    }
}

/// Text that a scanner can trip over: quotes, escapes, braces, words that are field names, letters of several bytes.
fn padding(bytes: usize, dice: &mut Dice) -> String {
    const WORDS: [&str; 8] = [
        "plain ",
        "\"model\": \"x\" ",
        "\\\" ",
        "{[}] ",
        "é水🜁 ",
        "previous_response_id ",
        "\n\t",
        "lorem ipsum dolor ",
    ];
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        // Mostly plain, as prompts are.
        let word = if dice.next().is_multiple_of(4) { WORDS[pick(dice, WORDS.len())] } else { WORDS[7] };
        text.push_str(word);
    }
    text
}

fn pick(dice: &mut Dice, below: usize) -> usize {
    usize::try_from(dice.next() % below as u64).expect("below a usize")
}

/// A small generator (SplitMix64): the same seed gives the same test.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An exponentially distributed gap between arrivals, in seconds: what makes them independent of each other.
    pub(crate) fn gap_seconds(&mut self, rate: f64) -> f64 {
        // 53 random bits make a double in (0, 1].
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_made_again_with_another_model_only() {
        for nonce in ["nonce-0000000000000001", "nonce-0000000000000002", "nonce-0000000000000003"] {
            let recipe = Recipe {
                shape: Shape::Chain,
                step: Step::Response {
                    stream: true,
                    store: true,
                    previous: Some("resp_1".into()),
                    conversation: None,
                },
                turn: 2,
                nonce: nonce.to_owned(),
                model: Some("gpt-5.5".to_owned()),
                padding_bytes: 500,
            };
            let body = String::from_utf8(recipe.body(Some("gpt-5.5")).to_vec()).expect("JSON is text");
            let other = recipe.body(Some("gpt55-prod"));
            assert_eq!(
                body.replacen("\"model\": \"gpt-5.5\"", "\"model\": \"gpt55-prod\"", 1).as_bytes(),
                other
            );
            let value: Value = serde_json::from_str(&body).expect("a body is JSON");
            assert_eq!(value["previous_response_id"], "resp_1");
        }
    }

    #[test]
    fn mixes_parse() {
        assert_eq!("chat=2, chain".parse::<Mix>(), Ok(Mix(vec![(Shape::Chat, 2), (Shape::Chain, 1)])));
        for text in ["", "chat=0", "chat=x", "tea"] {
            assert!(text.parse::<Mix>().is_err(), "{text:?} is no mix");
        }
    }

    #[test]
    fn gaps_average_out() {
        let mut dice = Dice::new(1);
        let sum: f64 = (0..10_000).map(|_| dice.gap_seconds(100.0)).sum();
        assert!((90.0..110.0).contains(&sum), "10,000 arrivals at 100 a second took {sum} s");
    }
}
