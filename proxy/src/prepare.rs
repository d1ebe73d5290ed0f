//! Stage 9, **prepare**: the head that the chosen endpoint sees.

use crate::credentials::Proof;
use crate::receive::asked;
use crate::record::Record;
use crate::relay::head::{RequestHead, write_line};
use crate::relay::upstream::Outgoing;
use crate::sigv4::Unsigned;
use crate::snapshot::Snapshot;
use crate::socket::Asking;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method};
use pingora_http::RequestHeader;
use riparian_config::{Dialect, HttpVersion};
use riparian_filters::identify::SESSION_TAG;
use riparian_filters::policy::EndpointId;
use riparian_filters::rewrite;
use std::borrow::Cow;
use std::time::SystemTime;

/// Room for a usual head.
const HEAD: usize = 2048;

/// The client's head as `endpoint` is to see it; `None` when its target cannot be written, which the router rules out.
pub(crate) fn prepare(
    record: &Record,
    endpoint: EndpointId,
    body: &[Bytes],
    head: &RequestHead,
) -> Option<Outgoing> {
    let target = target(record, endpoint, head);
    match record.snapshot.policy.place(endpoint).endpoint.http_version {
        HttpVersion::Http1 => {
            let mut out = Vec::with_capacity(HEAD);
            // Origin form on the wire (RFC 9112, 3.2.1).
            for part in [head.method.as_str(), " ", &target, " HTTP/1.1\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
            lines(record, endpoint, &target, body, head, |name, value| write_line(&mut out, name, value))?;
            out.extend_from_slice(b"\r\n");
            Some(Outgoing::Http1(out))
        }
        HttpVersion::Http2 => {
            // Scheme and authority come from the peer and `Host`.
            let mut out = RequestHeader::build(head.method.clone(), target.as_bytes(), None).ok()?;
            let mut whole = true;
            lines(record, endpoint, &target, body, head, |name, value| {
                let name = HeaderName::from_bytes(name.as_bytes());
                whole &= name.is_ok_and(|name| out.append_header(name, value).is_ok());
            })?;
            whole.then(|| Outgoing::Http2(Box::new(out)))
        }
    }
}

/// The same for a socket: a handshake of our own, without extensions, so that what is said on it can be read.
pub(crate) fn prepare_socket(
    record: &Record,
    endpoint: EndpointId,
    head: &RequestHead,
    asking: &Asking,
) -> Option<Outgoing> {
    let mut out = Vec::with_capacity(HEAD);
    let target = target(record, endpoint, head);
    for part in ["GET ", &target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    lines(record, endpoint, &target, &[], head, |name, value| write_line(&mut out, name, value))?;
    asking.lines(|name, value| write_line(&mut out, name, value));
    out.extend_from_slice(b"\r\n");
    Some(Outgoing::Http1(out))
}

/// Each header line that goes out. The credential comes last, when no other choice can follow. `None` when it cannot be made.
fn lines(
    record: &Record,
    endpoint: EndpointId,
    target: &str,
    body: &[Bytes],
    head: &RequestHead,
    mut line: impl FnMut(&str, &[u8]),
) -> Option<()> {
    let place = record.snapshot.policy.place(endpoint);
    let ready = record.snapshot.ready(endpoint);
    line(HOST.as_str(), place.authority.as_bytes());
    let passthrough = matches!(ready.proof, Proof::Passthrough);
    let own = own_credential(head);
    let nominated = nominated(head);
    let session = record.session_tag();
    let baggage = record.snapshot.policy.config.sessions.baggage && session.is_some();
    let goes_on = |(name, _): &(&HeaderName, &HeaderValue)| {
        let name = name.as_str();
        let credential = passthrough && name == own;
        let replaced = baggage && name == "baggage";
        credential || !(replaced || rewrite::stays_behind(name, nominated.as_deref()))
    };
    for (name, value) in head.headers.iter().filter(goes_on) {
        line(name.as_str(), value.as_bytes());
    }
    // The answer must be readable, for handles are learned from it.
    line(ACCEPT_ENCODING.as_str(), b"identity");
    let body_bytes: usize = body.iter().map(Bytes::len).sum();
    if body_bytes > 0 || has_body(&head.method) {
        line(CONTENT_LENGTH.as_str(), body_bytes.to_string().as_bytes());
    }
    if let Some(session) = session {
        if baggage {
            line("baggage", with_session(head, &session).as_bytes());
        }
        line(SESSION_TAG.as_str(), session.as_bytes());
    }
    match &ready.proof {
        Proof::None | Proof::Passthrough => {}
        Proof::Header(name, value) => line(name.as_str(), value.as_bytes()),
        Proof::SigV4(signer) => {
            let request =
                Unsigned { method: head.method.as_str(), authority: &place.authority, target, body };
            let signature = signer.sign(request, head.headers.iter().filter(goes_on), SystemTime::now());
            for (name, value) in signature.ok()? {
                line(name, value.as_bytes());
            }
        }
    }
    Some(())
}

/// A GET that asks `endpoint` for a handle; `path` has a `{}` in its place. It carries the endpoint's credential and nothing of the
/// client's, but for the credential that goes through.
pub(crate) fn question(
    snapshot: &Snapshot,
    endpoint: EndpointId,
    path: &str,
    handle: &str,
    head: &RequestHead,
) -> Option<Outgoing> {
    let (place, ready) = (snapshot.policy.place(endpoint), snapshot.ready(endpoint));
    let base = place.endpoint.url.base_path.as_deref().or(place.dialect().base_path()).unwrap_or("");
    let encoded = rewrite::segment(handle);
    let target = format!("{base}{}", path.replacen("{}", &encoded, 1));
    let own = own_credential(head);
    let proof: Vec<(&str, HeaderValue)> = match &ready.proof {
        Proof::None => Vec::new(),
        Proof::Passthrough => head.headers.get(own).map(|value| (own, value.clone())).into_iter().collect(),
        Proof::Header(name, value) => vec![(name.as_str(), value.clone())],
        Proof::SigV4(signer) => {
            let request = Unsigned { method: "GET", authority: &place.authority, target: &target, body: &[] };
            signer.sign(request, std::iter::empty(), SystemTime::now()).ok()?
        }
    };
    let mut lines =
        vec![(HOST.as_str(), place.authority.as_bytes()), (ACCEPT_ENCODING.as_str(), b"identity")];
    lines.extend(proof.iter().map(|(name, value)| (*name, value.as_bytes())));
    match place.endpoint.http_version {
        HttpVersion::Http1 => {
            let mut out = format!("GET {target} HTTP/1.1\r\n").into_bytes();
            lines.iter().for_each(|(name, value)| write_line(&mut out, name, value));
            out.extend_from_slice(b"\r\n");
            Some(Outgoing::Http1(out))
        }
        HttpVersion::Http2 => {
            let mut out = RequestHeader::build(Method::GET, target.as_bytes(), None).ok()?;
            for (name, value) in lines {
                out.append_header(HeaderName::from_bytes(name.as_bytes()).ok()?, value).ok()?;
            }
            Some(Outgoing::Http2(Box::new(out)))
        }
    }
}

/// Two credentials would be two identities: the header that a client's SDK means, where several are there.
fn own_credential(head: &RequestHead) -> &'static str {
    ["api-key", "x-api-key", "x-goog-api-key"]
        .into_iter()
        .find(|name| head.headers.contains_key(*name))
        .unwrap_or("authorization")
}

fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn target(record: &Record, endpoint: EndpointId, head: &RequestHead) -> String {
    let policy = &record.snapshot.policy;
    let mut query = head.uri.query().map(rewrite::unsigned);
    let ready = record.snapshot.ready(endpoint);
    if policy.place(endpoint).dialect() == Dialect::Google && !matches!(ready.proof, Proof::Passthrough) {
        query = query.map(|query| Cow::Owned(rewrite::keyless(&query).into_owned()));
    }
    let (path, query) = (head.uri.path(), query.as_deref());
    match policy.recognise(&asked(head)) {
        Some(recognised) => {
            rewrite::target(policy, policy.place(endpoint), &recognised, record.model.as_deref(), query)
        }
        None => rewrite::verbatim(path, query),
    }
}

/// What `Connection` nominates: one list, over however many lines it was spread.
fn nominated(head: &RequestHead) -> Option<Cow<'_, str>> {
    let mut lines = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let first = lines.next()?;
    let mut all = Cow::Borrowed(first);
    for further in lines {
        let all = all.to_mut();
        all.push(',');
        all.push_str(further);
    }
    Some(all)
}

/// The session as a member of W3C Baggage (3.3: a list, joined by commas); what others put there stays.
fn with_session(head: &RequestHead, session: &str) -> String {
    let member = format!("riparian.session={session}");
    let others = head.headers.get_all("baggage").iter().filter_map(|value| value.to_str().ok());
    let all: Vec<&str> = others
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.starts_with("riparian.session"))
        .chain([member.as_str()])
        .collect();
    all.join(",")
}
