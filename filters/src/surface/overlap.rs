//! Could one path match two patterns?

/// Whether some path matches both patterns of the surface table. `{name}` stands for a segment, perhaps with a suffix behind it, and
/// `{*name}` for all the rest. In doubt it says yes.
pub(super) fn overlap(a: &str, b: &str) -> bool {
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
