//! Sockets: responses and realtime of the OpenAI dialect, Gemini's live sessions. What a socket holds ends with it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::answer::{Answer, Payload, Words};
use super::ask::Ask;
use super::call::Call;
use super::complaint::Complaint;
use super::entry::Entry;
use super::family::Family;
use super::record::{NONCE_HEADER, Outcome};
use super::responses;
use super::script::Script;
use super::serve::Site;
use super::spec::Kind;
use super::state::StoredResponse;
use super::things::Thing;
use super::visit::{query, segments};

/// Whether a request asks for a WebSocket.
pub(crate) fn wanted(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// What is spoken on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tongue {
    Responses,
    Realtime { model: String },
    Live,
}

fn tongue(site: &Site, head: &Parts) -> Result<Tongue, Complaint> {
    let path = segments(head.uri.path());
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let kind = site.spec.kind;
    let speaks = |family| site.spec.speaks.contains(&family);
    if speaks(Family::Google)
        && path.first() == Some(&"ws")
        && path.last().is_some_and(|last| last.contains("BidiGenerateContent"))
    {
        return Ok(Tongue::Live);
    }
    let rest: Option<&[&str]> = match (kind, path.as_slice()) {
        _ if !speaks(Family::OpenAi) => None,
        (Kind::OpenAi, ["v1", rest @ ..])
        | (Kind::Azure, ["openai", "v1", rest @ ..] | ["openai", rest @ ..]) => Some(rest),
        _ => None, // there are no sockets on Bedrock's OpenAI paths
    };
    match rest {
        Some(["responses"]) => Ok(Tongue::Responses),
        Some(["realtime"]) => {
            let named = |name| query(head.uri.query(), name);
            let model = named("model").or_else(|| named("deployment")).unwrap_or_default();
            if !site.spec.models.contains(&model) && named("call_id").is_none() {
                return Err(Complaint::wrong_model(kind, &model));
            }
            Ok(Tongue::Realtime { model })
        }
        _ => Err(site.front().no_path(&format!("{} {}", head.method, head.uri.path()))),
    }
}

/// Answers 101 and runs the socket; or says why not, and gives the entry back.
pub(crate) fn accept(
    site: &Arc<Site>,
    head: Parts,
    upgrade: OnUpgrade,
    nonce: Option<String>,
    mut entry: Entry,
) -> Result<Response<Answer>, (Box<Complaint>, Box<Entry>)> {
    let tongue = match tongue(site, &head) {
        Ok(tongue) => tongue,
        Err(complaint) => return Err((Box::new(complaint), Box::new(entry))),
    };
    let Some(key) = head.headers.get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes())) else {
        let complaint = site.front().bad_body("Missing Sec-WebSocket-Key.");
        return Err((Box::new(complaint), Box::new(entry)));
    };
    entry.status = 101;
    entry.end.stream = true;
    entry.amend(|seen| {
        seen.stream = true;
        seen.operation = Some(match tongue {
            Tongue::Responses => "responses.socket",
            Tongue::Realtime { .. } => "realtime.socket",
            Tongue::Live => "google.live",
        });
    });
    let mut response = Response::builder()
        .status(101)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header("sec-websocket-accept", key);
    if let Some(nonce) = nonce.as_deref().and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
        response = response.header(NONCE_HEADER, nonce);
    }
    let socket = Socket { site: Arc::clone(site), head, nonce, tongue, entry, own: HashMap::new(), turn: 0 };
    site.run_socket(socket.run(upgrade));
    Ok(response.body(Answer::none()).expect("a head of constants and a checked nonce"))
}

type Wire = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

struct Socket {
    site: Arc<Site>,
    head: Parts,
    nonce: Option<String>,
    tongue: Tongue,
    entry: Entry,
    /// Responses that live as long as the socket, because they were not to be stored.
    own: HashMap<String, StoredResponse>,
    turn: u64,
}

impl Socket {
    async fn run(mut self, upgrade: OnUpgrade) {
        let Ok(upgraded) = upgrade.await else { return };
        let mut wire = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let outcome = match self.talk(&mut wire).await {
            Ok(()) => Outcome::Ok,
            Err(_) => Outcome::ClientGone,
        };
        for id in self.own.keys() {
            self.site.store().responses.remove(id);
        }
        self.entry.end.creates = false;
        self.entry.settle(outcome);
    }

    /// Until the other side closes.
    async fn talk(&mut self, wire: &mut Wire) -> Result<(), Error> {
        if let Tongue::Realtime { model } = &self.tongue {
            let session = self.site.minter.mint("sess_");
            let created = json!({
                "type": "session.created", "event_id": self.site.minter.mint("event_"),
                "session": {"id": session, "object": "realtime.session", "model": model, "type": "realtime"},
            });
            self.say(wire, &created).await?;
        }
        while let Some(message) = wire.next().await {
            let text = match message? {
                Message::Text(text) => text.to_string(),
                Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Message::Close(_) => {
                    wire.flush().await?;
                    return Ok(());
                }
                _ => continue,
            };
            self.entry.message(&self.head, &text);
            let answers = match &self.tongue {
                Tongue::Responses => self.respond(&text),
                Tongue::Realtime { .. } => self.converse(&text),
                Tongue::Live => self.live(&text),
            };
            for answer in answers {
                self.say(wire, &answer).await?;
            }
        }
        Ok(())
    }

    async fn say(&self, wire: &mut Wire, message: &Value) -> Result<(), Error> {
        let text = message.to_string();
        self.entry.gives(text.as_bytes());
        wire.send(Message::text(text)).await
    }

    fn script(&self) -> Script {
        let spec = &self.site.spec;
        Script { chunks: spec.stream_chunks, gap: spec.pace, chunk_bytes: 0 }
    }

