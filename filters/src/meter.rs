//! Response bytes -> [`Usage`]: what an answer cost, in tokens.
//!
//! Where an answer says it, and how its counts add up to five that mean the same everywhere, is data of the surfaces
//! ([`UsageShape`](riparian_config::UsageShape)); the [`Learner`](crate::learn::Learner) finds the counts in the pass in which it finds
//! handles. Vendors count differently:
//!
//! | dialect | input | cached | written to a cache | output | reasoning |
//! |---|---|---|---|---|---|
//! | OpenAI chat, completions, embeddings | `prompt_tokens` | of which | of which | `completion_tokens` | of which |
//! | OpenAI responses, images, realtime | `input_tokens` | of which | of which | `output_tokens` | of which |
//! | Anthropic | `input_tokens` **+** cached **+** written | beside it | beside it | `output_tokens` | not told apart |
//! | Bedrock Converse and `InvokeModel` | `inputTokens` **+** cached **+** written | beside it | beside it | `outputTokens` | not told apart |
//! | Google `generateContent`, Live | `promptTokenCount` **+** tools' | of which | not told | candidates **+** thoughts | beside it |
//! | Google interactions | `total_input_tokens` **+** tools' | of which | not told | output **+** thoughts | beside it |
//!
//! What stands beside is added, so that [`Usage::input`] and [`Usage::output`] are always all of it, and the others are of which. Counts in
//! a stream are cumulative: the newest of each holds. What is not told is not known, and never estimated.

mod money;
mod needles;
mod shapes;

pub use money::{Drawdown, cost, price, share};
pub(crate) use needles::Needles;
pub(crate) use shapes::{Form, Shapes};

/// A count that is larger is no count of tokens: ten times the longest context that there is.
const COUNT_MAX: u64 = 100_000_000;

/// What an answer cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens of the input.
    pub input: u64,
    /// Those of the input that were read from a cache.
    pub cached: u64,
    /// Those of the input that were written to a cache.
    pub cache_write: u64,
    /// All tokens of the output.
    pub output: u64,
    /// Those of the output that were reasoning.
    pub reasoning: u64,
    /// The answer did not end whole: this is what had been said by then, and more may be billed.
    pub partial: bool,
}

impl Usage {
    /// The sum of both; partial when one of them is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            partial: self.partial || other.partial,
        }
    }

    /// Of the input, what was neither read from a cache nor written to one.
    #[must_use]
    pub fn fresh(&self) -> u64 {
        self.input.saturating_sub(self.cached).saturating_sub(self.cache_write)
    }

    /// Input and output together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// What one answer, or one socket's server, has told of tokens so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// The newest of each count, by its number.
    newest: Vec<Option<u64>>,
    /// What earlier messages of a socket cost, or earlier calls.
    before: Option<Usage>,
}

impl Meter {
    /// A count was found.
    pub(crate) fn count(&mut self, shapes: &Shapes, number: usize, count: u64) {
        if count > COUNT_MAX {
            return;
        }
        if self.newest.is_empty() {
            self.newest.resize(shapes.counts(), None);
        }
        self.newest[number] = Some(count);
    }

    /// An event or a message is over. Where they add up, the next one is of another call.
    pub(crate) fn over(&mut self, shapes: &Shapes, message: bool) {
        // Asked at the end of each event: nearly always there is nothing to do.
        if self.newest.is_empty() || !(message || shapes.some_add()) {
            return;
        }
        let Some((adds, usage)) = shapes.usage(&self.newest) else { return };
        if adds || message {
            self.before = Some(self.before.unwrap_or_default().and(usage));
            self.newest.clear();
        }
    }

    /// What is known now; `None` as long as nothing was told.
    pub(crate) fn usage(&self, shapes: &Shapes) -> Option<Usage> {
        match (self.before, shapes.usage(&self.newest)) {
            (Some(before), Some((_, usage))) => Some(before.and(usage)),
            (before, usage) => before.or(usage.map(|(_, usage)| usage)),
        }
    }
}
