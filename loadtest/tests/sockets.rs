//! Sockets at the fake clouds: what a socket holds is its own.

mod common;

use std::io;

use common::Client;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use riparian_loadtest::{CloudSpec, FakeCloud, Family, Kind, Outcome};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error, Message};

type Wire = WebSocketStream<TcpStream>;

async fn open(cloud: &FakeCloud, path: &str) -> Result<Wire, Error> {
    let request = Request::get(format!("ws://{}{path}", cloud.addr()))
        .header("host", cloud.addr().to_string())
        .header("authorization", format!("Bearer {}", cloud.spec().credential))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key())
        .body(())
        .expect("a request");
    let stream = TcpStream::connect(cloud.addr()).await?;
    Ok(tokio_tungstenite::client_async(request, stream).await?.0)
}

/// Sends one message and reads until one of these types comes.
async fn ask(wire: &mut Wire, message: Value, until: &[&str]) -> Vec<Value> {
    wire.send(Message::text(message.to_string())).await.expect("an open socket");
    read(wire, until).await
}

async fn read(wire: &mut Wire, until: &[&str]) -> Vec<Value> {
    let mut read: Vec<Value> = Vec::new();
    loop {
        let message = wire.next().await.expect("an open socket").expect("a message");
        let event: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
        let last = until.iter().any(|kind| event["type"] == *kind || event.get(*kind).is_some());
        read.push(event);
        if last {
            return read;
        }
    }
}

fn create(previous: &Value, store: bool) -> Value {
    let response =
        json!({"model": "gpt-5.5", "input": "x", "store": store, "previous_response_id": previous});
    let mut event = json!({"type": "response.create"});
    event.as_object_mut().expect("an object").extend(response.as_object().expect("an object").clone());
    event
}

const ENDS: [&str; 2] = ["response.completed", "error"];

#[tokio::test]
async fn a_response_that_is_not_stored_lives_on_its_socket() -> io::Result<()> {
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c")).await?;
    let (mut one, mut two) = (
        open(&cloud, "/v1/responses").await.expect("a socket"),
        open(&cloud, "/v1/responses").await.expect("another"),
    );
    let first = ask(&mut one, create(&Value::Null, false), &ENDS).await;
    assert_eq!(first[0]["type"], "response.created");
    let id = first[0]["response"]["id"].clone();
    let second = ask(&mut one, create(&id, false), &ENDS).await;
    let done = second.last().expect("an end");
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "c turn 2 1 2 3 4 5 6 7", "{done}");
    let elsewhere = ask(&mut two, create(&id, false), &ENDS).await;
    assert_eq!(elsewhere[0]["error"]["code"], "previous_response_not_found");
    let line = format!("GET /v1/responses/{}", id.as_str().expect("an id"));
    assert_eq!(Client::new().send(&cloud, &line, "").await.status, 404);
    let stored = ask(&mut one, create(&id, true), &ENDS).await[0]["response"]["id"].clone();
    let elsewhere = ask(&mut two, create(&stored, true), &ENDS).await;
    assert_eq!(elsewhere[0]["type"], "response.created", "what is stored is everybody's");
    one.close(None).await.expect("a close");
    assert!(cloud.wait_for(std::time::Duration::from_secs(5), |counts| counts.ok == 1).await);
    assert_eq!(cloud.seen()[0].operation, Some("responses.socket"));
    Ok(())
}

#[tokio::test]
async fn realtime_begins_with_its_session() -> io::Result<()> {
    let cloud = FakeCloud::start(CloudSpec::new(Kind::Azure, "c").models(["gpt-realtime"])).await?;
    let mut wire = open(&cloud, "/openai/v1/realtime?model=gpt-realtime").await.expect("a socket");
    let created = read(&mut wire, &["session.created"]).await;
    assert!(created[0]["session"]["id"].as_str().is_some_and(|id| id.starts_with("sess_")));
    ask(&mut wire, json!({"type": "response.create"}), &["response.done"]).await;
    let second = ask(&mut wire, json!({"type": "response.create"}), &["response.done"]).await;
    assert_eq!(second[1]["delta"], "c turn 2", "{second:?}");
    let wrong = open(&cloud, "/openai/v1/realtime?model=nope").await;
    assert!(matches!(wrong, Err(Error::Http(answer)) if answer.status() == 404));
    drop(wire);
    assert!(cloud.wait_for(std::time::Duration::from_secs(5), |counts| counts.client_gone == 1).await);
    assert_eq!(cloud.seen()[1].outcome, Outcome::WrongModel);
    Ok(())
}

#[tokio::test]
async fn a_live_session_is_resumed_by_its_handle_only_at_home() -> io::Result<()> {
    let spec = |name| CloudSpec::new(Kind::OpenAi, name).speaking([Family::Google]);
    let (home, other) = (FakeCloud::start(spec("home")).await?, FakeCloud::start(spec("other")).await?);
    let path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
    let mut wire = open(&home, path).await.expect("a socket");
    let setup = |handle: &Value| json!({"setup": {"model": "models/gemini-3.8-flash", "sessionResumption": {"handle": handle}}});
    ask(&mut wire, setup(&Value::Null), &["sessionResumptionUpdate"]).await;
    let turn = ask(&mut wire, json!({"clientContent": {}}), &["sessionResumptionUpdate"]).await;
    let handle = turn[1]["sessionResumptionUpdate"]["newHandle"].clone();
    let mut again = open(&home, path).await.expect("a socket");
    ask(&mut again, setup(&handle), &["sessionResumptionUpdate"]).await;
    let turn = ask(&mut again, json!({"clientContent": {}}), &["serverContent"]).await;
    assert_eq!(turn[0]["serverContent"]["modelTurn"]["parts"][0]["text"], "home turn 2");
    let mut lost = open(&other, path).await.expect("a socket");
    let refused = ask(&mut lost, setup(&handle), &["error", "setupComplete"]).await;
    assert!(refused[0].get("error").is_some(), "{refused:?}");
    Ok(())
}
