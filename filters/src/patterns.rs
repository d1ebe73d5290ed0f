//! Names to values by the longest pattern that matches, in logarithmic time.

use crate::scan::NameHash;
use riparian_config::Pattern;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What is known of names. They come from the configuration and requests only look them up, so nobody can fill it with names
/// that collide, and a quick hash without a secret will do.
pub(crate) type NameMap<T> = HashMap<String, T, BuildHasherDefault<NameHasher>>;

/// Hashes a name as the scanner hashes keys.
#[derive(Default)]
pub(crate) struct NameHasher(NameHash);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// What `str` puts behind its bytes, so that fields do not run into each other; here there is one.
    #[inline]
    fn write_u8(&mut self, _: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// Exact names before prefixes, longer prefixes before shorter ones.
#[derive(Clone, Debug)]
pub(crate) struct PatternMap<T> {
    exact: NameMap<T>,
    /// Sorted by prefix. Each knows the longest other prefix that it begins with, so that the predecessor of a name in
    /// this order leads to the name's own longest prefix: whatever lies between the two begins with it.
    prefixes: Vec<Prefix<T>>,
}

#[derive(Clone, Debug)]
struct Prefix<T> {
    text: String,
    parent: Option<usize>,
    value: T,
}

impl<T: Copy> PatternMap<T> {
    /// The first of two equal patterns wins.
    pub(crate) fn new<'a>(entries: impl IntoIterator<Item = (&'a Pattern, T)>) -> Self {
        let mut exact = NameMap::default();
        let mut prefixes: Vec<Prefix<T>> = Vec::new();
        for (pattern, value) in entries {
            match pattern {
                Pattern::Exact(name) => {
                    exact.entry(name.clone()).or_insert(value);
                }
                Pattern::Prefix(text) => prefixes.push(Prefix { text: text.clone(), parent: None, value }),
            }
        }
        prefixes.sort_by(|a, b| a.text.cmp(&b.text));
        prefixes.dedup_by(|later, first| later.text == first.text);
        for at in 1..prefixes.len() {
            let mut parent = Some(at - 1);
            while let Some(candidate) = parent {
                if prefixes[at].text.starts_with(&prefixes[candidate].text) {
                    break;
                }
                parent = prefixes[candidate].parent;
            }
            prefixes[at].parent = parent;
        }
        Self { exact, prefixes }
    }

    pub(crate) fn lookup(&self, name: &str) -> Option<T> {
        if let Some(value) = self.exact.get(name) {
            return Some(*value);
        }
        let mut at = self.prefixes.partition_point(|prefix| prefix.text.as_str() <= name).checked_sub(1);
        while let Some(candidate) = at {
            let prefix = &self.prefixes[candidate];
            if name.starts_with(&prefix.text) {
                return Some(prefix.value);
            }
            at = prefix.parent;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = Pattern> {
        ("[ab]{0,4}", any::<bool>()).prop_filter_map("an exact name is not empty", |(text, prefix)| {
            Pattern::parse(&if prefix { format!("{text}*") } else { text })
        })
    }

    proptest! {
        #[test]
        fn agrees_with_looking_at_every_pattern(patterns in prop::collection::vec(pattern(), 0..12), name in "[ab]{0,6}") {
            let map = PatternMap::new(patterns.iter().enumerate().map(|(at, pattern)| (pattern, at)));
            let rank = |pattern: &Pattern| match pattern {
                Pattern::Exact(_) => usize::MAX,
                Pattern::Prefix(text) => text.len(),
            };
            let naive = patterns.iter().filter(|pattern| pattern.matches(&name)).map(rank).max();
            prop_assert_eq!(map.lookup(&name).map(|at| rank(&patterns[at])), naive);
        }
    }
}
