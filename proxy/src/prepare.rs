//! Stage 9, **prepare**: the head that the chosen endpoint sees.

use crate::credentials::Proof;
use crate::record::Record;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use pingora_error::{OrErr, Result};
use pingora_http::RequestHeader;
use riparian_filters::identify::SESSION_TAG;
use riparian_filters::policy::EndpointId;
use riparian_filters::rewrite;

/// Rewrites a copy of the client's head for `endpoint`. The credential goes on last, when no other choice can follow.
pub(crate) fn prepare(
    record: &Record,
    endpoint: EndpointId,
    body_bytes: u64,
    head: &mut RequestHeader,
) -> Result<()> {
    let policy = &record.snapshot.policy;
    let place = policy.place(endpoint);
    let ready = record.snapshot.ready(endpoint);
    let target = target(record, endpoint, head);
    strip(head, matches!(ready.proof, Proof::Passthrough));

    // Origin form on the wire (RFC 9112, 3.2.1); HTTP/2 takes scheme and authority from the peer and `Host`.
    let target =
        PathAndQuery::try_from(target).or_err(pingora_error::ErrorType::InternalError, "rewritten target")?;
    head.set_uri(target.into());
    head.insert_header(HOST, place.authority.as_str())?;
    // The answer must be readable, for handles are learned from it.
    head.insert_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
    if body_bytes > 0 || has_body(&head.method) {
        head.insert_header(CONTENT_LENGTH, body_bytes)?;
    }
    tag(record, head)?;
    if let Proof::Header(name, value) = &ready.proof {
        head.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn target(record: &Record, endpoint: EndpointId, head: &RequestHeader) -> String {
    let policy = &record.snapshot.policy;
    let (path, query) = (head.uri.path(), head.uri.query());
    match policy.recognise(head.method.as_str(), path) {
        Some(recognised) => {
            rewrite::target(policy, policy.place(endpoint), &recognised, record.model.as_deref(), query)
        }
        None => rewrite::verbatim(path, query),
    }
}

fn strip(head: &mut RequestHeader, passthrough: bool) {
    // One list, over however many lines it was spread.
    let lines = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let connection = lines.collect::<Vec<_>>().join(",");
    let leaving: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| {
            let credential = passthrough && matches!(name.as_str(), "authorization" | "api-key");
            !credential && rewrite::stays_behind(name.as_str(), Some(&connection))
        })
        .cloned()
        .collect();
    for name in leaving {
        head.remove_header(&name);
    }
    if passthrough && head.headers.contains_key("api-key") {
        // Two credentials would be two identities; Azure's own header is the one that its SDK means.
        head.remove_header(&AUTHORIZATION);
    }
}

/// The session travels with the request: as our tag, and in W3C baggage if configured.
fn tag(record: &Record, head: &mut RequestHeader) -> Result<()> {
    let Some(decision) = &record.decision else { return Ok(()) };
    let Some(session) = decision.session else { return Ok(()) };
    let policy = &record.snapshot.policy;
    let tag = policy.keys.tag(decision.tenant, session.id);
    if policy.config.sessions.baggage {
        // W3C Baggage, 3.3: a list of members, joined by commas; what others put there stays.
        let member = format!("riparian.session={tag}");
        let others = head.headers.get_all("baggage").iter().filter_map(|value| value.to_str().ok());
        let all: Vec<String> = others
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|one| !one.is_empty() && !one.starts_with("riparian.session"))
            .map(str::to_owned)
            .chain([member])
            .collect();
        head.insert_header("baggage", all.join(","))?;
    }
    head.insert_header(SESSION_TAG, tag)?;
    Ok(())
}
