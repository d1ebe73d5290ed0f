//! The `curl` that sends a request to a running proxy as it stands, for a POSIX shell.
//!
//! Credentials are not written out: what is printed ends in tickets and histories. The shell is told to fill them in.

use super::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, TRANSFER_ENCODING};
use riparian_config::{Listener, ListenerProtocol};

/// Bytes of a body that stand in the command itself; Linux takes 128 KiB in one argument.
const INLINE_MAX: usize = 64 * 1024;

/// The headers that prove who asks.
const CREDENTIALS: [&str; 4] = ["api-key", "x-api-key", "x-goog-api-key", "proxy-authorization"];

/// The command.
pub(crate) fn curl(request: &Request, listener: &Listener) -> String {
    let query = request.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
    let (scheme, version) = match listener.protocol {
        ListenerProtocol::Http1 => ("http", "--http1.1"),
        ListenerProtocol::H2c => ("http", "--http2-prior-knowledge"),
        ListenerProtocol::Tls { .. } => ("https", "--http1.1"),
    };
    let url = format!("{scheme}://{}{}{query}", listener.bind, request.path);
    let mut words = vec![
        "curl -sS -i -g --path-as-is".to_owned(),
        version.to_owned(),
        format!("-X {}", quoted(request.method.as_str())),
    ];
    for (name, value) in &request.headers {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            continue;
        }
        words.push(header(name, value.as_bytes()));
    }
    let body = &request.body[..];
    if !body.is_empty() && !request.headers.contains_key(CONTENT_TYPE) {
        // Of itself it would say that this is a form.
        words.push("-H 'Content-Type:'".to_owned());
    }
    let inline =
        std::str::from_utf8(body).ok().filter(|text| text.len() <= INLINE_MAX && !text.contains('\0'));
    match inline {
        Some("") => {}
        Some(text) => words.push(format!("--data-raw {}", quoted(text))),
        None => words.push("--data-binary @-".to_owned()),
    }
    words.push(quoted(&url));
    let command = words.join(" ");
    if inline.is_some() {
        command
    } else {
        format!("printf '%s' '{}' | base64 -d | {command}", STANDARD.encode(body))
    }
}

fn header(name: &HeaderName, value: &[u8]) -> String {
    let secret = *name == AUTHORIZATION || *name == COOKIE || CREDENTIALS.contains(&name.as_str());
    if secret {
        let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
        return format!("-H \"{name}: ${{{variable}:?}}\"");
    }
    let value = String::from_utf8_lossy(value);
    // A header without a value is asked for with a semicolon.
    if value.is_empty() {
        quoted_header(&format!("{name};"))
    } else {
        quoted_header(&format!("{name}: {value}"))
    }
}

fn quoted_header(line: &str) -> String {
    format!("-H {}", quoted(line))
}

/// In single quotes, in which a shell leaves everything as it is.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
