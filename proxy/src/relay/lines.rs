//! The header lines of an answer, in their order.
//!
//! They are looked up once or twice and written once: hashing each name into a map, as a request's are, would cost more than all of
//! that.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Vec<(HeaderName, HeaderValue)>);

impl Lines {
    /// None yet, and room for this many.
    pub(crate) fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    /// Adds a line behind the others.
    pub(crate) fn push(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// The values of every line of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of the first line of this name.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of the first line whose name is this text, in lower case.
    pub(crate) fn named(&self, name: &str) -> Option<&HeaderValue> {
        self.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value)
    }

    /// Keeps the lines whose names are to stay.
    pub(crate) fn retain(&mut self, stays: impl Fn(&HeaderName) -> bool) {
        self.0.retain(|(name, _)| stays(name));
    }

    /// Gives lines other values.
    pub(crate) fn replace(&mut self, other: impl Fn(&HeaderValue) -> Option<HeaderValue>) {
        for (_, value) in &mut self.0 {
            if let Some(other) = other(value) {
                *value = other;
            }
        }
    }

    /// Every line.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl From<&HeaderMap> for Lines {
    fn from(map: &HeaderMap) -> Self {
        Self(map.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl From<Lines> for HeaderMap {
    fn from(lines: Lines) -> Self {
        let mut map = Self::with_capacity(lines.0.len());
        for (name, value) in lines.0 {
            map.append(name, value);
        }
        map
    }
}
