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

fn is_host(mark: &str, host: &str) -> bool {
    match mark.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        None => host == mark,
    }
}
