//! What the chosen endpoint must see: path, query, model, and which headers stay behind.
//!
//! Nothing of a body changes but the spliced model. Paths are put together from what was recognised, never by replacing text.

use crate::policy::{Place, Policy};
use crate::surface::{Form, Recognised};
use riparian_config::{Dialect, ModelAt};
use std::borrow::Cow;
use std::ops::Range;

/// A change of a body: the bytes at `at` give way to `with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Offsets in the whole body; empty where something is inserted.
    pub at: Range<u64>,
    /// What stands there instead.
    pub with: Vec<u8>,
}

/// Where a model's name stands in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSpan {
    /// A JSON string, quotes included.
    Json(Range<u64>),
    /// A form field's value.
    Form(Range<u64>),
    /// Nowhere; a member can be put here, right behind the root's `{`. The flag says whether a comma must follow.
    Absent(u64, bool),
    /// Nowhere in a form with this boundary; a part can be put before the others.
    AbsentInForm(Vec<u8>),
    /// There is no body that could name it.
    None,
}

/// Path and query for `place`, as one target.
#[must_use]
pub fn target(
    policy: &Policy,
    place: &Place,
    recognised: &Recognised<'_>,
    model: Option<&str>,
    query: Option<&str>,
) -> String {
    let dated = stays_dated(place, recognised.form);
    let own = model.map(|model| place.model(model).unwrap_or(model));
    // Where a dialect has no base path of its own, the client's goes out as it came.
    let base = place.endpoint.url.base_path.as_deref();
    let base = base.or(place.dialect().base_path()).unwrap_or(recognised.base);
    let mut target =
        String::with_capacity(base.len() + recognised.tail.len() + query.map_or(0, str::len) + 32);
    match (dated, recognised.form, own) {
        (true, Form::Deployment, Some(deployment)) => {
            target.push_str("/openai/deployments/");
            target.extend(percent_encoding::utf8_percent_encode(deployment, SEGMENT));
        }
        (true, ..) => target.push_str("/openai"),
        _ => target.push_str(base),
    }
    let at = policy.surface(recognised.surface).model;
    match (at, own, recognised.place("model")) {
        (ModelAt::Path, Some(own), Some(span)) => {
            target.push_str(&recognised.tail[..span.start]);
            target.extend(percent_encoding::utf8_percent_encode(own, SEGMENT));
            target.push_str(&recognised.tail[span.end..]);
        }
        _ => target.push_str(recognised.tail),
    }
    let versioned = recognised.form == Form::Versioned && place.dialect() == Dialect::AzureOpenAi;
    let openai = matches!(place.dialect(), Dialect::OpenAi | Dialect::AzureOpenAi | Dialect::BedrockOpenAi);
    let keeps_version = dated || versioned || !openai;
    push_query(&mut target, query, keeps_version, own.filter(|_| at == ModelAt::Query));
    target
}

/// Whether a request in one of Azure's dated forms goes out in that form: only to an Azure endpoint with Azure's own paths.
#[must_use]
pub fn stays_dated(place: &Place, form: Form) -> bool {
    form != Form::Versioned
        && place.dialect() == Dialect::AzureOpenAi
        && place.endpoint.url.base_path.is_none()
}

/// The target of an operation that is not recognised: as it came.
#[must_use]
pub fn verbatim(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// A query without the parameters of an AWS signature (`X-Amz-Signature` and its like): they prove who asks, as `Authorization` does.
#[must_use]
pub fn unsigned(query: &str) -> Cow<'_, str> {
    const PARAMETERS: [&str; 7] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
    ];
    without(query, |name| PARAMETERS.iter().any(|parameter| parameter.eq_ignore_ascii_case(name)))
}

/// A query without Google's key: it proves who asks, as `x-goog-api-key` does.
#[must_use]
pub fn keyless(query: &str) -> Cow<'_, str> {
    without(query, |name| name == "key")
}

fn without(query: &str, is_dropped: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let is_of_one = |pair: &&str| is_dropped(pair.split('=').next().unwrap_or_default());
    if !query.split('&').any(|pair| is_of_one(&pair)) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(query.split('&').filter(|pair| !is_of_one(pair)).collect::<Vec<_>>().join("&"))
}

/// `text` as a segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

/// What a path segment may hold as it is (RFC 3986, 3.3).
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@');

