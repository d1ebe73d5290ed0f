//! Why an event stream is broken. Never the bytes themselves.

use std::fmt;

/// Why a message cannot be read. The same stream gives the same error however it was cut. Always the endpoint's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The checksum of the two lengths is wrong: most likely this is no event stream.
    PreludeChecksum,
    /// The lengths contradict each other, or are over [`HEADERS_BYTES_MAX`](super::HEADERS_BYTES_MAX) or
    /// [`PAYLOAD_BYTES_MAX`](super::PAYLOAD_BYTES_MAX).
    Length,
    /// The headers do not fill their length, or one has no name or an unknown type.
    Headers,
    /// A header of [`Labels`](super::Labels) is no text, comes twice, or is over
    /// [`LABEL_BYTES_MAX`](super::LABEL_BYTES_MAX).
    Label,
    /// The checksum at the message's end is wrong.
    MessageChecksum,
    /// The stream ends within a message.
    Truncated,
}

impl FrameError {
    /// A short word that stays the same from version to version, for metrics and tests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PreludeChecksum => "prelude-checksum",
            Self::Length => "length",
            Self::Headers => "headers",
            Self::Label => "label",
            Self::MessageChecksum => "message-checksum",
            Self::Truncated => "truncated",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreludeChecksum => "a message's lengths have a wrong checksum",
            Self::Length => "a message has impossible lengths",
            Self::Headers => "a message has malformed headers",
            Self::Label => "a message's type is no short text, or is given twice",
            Self::MessageChecksum => "a message has a wrong checksum",
            Self::Truncated => "the stream ends within a message",
        })
    }
}

impl std::error::Error for FrameError {}
