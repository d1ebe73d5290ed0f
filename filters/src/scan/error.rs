//! Why a body is refused. Never the bytes themselves: a body may hold a prompt.

use std::fmt;

/// Why a body cannot be read. Offsets count bytes from the start of the body.
///
/// The same body gives the same error however it was cut into chunks. Always the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanError {
    /// It breaks RFC 8259's grammar.
    Malformed {
        /// The byte that cannot be there.
        at: u64,
        /// What is wrong, in a few words.
        what: &'static str,
    },
    /// It ends before the root object does.
    Truncated {
        /// Its length.
        at: u64,
    },
    /// There is nothing in it but white space.
    Empty,
    /// The root is some other JSON value.
    RootNotObject {
        /// Where the root begins.
        at: u64,
    },
    /// Something other than white space comes after the root.
    TrailingBytes {
        /// The first such byte.
        at: u64,
    },
    /// A byte sequence that is not UTF-8, or is cut off by the end.
    InvalidUtf8 {
        /// The first byte of the sequence.
        at: u64,
    },
    /// More than [`DEPTH_MAX`](super::DEPTH_MAX) objects and arrays within each other.
    TooDeep {
        /// The bracket that is one too many.
        at: u64,
    },
    /// A key comes twice in an object that the decision reads, escapes undone: parsers disagree on which one wins.
    DuplicateKey {
        /// The quote before the second one.
        at: u64,
    },
    /// More than [`KEYS_MAX`](super::KEYS_MAX) keys in an object that the decision reads.
    TooManyKeys {
        /// The quote before the key that is one too many.
        at: u64,
    },
    /// Half of a surrogate pair in a key, or in a value that the decision takes: parsers disagree on what it stands for.
    LoneSurrogate {
        /// The backslash of its escape.
        at: u64,
    },
    /// `model` is a number, a bool, an object or an array.
    ModelNotString {
        /// Where the value begins.
        at: u64,
    },
    /// `model` is over [`MODEL_BYTES_MAX`](super::MODEL_BYTES_MAX).
    ModelTooLong {
        /// The quote before it.
        at: u64,
    },
    /// A handle is over [`HANDLE_BYTES_MAX`](super::HANDLE_BYTES_MAX).
    HandleTooLong {
        /// The quote before it.
        at: u64,
    },
    /// More than [`HANDLES_MAX`](super::HANDLES_MAX) different handles.
    TooManyHandles {
        /// The quote before the handle that is one too many, or the end of the object that it is alone in.
        at: u64,
    },
}

impl ScanError {
    /// A short word that stays the same from version to version, for metrics and tests.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Truncated { .. } => "truncated",
            Self::Empty => "empty",
            Self::RootNotObject { .. } => "root_not_object",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::TooDeep { .. } => "too_deep",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::TooManyKeys { .. } => "too_many_keys",
            Self::LoneSurrogate { .. } => "lone_surrogate",
            Self::ModelNotString { .. } => "model_not_string",
            Self::ModelTooLong { .. } => "model_too_long",
            Self::HandleTooLong { .. } => "handle_too_long",
            Self::TooManyHandles { .. } => "too_many_handles",
        }
    }

    /// The place, in bytes from the start of the body; 0 for a body with nothing in it.
    #[must_use]
    pub fn at(&self) -> u64 {
        match *self {
            Self::Empty => 0,
            Self::Malformed { at, .. }
            | Self::Truncated { at }
            | Self::RootNotObject { at }
            | Self::TrailingBytes { at }
            | Self::InvalidUtf8 { at }
            | Self::TooDeep { at }
            | Self::DuplicateKey { at }
            | Self::TooManyKeys { at }
            | Self::LoneSurrogate { at }
            | Self::ModelNotString { at }
            | Self::ModelTooLong { at }
            | Self::HandleTooLong { at }
            | Self::TooManyHandles { at } => at,
        }
    }

    /// Could two parsers that both accept the body read different things in it?
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(
            self,
            Self::DuplicateKey { .. }
                | Self::LoneSurrogate { .. }
                | Self::InvalidUtf8 { .. }
                | Self::TrailingBytes { .. }
        )
    }

    /// Is it one of our limits, and not the JSON, that the body breaks?
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooDeep { .. }
                | Self::TooManyKeys { .. }
                | Self::ModelTooLong { .. }
                | Self::HandleTooLong { .. }
                | Self::TooManyHandles { .. }
        )
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Malformed { what, .. } => what,
            Self::Truncated { .. } => "the body ends before its object does",
            Self::Empty => return f.write_str("the body is empty"),
            Self::RootNotObject { .. } => "the body is not a JSON object",
            Self::TrailingBytes { .. } => "bytes after the end of the JSON object",
            Self::InvalidUtf8 { .. } => "invalid UTF-8",
            Self::TooDeep { .. } => "nested too deep",
            Self::DuplicateKey { .. } => "a key that the object already has",
            Self::TooManyKeys { .. } => "too many keys in one object",
            Self::LoneSurrogate { .. } => "half of a surrogate pair",
            Self::ModelNotString { .. } => "the model is not a string",
            Self::ModelTooLong { .. } => "the model's name is too long",
            Self::HandleTooLong { .. } => "an identifier is too long",
            Self::TooManyHandles { .. } => "too many different identifiers",
        };
        write!(f, "{what}, at byte {}", self.at())
    }
}

impl std::error::Error for ScanError {}