/// `api-version` is Azure's. A date goes with a dated path and no other; a client that speaks the versioned API can say
/// `preview`. Elsewhere it would be an unknown parameter.
///
/// `model` is what the endpoint calls the model that the query names.
fn push_query(target: &mut String, query: Option<&str>, keeps_version: bool, model: Option<&str>) {
    let mut separator = '?';
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next();
        if !keeps_version && name == Some("api-version") {
            continue;
        }
        target.push(separator);
        match (name, model) {
            (Some(name @ ("model" | "deployment")), Some(model)) => {
                target.push_str(name);
                target.push('=');
                target.extend(percent_encoding::utf8_percent_encode(model, SEGMENT));
            }
            _ => target.push_str(pair),
        }
        separator = '&';
    }
}

/// How the body must change so that `place` finds the model under its own name, if at all.
#[must_use]
pub fn splice(place: &Place, model: Option<&str>, span: &ModelSpan) -> Option<Splice> {
    let model = model?;
    let own = place.model(model).unwrap_or(model);
    match span {
        ModelSpan::Json(_) | ModelSpan::Form(_) if own == model => None,
        ModelSpan::Json(at) => Some(Splice { at: at.clone(), with: json_string(own) }),
        ModelSpan::Form(at) => Some(Splice { at: at.clone(), with: own.as_bytes().to_vec() }),
        // The path named the model; an endpoint without deployments in its paths must find it in the body.
        ModelSpan::Absent(at, comma) => {
            let mut with = b"\"model\":".to_vec();
            with.extend_from_slice(&json_string(own));
            with.extend_from_slice(if *comma { b"," } else { b"" });
            Some(Splice { at: *at..*at, with })
        }
        ModelSpan::AbsentInForm(boundary) => {
            let head = b"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n".as_slice();
            let with = [b"--".as_slice(), boundary, head, own.as_bytes(), b"\r\n"].concat();
            Some(Splice { at: 0..0, with })
        }
        ModelSpan::None => None,
    }
}

/// A JSON string of a model's name. Names come from the checked configuration; whatever they hold, the body stays JSON.
fn json_string(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

/// Whether a client's header stays behind: hop-by-hop headers (RFC 9110, 7.6.1), credentials, and `x-riparian-*` in any
/// spelling, so that nobody can claim to be us. `connection` is the value of the client's `Connection`, whose nominees stay too.
#[must_use]
pub fn stays_behind(name: &str, connection: Option<&str>) -> bool {
    HOP_BY_HOP.contains(&name)
        || CREDENTIALS.contains(&name)
        || is_ours(name)
        // A socket's handshake is made anew for each hop.
        || name.starts_with("sec-websocket-")
        || matches!(name, "expect" | "host" | "content-length" | "accept-encoding")
        || connection.is_some_and(|nominated| {
            nominated.split(',').any(|option| option.trim().eq_ignore_ascii_case(name))
        })
}

/// Headers that prove who asks; they go upstream only where the endpoint's credential is `passthrough`.
pub const CREDENTIALS: [&str; 9] = [
    "authorization",
    "api-key",
    "x-api-key",
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "x-goog-api-key",
    // Parts of an AWS signature, which are worth nothing without the others.
    "x-amz-date",
    "x-amz-content-sha256",
];

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
];

/// Whether a header name is `x-riparian-*`, with any mixture of cases and of `-` and `_`.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    const PREFIX: &[u8] = b"x-riparian";
    let name = name.as_bytes();
    name.len() >= PREFIX.len()
        && name.iter().zip(PREFIX).all(|(a, b)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_headers_are_known_in_any_spelling() {
        for name in [
            "x-riparian-session",
            "X-Riparian-Cloud",
            "x_riparian_cloud",
            "x-riparian_x",
            "X_RIPARIAN-grade",
            "x-riparian",
        ] {
            assert!(is_ours(name), "{name}");
            assert!(stays_behind(name, None), "{name}");
        }
        assert!(!is_ours("x-ripariah-session") && !is_ours("riparian-session"));
    }

    #[test]
    fn nominated_headers_stay_behind() {
        assert!(stays_behind("x-hop", Some("close, X-Hop")));
        assert!(!stays_behind("x-hop", Some("close")));
        assert!(!stays_behind("content-type", None));
    }

    #[test]
    fn a_models_name_is_json_whatever_it_holds() {
        assert_eq!(json_string("a\"b\\c\n"), br#""a\"b\\c\u000a""#);
    }
}
