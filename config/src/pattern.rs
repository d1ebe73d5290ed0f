//! Names with an optional `*` at the end: all that a contract needs, and what a table can be compiled from.

use std::fmt;

/// Matches one name exactly, or every name that begins with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// This name and no other.
    Exact(String),
    /// Every name that begins so; `*` alone is the empty prefix.
    Prefix(String),
}

impl Pattern {
    /// Reads `text`: a `*` may stand at the end and nowhere else.
    ///
    /// Returns `None` when a `*` stands elsewhere, or the text is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (body, prefix) = match text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (text, false),
        };
        if body.contains('*') || (body.is_empty() && !prefix) {
            return None;
        }
        Some(if prefix { Self::Prefix(body.to_owned()) } else { Self::Exact(body.to_owned()) })
    }

    /// Whether `name` is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}
