//! How much server-side state a request depends on, and what a reading makes of it.

use std::fmt;

/// How much server-side state a request depends on or creates. Ordered: the highest signal wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Grade {
    /// Self-contained, leaves nothing behind.
    Pure,
    /// Only asks for a performance cache.
    Cached,
    /// Carries a blob that only its issuer can open; the server stores nothing.
    Sealed,
    /// Reads no earlier state but leaves retrievable state.
    Creates,
    /// Cites state that an endpoint holds.
    Continues,
    /// Holds state on one socket or stream.
    Connection,
    /// Runs in a managed runtime with memory, tools and identity.
    Runtime,
    /// Cannot be read: an unrecognised surface, or a body that is not what its surface takes.
    Unknown,
}

impl Grade {
    /// Every grade, lowest first.
    pub const ALL: [Self; 8] = [
        Self::Pure,
        Self::Cached,
        Self::Sealed,
        Self::Creates,
        Self::Continues,
        Self::Connection,
        Self::Runtime,
        Self::Unknown,
    ];

    /// The word for it in configuration, headers, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Cached => "cached",
            Self::Sealed => "sealed",
            Self::Creates => "creates",
            Self::Continues => "continues",
            Self::Connection => "connection",
            Self::Runtime => "runtime",
            Self::Unknown => "unknown",
        }
    }

    /// The grade that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.as_str() == word)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a grade is under a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Below the reading's `stateful_from`.
    Stateless,
    /// At or above it.
    Stateful,
}

impl Class {
    /// The word for it in configuration, headers, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stateless => "stateless",
            Self::Stateful => "stateful",
        }
    }

    /// The one that it is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Stateless => Self::Stateful,
            Self::Stateful => Self::Stateless,
        }
    }

    /// The class that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Stateless, Self::Stateful].into_iter().find(|class| class.as_str() == word)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
