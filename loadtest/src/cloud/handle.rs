//! One request: read it, enter it, judge it in the order in which a real cloud does (host, credential, path, body, model,
//! handles), answer it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use sha2::{Digest, Sha256};

use super::answer::{Answer, Ending, Payload, Reply, gzip};
use super::ask::Ask;
use super::call::Call;
use super::complaint::Complaint;
use super::entry::Entry;
use super::family::Family;
use super::fault::{FAULT_HEADER, Fault};
use super::record::{Credential, NONCE_HEADER, Outcome};
use super::route::{self, Operation};
use super::script::{SCRIPT_HEADER, Script};
use super::serve::Site;
use super::spec::CloudSpec;
use super::visit::Visit;
use super::wire::Fuse;
use super::{chat, conversations, media, native, responses, sockets};

pub(crate) async fn handle(
    site: Arc<Site>,
    fuse: Option<Fuse>,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, io::Error> {
    let socket = sockets::wanted(&request).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let (mut entry, credential, nonce) = Entry::enter(&site, &head);
    let script = asked_script(&site.spec, &head.headers);
    let pace = script.as_ref().map_or(site.spec.pace, |script| script.gap);
    let asked = asked_fault(&site, &head.headers);
    let fault = asked.as_ref().ok().copied().flatten();
    // If the other side goes away from here on, the entry is dropped and says so.
    let arrival = read(body, fault, &site.spec, &mut entry).await?;
    if let Arrival::Whole(body) = &arrival {
        if site.spec.digest {
            entry.arrived(&head, body);
        }
        if fault.is_some() {
            note_model(&head.headers, body, &entry);
        }
    }
    let judged = match (arrival, asked) {
        (Arrival::Interrupted, _) | (_, Ok(Some(Fault::ResetBeforeHeaders))) => {
            return Err(reset(fuse.as_ref(), entry));
        }
        (_, Err(complaint)) => Err(complaint),
        (_, Ok(Some(Fault::Stall))) => std::future::pending().await,
        (_, Ok(Some(Fault::Status { status, .. }))) => Err(site.front().fault(status)),
        (Arrival::TooLarge, _) => Err(Complaint::too_large()),
        (Arrival::Whole(body), _) => script.and_then(|script| {
            let reader = Reader { nonce: nonce.as_deref(), credential, script };
            if let Some(upgrade) = socket {
                return admit(&site, &head, &reader, &body).map(|()| Judged::Socket(upgrade));
            }
            judge(&site, &head, &reader, &body, &mut entry).map(Judged::Reply)
        }),
    };
    if let Some(Fault::SlowFirstByte(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let judged = match judged {
        Ok(Judged::Socket(upgrade)) => match sockets::accept(&site, head, upgrade, nonce, entry) {
            Ok(response) => return Ok(response),
            Err((complaint, back)) => {
                entry = *back;
                return respond(&site, None, Err(*complaint), fault, pace, entry);
            }
        },
        Ok(Judged::Reply(reply)) => {
            for (_, value) in &reply.headers {
                entry.gives(value.as_bytes());
            }
            Ok(reply)
        }
        Err(complaint) => Err(complaint),
    };
    respond(&site, nonce.as_deref(), judged, fault, pace, entry)
}

/// What a request comes to.
enum Judged {
    Reply(Reply),
    Socket(hyper::upgrade::OnUpgrade),
}

/// Notes the model of a request that a fault may end before it is judged: without it nobody could tell whether its body
/// had been altered.
fn note_model(headers: &HeaderMap, body: &Bytes, entry: &Entry) {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Ok(ask) = Ask::read(content_type.unwrap_or_default(), body) {
        entry.amend(|seen| seen.body_model.clone_from(&ask.model));
    }
}

/// The error that ends a connection on purpose.
fn reset(fuse: Option<&Fuse>, entry: Entry) -> io::Error {
    entry.settle(Outcome::Faulted);
    if let Some(fuse) = fuse {
        fuse.blow();
    }
    io::Error::other("this connection is reset on request")
}

/// The fault that this request's header asks for, else the one that is set for the cloud.
fn asked_fault(site: &Site, headers: &HeaderMap) -> Result<Option<Fault>, Complaint> {
    let Some(text) = headers.get(FAULT_HEADER) else { return Ok(site.faults().take()) };
    match text.to_str().unwrap_or_default().parse() {
        Ok(Fault::Refuse) => {
            Err(Complaint::bad_body("A request that arrived cannot be refused its connection.", None))
        }
        Ok(fault) => Ok(Some(fault)),
        Err(unknown) => Err(Complaint::bad_body(&unknown.to_string(), None)),
    }
}

/// How this request's answer is to go: as its header says, else as the spec does.
fn asked_script(spec: &CloudSpec, headers: &HeaderMap) -> Result<Script, Complaint> {
    let Some(text) = headers.get(SCRIPT_HEADER) else {
        return Ok(Script { chunks: spec.stream_chunks, gap: spec.pace, chunk_bytes: 0 });
    };
    text.to_str().unwrap_or_default().parse().map_err(|why: String| Complaint::bad_body(&why, None))
}

/// What the head says of whoever will read the answer.
struct Reader<'a> {
    nonce: Option<&'a str>,
    credential: Credential,
    script: Script,
}

enum Arrival {
    Whole(Bytes),
    TooLarge,
    /// The fault wants the connection reset here.
    Interrupted,
}

async fn read(
    mut body: Incoming,
    fault: Option<Fault>,
    spec: &CloudSpec,
    entry: &mut Entry,
) -> io::Result<Arrival> {
    let max = spec.body_bytes_max;
    let mut digest = spec.digest.then(Sha256::new);
    let mut read = Vec::new();
    let expected = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    read.reserve(expected.min(max));
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if let Some(digest) = &mut digest {
            digest.update(&piece);
        }
        entry.end.body_bytes += piece.len() as u64;
        if matches!(fault, Some(Fault::ResetMidBody(after)) if entry.end.body_bytes >= after) {
            return Ok(Arrival::Interrupted);
        }
        if read.len() + piece.len() > max {
            return Ok(Arrival::TooLarge);
        }
        read.extend_from_slice(&piece);
    }
    let (bytes, digest) = (entry.end.body_bytes, digest.map_or([0; 32], |digest| digest.finalize().into()));
    entry.amend(|seen| {
        seen.body_bytes = bytes;
        seen.body_sha256 = digest;
    });
    match fault {
        Some(Fault::ResetMidBody(_)) => Ok(Arrival::Interrupted),
        _ => Ok(Arrival::Whole(read.into())),
    }
}

/// What is asked of every request: the right host, and this cloud's credential.
fn admit(site: &Site, head: &Parts, reader: &Reader<'_>, body: &Bytes) -> Result<(), Complaint> {
    if let Some(host) = &site.spec.host {
        let named = head.uri.authority().map(http::uri::Authority::as_str);
        let named = named.or_else(|| head.headers.get(header::HOST)?.to_str().ok());
        if named != Some(host) {
            return Err(Complaint::wrong_host());
        }
    }
    if reader.credential != Credential::Right {
        return Err(match site.front() {
            Family::OpenAi => Complaint::wrong_credential(site.spec.kind),
            family => family.wrong_credential(),
        });
    }
    native::signature(&site.spec, site.front(), head, body)
}

fn judge(
    site: &Site,
    head: &Parts,
    reader: &Reader<'_>,
    body: &Bytes,
    entry: &mut Entry,
) -> Result<Reply, Complaint> {
    admit(site, head, reader, body)?;
    if let Some(family) = native::claimed(&site.spec, head) {
        return visit(site, family, head, reader, body, entry);
    }
    let kind = site.spec.kind;
    let (method, path) = (head.method.as_str(), head.uri.path());
    let route = route::route(kind, method, path, head.uri.query())
        .map_err(|miss| Complaint::missed(kind, &miss, method, path))?;
    if route.operation == Operation::More {
        return visit(site, Family::OpenAi, head, reader, body, entry);
    }
    entry.amend(|seen| seen.operation = Some(route.operation.name()));
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let ask =
        Ask::read(content_type.unwrap_or_default(), body).map_err(|why| Complaint::bad_body(&why, None))?;
    let named = route.deployment.as_ref().or(ask.model.as_ref());
    let cited = cited(&route.operation, &ask);
    entry.end.stream = ask.streams();
    entry.end.cites = !cited.is_empty();
    entry.amend(|seen| {
        seen.model = named.cloned();
        seen.body_model.clone_from(&ask.model);
        seen.stream = ask.streams();
        seen.cited = cited;
    });
    if let Some(model) = named.filter(|model| !site.spec.models.contains(model)) {
        return Err(Complaint::wrong_model(kind, model));
    }
    let model = named.map_or("", String::as_str);
    let (nonce, script) = (reader.nonce, reader.script);
    let call =
        Call { site, ask: &ask, model, nonce, script, body_bytes: entry.end.body_bytes, on_socket: false };
    let reply = perform(&call, &route.operation, head.uri.query())?;
    entry.end.creates = !reply.created.is_empty();
    if entry.end.creates {
        entry.amend(|seen| seen.created.clone_from(&reply.created));
    }
    Ok(reply)
}

/// Lets an operation that reads its body as a tree answer, and notes what it found out.
fn visit(
    site: &Site,
    family: Family,
    head: &Parts,
    reader: &Reader<'_>,
    body: &Bytes,
    entry: &mut Entry,
) -> Result<Reply, Complaint> {
    let visit = Visit::new(site, family, head, body, reader.nonce, reader.script)?;
    let answered = native::answer(&visit);
    let notes = visit.notes();
    entry.end.stream = notes.stream;
    entry.end.cites = !notes.cited.is_empty();
    let created = answered.as_ref().map(|reply| reply.created.clone()).unwrap_or_default();
    entry.end.creates = !created.is_empty();
    entry.amend(|seen| {
        seen.operation = notes.operation;
        seen.body_model.clone_from(&notes.model);
        seen.model = notes.model;
        seen.stream = notes.stream;
        seen.cited = notes.cited;
        seen.created = created;
    });
    answered
}

/// The ids that the path and the body cite.
fn cited(operation: &Operation, ask: &Ask<'_>) -> Vec<String> {
    match operation {
        Operation::ResponseRead(id)
        | Operation::ResponseDelete(id)
        | Operation::ResponseCancel(id)
        | Operation::ResponseInputItems(id)
        | Operation::ConversationRead(id)
        | Operation::ConversationUpdate(id)
        | Operation::ConversationDelete(id) => vec![id.clone()],
        _ => ask.cited(),
    }
}

fn perform(call: &Call<'_>, operation: &Operation, query: Option<&str>) -> Result<Reply, Complaint> {
    match operation {
        Operation::Chat => chat::chat(call),
        Operation::Completions => chat::completions(call),
        Operation::Embeddings => media::embeddings(call),
        Operation::Moderations => media::moderations(call),
        Operation::ImagesGenerate | Operation::ImagesEdit => media::images(call),
        Operation::Speech => media::speech(call),
        Operation::Transcribe => media::transcription(call),
        Operation::ModelList => Ok(media::models(call)),
        Operation::Model(id) => media::model(call, id),
        Operation::ResponseCreate => responses::create(call),
        Operation::ResponseRead(id) => responses::read(call, id, query),
        Operation::ResponseDelete(id) => responses::delete(call, id),
        Operation::ResponseCancel(id) => responses::cancel(call, id),
        Operation::ResponseInputItems(id) => responses::input_items(call, id),
        Operation::ConversationCreate => Ok(conversations::create(call)),
        Operation::ConversationRead(id) => conversations::read(call, id),
        Operation::ConversationUpdate(id) => conversations::update(call, id),
        Operation::ConversationDelete(id) => conversations::delete(call, id),
        Operation::More => Err(Complaint::bad_body("This operation is answered elsewhere.", None)),
    }
}

fn respond(
    site: &Site,
    nonce: Option<&str>,
    judged: Result<Reply, Complaint>,
    fault: Option<Fault>,
    pace: Duration,
    mut entry: Entry,
) -> io::Result<Response<Answer>> {
    let outcome = judged.as_ref().map_or_else(|complaint| complaint.outcome, |_| Outcome::Ok);
    let reply = judged.unwrap_or_else(|complaint| {
        let reply = Reply::json(&complaint.body).status(complaint.status);
        complaint.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    });
    let Reply { payload, status, headers, stream_type, hold, .. } = reply;
    entry.status = status;
    let mut response = Response::builder().status(status).header("x-request-id", site.minter.mint("req_"));
    for (name, value) in headers {
        response = response.header(name, value);
    }
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
        response = response.header(NONCE_HEADER, nonce);
    }
    if let Some(Fault::Status { retry_after_seconds: Some(seconds), .. }) = fault {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    let packed = fault == Some(Fault::Gzip);
    if packed {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    let answer = match payload {
        Payload::Whole { content_type, mut bytes } => {
            response = response.header(header::CONTENT_TYPE, content_type);
            if packed {
                bytes = gzip(std::iter::once(bytes))?.concat().into();
            }
            Answer::whole(bytes, outcome, entry)
        }
        Payload::Events(mut events) => {
            response =
                response.header(header::CONTENT_TYPE, stream_type).header(header::CACHE_CONTROL, "no-cache");
            if packed {
                events = gzip(events)?.into();
            }
            let ending = match fault {
                Some(Fault::StallMidStream) => Ending::Stall,
                Some(Fault::CutMidStream) => Ending::Cut,
                _ => Ending::Whole,
            };
            Answer::stream(events, pace, ending, outcome, entry)
        }
    };
    response.body(answer.holding(hold)).map_err(io::Error::other)
}
