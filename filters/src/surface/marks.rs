//! What tells the requests of one family from those of another that has the same path.

use crate::head::Head;
use http::header::{AUTHORIZATION, HOST};
use riparian_config::Marks;

/// Whether a head bears one of the marks.
pub(super) fn bears(head: &Head<'_>, marks: &Marks) -> bool {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let host = || {
        let host = text(HOST)?.to_ascii_lowercase();
        Some(host.rsplit_once(':').map_or(host.clone(), |(name, _)| name.to_owned()))
    };
    marks.headers.iter().any(|name| head.headers.contains_key(name))
        || (!marks.authorization.is_empty()
            && text(AUTHORIZATION).is_some_and(|value| {
                marks.authorization.iter().any(|begin| value.starts_with(begin.as_str()))
            }))
        || (!marks.query.is_empty()
            && head.query.is_some_and(|query| {
                query.split('&').any(|pair| {
                    let name = pair.split('=').next().unwrap_or("");
                    marks.query.iter().any(|mark| mark == name)
                })
            }))
        || (!marks.hosts.is_empty()
            && host().is_some_and(|host| marks.hosts.iter().any(|mark| is_host(mark, &host))))
}

/// Whether `mark`, in which each `*` stands for anything, is this host.
fn is_host(mark: &str, host: &str) -> bool {
    let Some((begin, mut rest)) = mark.split_once('*') else { return mark == host };
    let Some(mut host) = host.strip_prefix(begin) else { return false };
    while let Some((middle, behind)) = rest.split_once('*') {
        let Some(at) = host.find(middle) else { return false };
        host = &host[at + middle.len()..];
        rest = behind;
    }
    host.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_star_stands_for_anything() {
        let gateway = "*.gateway.bedrock-agentcore.*.amazonaws.com";
        for (mark, host, due) in [
            ("api.openai.com", "api.openai.com", true),
            ("api.openai.com", "xapi.openai.com", false),
            ("*.openai.com", "api.openai.com", true),
            ("*.openai.com", "openai.com", false),
            (gateway, "g1.gateway.bedrock-agentcore.us-east-1.amazonaws.com", true),
            (gateway, "g1.gateway.bedrock-agentcore.us-east-1.amazonaws.com.example", false),
            (gateway, "bedrock-agentcore.us-east-1.amazonaws.com", false),
        ] {
            assert_eq!(is_host(mark, host), due, "{mark} {host}");
        }
    }
}
