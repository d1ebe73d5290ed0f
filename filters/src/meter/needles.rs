//! A glance at an event: can it tell of tokens at all?
//!
//! Hundreds of events of an answer tell of none, and one does. Only an event that has one of the keys in it, with more than null
//! behind, is read as JSON. A key that is spelt with escapes is not seen; no vendor writes one.

use memchr::memmem::Finder;

/// The keys to look for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needles(Vec<Finder<'static>>);

impl Needles {
    pub(crate) fn new(mut keys: Vec<String>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self(keys.iter().map(|key| Finder::new(&format!("\"{key}\"")).into_owned()).collect())
    }

    /// Whether `event` has one of the keys with a value other than null.
    pub(crate) fn are_in(&self, event: &[u8]) -> bool {
        self.0.iter().any(|finder| {
            let mut ends = finder.find_iter(event).map(|at| at + finder.needle().len());
            ends.any(|end| !is_null(&event[end..]))
        })
    }
}

/// Whether a member's value, from behind its key on, is null.
fn is_null(rest: &[u8]) -> bool {
    let solid = |bytes: &'_ [u8]| bytes.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(colon) = solid(rest).filter(|at| rest[*at] == b':') else { return false };
    let value = &rest[colon + 1..];
    solid(value).is_some_and(|at| value[at..].starts_with(b"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_more_than_null_behind_it() {
        let needles = Needles::new(vec!["usage".to_owned(), "usageMetadata".to_owned()]);
        for (event, found) in [
            (r#"{"usage":{"a":1}}"#, true),
            (r#"{"usage" : null,"usage":{}}"#, true),
            (r#"{"usageMetadata": {}}"#, true),
            (r#"{"usage":null}"#, false),
            ("{\"usage\" :\n null }", false),
            (r#"{"text":"usage"}"#, true),
            (r#"{"text":"the usage"}"#, false),
            (r#"{"usage"#, false),
            (r#"{"usage""#, true),
            ("", false),
        ] {
            assert_eq!(needles.are_in(event.as_bytes()), found, "{event}");
        }
    }
}
