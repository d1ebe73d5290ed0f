//! Could one path match two patterns?

use std::collections::HashMap;

/// The patterns of all families. There are thousands, and each is asked for those that overlap it; how they begin keeps that short.
#[derive(Debug, Default)]
pub(super) struct Patterns<'s> {
    all: Vec<(usize, String, &'s [String])>,
    by_beginning: HashMap<String, Vec<usize>>,
    /// Those that do not begin with two words.
    loose: Vec<usize>,
}

impl<'s> Patterns<'s> {
    /// Adds a pattern of a family, with its methods.
    pub(super) fn add(&mut self, family: usize, pattern: String, methods: &'s [String]) {
        let number = self.all.len();
        match beginning(&pattern) {
            Some(words) => self.by_beginning.entry(words.to_owned()).or_default().push(number),
            None => self.loose.push(number),
        }
        self.all.push((family, pattern, methods));
    }

    /// The methods of each pattern of another family that overlaps this one.
    pub(super) fn rivals(&self, family: usize, pattern: &str) -> Vec<&'s [String]> {
        let of_another = |(other, rival, methods): &(usize, String, &'s [String])| {
            (*other != family && overlap(pattern, rival)).then_some(*methods)
        };
        match beginning(pattern) {
            None => self.all.iter().filter_map(of_another).collect(),
            Some(words) => {
                let alike = self.by_beginning.get(words).into_iter().flatten();
                alike.chain(&self.loose).filter_map(|number| of_another(&self.all[*number])).collect()
            }
        }
    }
}

/// The first two segments, if both are words.
fn beginning(pattern: &str) -> Option<&str> {
    let (second, _) = pattern.match_indices('/').nth(1)?;
    let end = pattern[second + 1..].find('/').map_or(pattern.len(), |third| second + 1 + third);
    Some(&pattern[..end]).filter(|words| !words.contains('{'))
}

/// Whether some path matches both patterns of the surface table. `{name}` stands for a segment, perhaps with a suffix behind it, and
/// `{*name}` for all the rest. In doubt it says yes.
fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => {
                if one.starts_with("{*") || other.starts_with("{*") {
                    return true;
                }
                if !segments(one, other) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn segments(a: &str, b: &str) -> bool {
    let suffix = |segment: &str| segment.split_once('}').map(|(_, suffix)| suffix.to_owned());
    match (a.starts_with('{').then(|| suffix(a)).flatten(), b.starts_with('{').then(|| suffix(b)).flatten()) {
        (None, None) => a == b,
        (Some(end), None) => b.len() > end.len() && b.ends_with(&end),
        (None, Some(end)) => a.len() > end.len() && a.ends_with(&end),
        (Some(one), Some(other)) => one.ends_with(&other) || other.ends_with(&one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_share_a_path() {
        for (a, b, due) in [
            ("/v1/files", "/v1/files", true),
            ("/v1/files/{file}", "/v1/files/{id}", true),
            ("/v1/files/{file}", "/v1/files", false),
            ("/v1/agents/{*rest}", "/v1/agents/sessions/{id}", true),
            ("/v1/models/{model}:generate", "/v1/models/{model}", true),
            ("/v1/models/{model}:generate", "/v1/models/{model}:count", false),
            ("/v1/models/{model}:generate", "/v1/models/list", false),
            ("/{server}/mcp", "/v1/mcp", true),
            ("/a/b", "/a/c", false),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (due, due), "{a} {b}");
        }
    }
}
