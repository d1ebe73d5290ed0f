//! Sockets of the OpenAI dialect: a chain that lives on one, and what it stored used elsewhere afterwards.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::super::client::{Actor, Ask, Thread, turn_in};
use crate::cloud::Family::OpenAi;

type Wire = WebSocketStream<TcpStream>;

/// How long anything on a socket may take.
const WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    if actor.dice.below(2) == 0 { responses(actor).await } else { realtime(actor).await }
}

/// Opens one at any replica, again while it is refused for a passing reason.
async fn open(actor: &mut Actor, path: &str, tenant: usize) -> Option<Wire> {
    let end = Instant::now() + Duration::from_secs(30);
    let mut refusal = String::new();
    while Instant::now() < end {
        let targets = actor.targets(OpenAi).to_vec();
        let target = *actor.any(&targets);
        let mut request = Request::get(format!("ws://{target}{path}"))
            .header("host", target.to_string())
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        for (name, value) in actor.credentials(OpenAi, tenant) {
            request = request.header(name, value);
        }
        let request = request.body(()).ok()?;
        actor.world.tally.sent(OpenAi);
        let opened = async {
            let stream = TcpStream::connect(target).await.map_err(|error| error.to_string())?;
            let opened = tokio_tungstenite::client_async(request, stream).await;
            opened.map(|(wire, _)| wire).map_err(|error| error.to_string())
        };
        match tokio::time::timeout(WITHIN, opened).await {
            Ok(Ok(wire)) => return Some(wire),
            Ok(Err(why)) => refusal = why,
            Err(_) => "no answer in time".clone_into(&mut refusal),
        }
        actor.world.tally.refused(format!("socket: {refusal}"));
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    actor.world.tally.found("uncreated", OpenAi, format!("no socket at {path}: {refusal}"));
    None
}

/// Sends one event and reads until one of these types; nothing if the socket broke, as it does when a replica is ended.
async fn ask(wire: &mut Wire, event: &Value, until: &[&str]) -> Option<Vec<Value>> {
    let talk = async {
        wire.send(Message::text(event.to_string())).await.ok()?;
        let mut read = Vec::new();
        while let Some(message) = wire.next().await {
            let Ok(Message::Text(text)) = message else { return None };
            let event: Value = serde_json::from_str(&text).ok()?;
            let last = event["type"].as_str().is_some_and(|kind| until.contains(&kind));
            read.push(event);
            if last {
                return Some(read);
            }
        }
        None
    };
    tokio::time::timeout(WITHIN, talk).await.ok().flatten()
}

async fn responses(actor: &mut Actor) -> Option<()> {
    let tenant = actor.tenant();
    let mut wire = open(actor, "/v1/responses", tenant).await?;
    let mut thread = Thread::default();
    let mut previous = Value::Null;
    let here = Ask::new(OpenAi, "GET", "/v1/responses (socket)");
    for turn in 0..2 + actor.dice.below(3) {
        let event = json!({
            "type": "response.create", "model": "gpt-5.5", "input": "hello", "store": true,
            "previous_response_id": previous,
        });
        actor.world.tally.sent(OpenAi);
        let Some(events) = ask(&mut wire, &event, &["response.completed", "error"]).await else {
            actor.world.tally.refused("socket: broke off".to_owned());
            break;
        };
        let last = events.last()?;
        if last["type"] == "error" {
            // A cloud that fails on request says so in its events too; what it does not know is another matter.
            if last["error"]["code"] == "previous_response_not_found" {
                actor.world.tally.found("unusable", OpenAi, format!("on its socket: {last}"));
            }
            actor.world.tally.refused(format!("socket: {}", last["error"]["code"]));
            break;
        }
        if let Some((name, number)) = turn_in(&last.to_string()) {
            actor.follow_turn(&here, &mut thread, &name, number);
        }
        previous = last["response"]["id"].clone();
        let new = turn == 0;
        actor.world.tally.of(OpenAi, |counts| {
            counts.ok += 1;
            if new { counts.creates += 1 } else { counts.continues += 1 }
        });
    }
    let _ = wire.close(None).await; // broken already: as it may be
    let Some(id) = previous.as_str() else { return Some(()) };
    if let Some(thief) = actor.thief() {
        steal(actor, id, thief).await?;
    }
    // What was stored is everybody's: over plain HTTP, at any replica.
    let body = json!({"model": "gpt-5.5", "input": "go on", "previous_response_id": id});
    let next = Ask::new(OpenAi, "POST", "/v1/responses").json(&body);
    let answer = actor.cite(&next).await?;
    actor.follow(&next, &mut thread, &answer);
    Some(())
}

/// Another tenant cites it on a socket of its own.
async fn steal(actor: &mut Actor, id: &str, thief: usize) -> Option<()> {
    let mut wire = open(actor, "/v1/responses", thief).await?;
    let event =
        json!({"type": "response.create", "model": "gpt-5.5", "input": "give", "previous_response_id": id});
    actor.world.tally.sent(OpenAi);
    actor.world.tally.of(OpenAi, |counts| counts.thefts += 1);
    let events = ask(&mut wire, &event, &["response.completed", "error"]).await;
    match events.as_ref().and_then(|events| events.last()) {
        Some(last) if last["type"] == "response.completed" => {
            actor.world.tally.found("stolen", OpenAi, format!("on a socket: {id}"));
        }
        Some(last) => {
            actor.world.tally.rightly(format!("theft on a socket: {}", last["error"]["code"]));
        }
        None => actor.world.tally.rightly("theft on a socket: closed".to_owned()),
    }
    Some(())
}

async fn realtime(actor: &mut Actor) -> Option<()> {
    let tenant = actor.tenant();
    let mut wire = open(actor, "/v1/realtime?model=gpt-realtime", tenant).await?;
    for _ in 0..1 + actor.dice.below(3) {
        actor.world.tally.sent(OpenAi);
        let event = json!({"type": "response.create"});
        if ask(&mut wire, &event, &["response.done", "error"]).await.is_none() {
            actor.world.tally.refused("socket: broke off".to_owned());
            return None;
        }
        actor.world.tally.of(OpenAi, |counts| {
            counts.ok += 1;
            counts.continues += 1;
        });
    }
    let _ = wire.close(None).await; // broken already: as it may be
    Some(())
}