    fn words(&self, turn: u64) -> Words<'_> {
        Words { name: &self.site.spec.name, turn, nonce: self.nonce.as_deref(), script: self.script() }
    }

    /// One `response.create`: the body of a create without its transport fields.
    fn respond(&mut self, text: &str) -> Vec<Value> {
        let failed = |complaint: &Complaint| {
            let error = complaint.body.get("error").cloned().unwrap_or_default();
            vec![json!({"type": "error", "status": complaint.status, "error": error})]
        };
        let Ok(Value::Object(mut event)) = serde_json::from_str(text) else {
            return failed(&Complaint::bad_body("This is no event.", None));
        };
        if event.remove("type") != Some("response.create".into()) {
            return failed(&Complaint::bad_body("Unknown event type.", Some("type")));
        }
        // Some clients wrap the body, some send it flat.
        let mut body = match event.remove("response") {
            Some(Value::Object(body)) => body,
            _ => event,
        };
        body.insert("stream".to_owned(), true.into());
        let body = bytes::Bytes::from(Value::Object(body).to_string());
        let ask = match Ask::read("application/json", &body) {
            Ok(ask) => ask,
            Err(why) => return failed(&Complaint::bad_body(&why, None)),
        };
        let site = Arc::clone(&self.site);
        let kept = ask.store != Some(false) && !site.spec.zero_retention;
        let foreign = |response: &StoredResponse, own: &HashMap<String, StoredResponse>| {
            response.socket && !own.contains_key(&response.facts.id)
        };
        let previous = ask.previous_response_id.as_ref();
        if let Some(id) = previous
            && site.store().responses.find(id).is_some_and(|response| foreign(response, &self.own))
        {
            return failed(&Complaint::unknown_previous(id, Outcome::GoneHandle));
        }
        let model = ask.model.clone().unwrap_or_default();
        if !model.is_empty() && !site.spec.models.contains(&model) {
            return failed(&Complaint::wrong_model(site.spec.kind, &model));
        }
        let body_bytes = body.len() as u64;
        let nonce = self.nonce.as_deref();
        let call = Call {
            site: &site,
            ask: &ask,
            model: &model,
            nonce,
            script: self.script(),
            body_bytes,
            on_socket: true,
        };
        let reply = match responses::create_on_socket(&call) {
            Ok((reply, made)) => {
                if !kept {
                    self.own.insert(made.facts.id.clone(), made);
                }
                reply
            }
            Err(complaint) => return failed(&complaint),
        };
        let Payload::Events(events) = reply.payload else { return Vec::new() };
        let data = |event: bytes::Bytes| {
            let text = std::str::from_utf8(&event).ok()?;
            serde_json::from_str(text.split_once("data: ")?.1).ok()
        };
        events.filter_map(data).collect()
    }

    /// Realtime: each `response.create` is a turn of the conversation that the socket holds.
    fn converse(&mut self, text: &str) -> Vec<Value> {
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        match event["type"].as_str() {
            Some("session.update") => vec![json!({"type": "session.updated", "session": event["session"]})],
            Some("conversation.item.create") => {
                let mut item = event["item"].clone();
                item["id"] = self.site.minter.mint("item_").into();
                vec![json!({"type": "conversation.item.created", "item": item})]
            }
            Some("response.create") => {
                self.turn += 1;
                let id = self.site.minter.mint("resp_");
                let words = self.words(self.turn);
                let mut events = vec![
                    json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}}),
                ];
                events.extend(words.pieces().map(
                    |piece| json!({"type": "response.output_text.delta", "response_id": id, "delta": piece}),
                ));
                let usage = json!({"total_tokens": 8, "input_tokens": 4, "output_tokens": 4});
                let done = json!({"id": id, "status": "completed", "usage": usage});
                events.push(json!({"type": "response.done", "response": done}));
                events
            }
            _ => {
                let error = json!({"type": "invalid_request_error", "code": "invalid_event", "message": "Unknown event."});
                vec![json!({"type": "error", "error": error})]
            }
        }
    }

    /// Gemini's live session: set up by the first message, resumed there by a handle.
    fn live(&mut self, text: &str) -> Vec<Value> {
        const KIND: &str = "live_handle";
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let handle = |turn: u64| {
            let handle = self.site.minter.mint("");
            let mut thing = Thing::new(Value::Null).lives(2 * self.site.spec.lifetimes.cached);
            thing.turns = turn;
            self.site.put(KIND, &handle, thing);
            json!({"sessionResumptionUpdate": {"newHandle": handle, "resumable": true}})
        };
        if let Some(setup) = message.get("setup") {
            let model = setup["model"].as_str().unwrap_or_default();
            let model = model.rsplit('/').next().unwrap_or_default().to_owned();
            if !self.site.spec.models.contains(&model) {
                return vec![
                    json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "no such model"}}),
                ];
            }
            if let Some(resumed) = setup.pointer("/sessionResumption/handle").and_then(Value::as_str) {
                match self.site.with(KIND, resumed, |thing| thing.turns) {
                    Ok(turns) => self.turn = turns,
                    Err(_) => {
                        let message = "BidiGenerateContent session not found";
                        return vec![
                            json!({"error": {"code": 404, "status": "NOT_FOUND", "message": message}}),
                        ];
                    }
                }
            }
            self.entry.amend(|seen| seen.model = Some(model));
            return vec![json!({"setupComplete": {}}), handle(self.turn)];
        }
        self.turn += 1;
        let turn = self.words(self.turn).whole();
        let parts = json!({"modelTurn": {"parts": [{"text": turn}]}, "turnComplete": true});
        vec![json!({"serverContent": parts}), handle(self.turn)]
    }
}
