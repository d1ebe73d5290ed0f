//! How answers tell of tokens: data of the surfaces, like births.

use crate::name::UsageName;
use crate::surface::{Pointer, Source};

/// A way in which answers tell of tokens: where the counts stand, and what they add up to.
///
/// Vendors count differently: with one the input includes what was read from a cache, with another that stands beside it. So each of
/// the five is a list of counts whose sum it is.
#[derive(Clone, Debug)]
pub struct UsageShape {
    /// Unique over all files.
    pub name: UsageName,
    /// Where the counts' object is in a JSON answer. A later place adds to what an earlier one said, and what both say is taken from
    /// the later one in time: counts are cumulative.
    pub json: Vec<Pointer>,
    /// In the data of a server-sent event.
    pub sse: Vec<Pointer>,
    /// In the JSON payload of an event of an AWS event stream.
    pub event: Vec<Pointer>,
    /// In a message that a socket's server sends. Messages add up.
    pub socket: Vec<Pointer>,
    /// Each event tells of a call of its own, so that events add up.
    pub adds: bool,
    /// Below that object, or in the answer's head: all tokens of the input, those read from and written to a cache included.
    pub input: Vec<Source>,
    /// Those of the input that were read from a cache.
    pub cached: Vec<Source>,
    /// Those of the input that were written to a cache.
    pub cache_write: Vec<Source>,
    /// All tokens of the output, reasoning included.
    pub output: Vec<Source>,
    /// Those of the output that were reasoning.
    pub reasoning: Vec<Source>,
}
