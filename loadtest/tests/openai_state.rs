//! What the OpenAI dialect keeps: only where it was born, only as long as it lives, and refused as the vendor refuses it.

mod common;

use std::io;
use std::time::Duration;

use common::{Client, Reply};
use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use serde_json::{Value, json};

async fn two() -> io::Result<(FakeCloud, FakeCloud, Client)> {
    let home = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "home")).await?;
    Ok((home, FakeCloud::start(CloudSpec::new(Kind::OpenAi, "other")).await?, Client::new()))
}

fn id(reply: &Reply) -> String {
    reply.json()["id"].as_str().expect("an object with an id").to_owned()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the value in the call")]
fn respond(more: Value) -> String {
    let mut body = json!({"model": "gpt-5.5", "input": "x"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body.to_string()
}

#[tokio::test]
async fn conversation_items_come_and_go() -> io::Result<()> {
    let (home, other, client) = two().await?;
    let body = r#"{"items":[{"role":"user","content":"hi"}],"metadata":{"a":"b"}}"#;
    let conversation = id(&client.send(&home, "POST /v1/conversations", body).await);
    let items = format!("/v1/conversations/{conversation}/items");
    let made =
        client.send(&home, &format!("POST {items}"), r#"{"items":[{"role":"user","content":"ho"}]}"#).await;
    let item = made.json()["data"][0]["id"].as_str().expect("an item").to_owned();
    client.send(&home, "POST /v1/responses", &respond(json!({"conversation": conversation}))).await;
    let listed = client.send(&home, &format!("GET {items}"), "").await.json();
    assert_eq!(
        listed["data"].as_array().map(Vec::len),
        Some(4),
        "two given, one said, one answered: {listed}"
    );
    assert_eq!(client.send(&home, &format!("GET {items}/{item}"), "").await.status, 200);
    assert_eq!(client.send(&home, &format!("DELETE {items}/{item}"), "").await.status, 200);
    assert_eq!(client.send(&home, &format!("GET {items}/{item}"), "").await.status, 404);
    let line = format!("POST /v1/conversations/{conversation}");
    let update = client.send(&home, &line, r#"{"metadata":{"c":"d"}}"#).await;
    assert_eq!(update.json()["metadata"]["c"], "d");
    assert_eq!(client.send(&other, &format!("GET {items}"), "").await.status, 404);
    assert_eq!((other.counts().foreign_handle, other.counts().misplaced), (1, 0), "they share no book");
    Ok(())
}

#[tokio::test]
async fn one_turn_of_a_conversation_at_a_time() -> io::Result<()> {
    let spec = CloudSpec::new(Kind::OpenAi, "slow").streaming(4, Duration::from_millis(300));
    let (cloud, client) = (FakeCloud::start(spec).await?, Client::new());
    let conversation = id(&client.send(&cloud, "POST /v1/conversations", "{}").await);
    let body = respond(json!({"conversation": conversation, "stream": true}));
    let open = client.open(&cloud, "POST /v1/responses", &body).await.expect("a stream");
    let second = client.send(&cloud, "POST /v1/responses", &body).await;
    assert_eq!(
        (second.status.as_u16(), &second.json()["error"]["code"]),
        (400, &"conversation_locked".into())
    );
    drop(open);
    assert!(cloud.wait_for(Duration::from_secs(5), |counts| counts.client_gone == 1).await);
    assert_eq!(client.send(&cloud, "POST /v1/responses", &body).await.status, 200);
    assert_eq!((cloud.counts().locked, cloud.counts().foreign_handle), (1, 0));
    Ok(())
}

#[tokio::test]
async fn items_and_sealed_blobs_belong_to_their_account() -> io::Result<()> {
    let (home, other, client) = two().await?;
    let sealed = respond(json!({"store": false, "include": ["reasoning.encrypted_content"]}));
    let answer = client.send(&home, "POST /v1/responses", &sealed).await.json();
    let reasoning = answer["output"][0].clone();
    assert!(reasoning["encrypted_content"].is_string(), "{answer}");
    let again = respond(json!({"store": false, "input": [reasoning, {"role": "user", "content": "x"}]}));
    assert_eq!(client.send(&home, "POST /v1/responses", &again).await.status, 200);
    let refused = client.send(&other, "POST /v1/responses", &again).await;
    assert_eq!(refused.json()["error"]["code"], "invalid_encrypted_content");
    let by_id = respond(json!({"input": [{"id": reasoning["id"]}]}));
    let refused = client.send(&home, "POST /v1/responses", &by_id).await;
    assert_eq!(refused.status, 404, "it was not stored");
    assert!(
        refused.text().contains("Items are not persisted when `store` is set to false"),
        "{}",
        refused.text()
    );
    let stored = client.send(&home, "POST /v1/responses", &respond(json!({}))).await.json();
    let by_id = respond(json!({"input": [{"type": "item_reference", "id": stored["output"][0]["id"]}]}));
    assert_eq!(client.send(&home, "POST /v1/responses", &by_id).await.status, 200);
    assert_eq!(client.send(&other, "POST /v1/responses", &by_id).await.status, 404);
    let compacted = client.send(&home, "POST /v1/responses/compact", &respond(json!({}))).await.json();
    assert_eq!(compacted["output"][0]["type"], "compaction");
    let packed = respond(json!({"input": compacted["output"]}));
    assert_eq!(client.send(&home, "POST /v1/responses", &packed).await.status, 200);
    assert_eq!(client.send(&other, "POST /v1/responses", &packed).await.status, 400);
    assert_eq!(other.counts().foreign_handle, 3);
    Ok(())
}

#[tokio::test]
async fn stored_completions_are_kept_only_when_asked() -> io::Result<()> {
    let (home, _, client) = two().await?;
    let body = r#"{"model":"gpt-5.5","messages":[],"store":true}"#;
    let kept = id(&client.send(&home, "POST /v1/chat/completions", body).await);
    let lost = id(&client.send(&home, "POST /v1/chat/completions", &body.replace("true", "false")).await);
    let line = |method: &str, id: &str| format!("{method} /v1/chat/completions/{id}");
    assert_eq!(client.send(&home, &line("GET", &kept), "").await.status, 200);
    assert_eq!(client.send(&home, &line("GET", &lost), "").await.status, 404);
    let changed = client.send(&home, &line("POST", &kept), r#"{"metadata":{"a":"b"}}"#).await;
    assert_eq!(changed.json()["metadata"]["a"], "b");
    let messages = client.send(&home, &format!("{}/messages", line("GET", &kept)), "").await;
    assert_eq!(messages.json()["data"][0]["content"], "home turn 1");
    assert_eq!(client.send(&home, "GET /v1/chat/completions", "").await.json()["data"][0]["id"], kept);
    assert_eq!(client.send(&home, &line("DELETE", &kept), "").await.json()["deleted"], true);
    assert_eq!(client.send(&home, &line("GET", &kept), "").await.status, 404);
    Ok(())
}

#[tokio::test]
async fn containers_are_forgotten_when_idle() -> io::Result<()> {
    let (home, other, client) = two().await?;
    let tool =
        json!({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}], "store": false});
    let answer = client.send(&home, "POST /v1/responses", &respond(tool)).await.json();
    let container = answer["output"][0]["container_id"].as_str().expect("a call of the tool").to_owned();
    let reuse = respond(json!({"tools": [{"type": "code_interpreter", "container": container}]}));
    home.advance(Duration::from_secs(15 * 60));
    assert_eq!(client.send(&home, "POST /v1/responses", &reuse).await.status, 200, "used in time");
    home.advance(Duration::from_secs(15 * 60));
    let line = format!("GET /v1/containers/{container}");
    assert_eq!(client.send(&home, &line, "").await.status, 200, "using it refreshed it");
    let foreign = client.send(&other, "POST /v1/responses", &reuse).await;
    assert_eq!(foreign.status, 404);
    assert!(foreign.text().contains("Container with id"), "{}", foreign.text());
    home.advance(Duration::from_secs(20 * 60));
    assert_eq!(client.send(&home, &line, "").await.status, 404);
    let expired = client.send(&home, "POST /v1/responses", &reuse).await;
    assert_eq!(expired.status, 400);
    assert!(expired.text().contains("Expected container_id: cntr_"), "{}", expired.text());
    assert_eq!((home.counts().gone_handle, home.counts().foreign_handle), (2, 0));
    Ok(())
}

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
                    Content-Type: application/jsonl\r\n\r\n{}\r\n--b--\r\n";

async fn form(client: &Client, cloud: &FakeCloud, line: &str) -> Reply {
    client.send_with(cloud, line, FORM, &[("content-type", "multipart/form-data; boundary=b")]).await
}

#[tokio::test]
async fn files_uploads_batches_and_vector_stores() -> io::Result<()> {
    let (home, other, client) = two().await?;
    let made = form(&client, &home, "POST /v1/files").await;
    assert_eq!((&made.json()["purpose"], &made.json()["filename"]), (&"batch".into(), &"a.jsonl".into()));
    let file = id(&made);
    assert_eq!(client.send(&home, &format!("GET /v1/files/{file}/content"), "").await.body, "{}");
    assert_eq!(client.send(&other, &format!("GET /v1/files/{file}"), "").await.status, 404);
    let batch =
        json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}).to_string();
    assert_eq!(client.send(&other, "POST /v1/batches", &batch).await.status, 404);
    let batch = client.send(&home, "POST /v1/batches", &batch).await.json();
    let output = batch["output_file_id"].as_str().expect("an output").to_owned();
    assert_eq!(client.send(&home, &format!("GET /v1/files/{output}/content"), "").await.status, 200);
    let store = id(&client.send(&home, "POST /v1/vector_stores", r#"{"name":"n"}"#).await);
    let add = json!({"file_id": file}).to_string();
    let files = format!("POST /v1/vector_stores/{store}/files");
    assert_eq!(client.send(&home, &files, &add).await.status, 200);
    let found =
        client.send(&home, &format!("POST /v1/vector_stores/{store}/search"), r#"{"query":"q"}"#).await;
    assert_eq!(found.json()["data"][0]["file_id"], file);
    let search = respond(json!({"tools": [{"type": "file_search", "vector_store_ids": [store]}]}));
    assert_eq!(client.send(&home, "POST /v1/responses", &search).await.status, 200);
    assert_eq!(client.send(&other, "POST /v1/responses", &search).await.status, 404);
    let upload =
        json!({"filename": "b", "purpose": "batch", "bytes": 2, "mime_type": "text/plain"}).to_string();
    let upload = id(&client.send(&home, "POST /v1/uploads", &upload).await);
    let part = form(&client, &home, &format!("POST /v1/uploads/{upload}/parts")).await;
    let complete = json!({"part_ids": [id(&part)]}).to_string();
    let whole = client.send(&home, &format!("POST /v1/uploads/{upload}/complete"), &complete).await.json();
    assert_eq!((&whole["status"], &whole["file"]["bytes"]), (&"completed".into(), &2.into()));
    assert_eq!(client.send(&home, &format!("DELETE /v1/files/{file}"), "").await.status, 200);
    assert_eq!(client.send(&home, &format!("GET /v1/files/{file}"), "").await.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_background_response_is_polled_and_its_stream_resumed() -> io::Result<()> {
    let (home, _, client) = two().await?;
    let queued = client.send(&home, "POST /v1/responses", &respond(json!({"background": true}))).await;
    assert_eq!(queued.json()["status"], "queued");
    let id = id(&queued);
    assert_eq!(
        client.send(&home, &format!("GET /v1/responses/{id}"), "").await.json()["status"],
        "completed"
    );
    let resumed =
        client.send(&home, &format!("GET /v1/responses/{id}?stream=true&starting_after=3"), "").await;
    let first = resumed.text().lines().find(|line| line.starts_with("data: ")).expect("an event").to_owned();
    assert!(first.contains("\"sequence_number\":4"), "{first}");
    assert!(resumed.text().contains("response.completed"));
    Ok(())
}

#[tokio::test]
async fn an_account_that_keeps_nothing_says_so() -> io::Result<()> {
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "zdr").zero_retention()).await?;
    let client = Client::new();
    let answer = client.send(&cloud, "POST /v1/responses", &respond(json!({"store": true}))).await;
    assert_eq!(answer.json()["store"], false);
    let id = id(&answer);
    assert_eq!(client.send(&cloud, &format!("GET /v1/responses/{id}"), "").await.status, 404);
    let refused =
        client.send(&cloud, "POST /v1/responses", &respond(json!({"previous_response_id": id}))).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Zero Data Retention"), "{}", refused.text());
    Ok(())
}

#[tokio::test]
async fn agents_prompts_and_calls() -> io::Result<()> {
    let (home, other, client) = two().await?;
    let beta = [("openai-beta", "agents=v1")];
    assert_eq!(client.send(&home, "POST /v1/agents/sessions", "{}").await.status, 400, "it is a beta");
    let session = id(&client.send_with(&home, "POST /v1/agents/sessions", "{}", &beta).await);
    let line = format!("POST /v1/agents/sessions/{session}/events");
    let turn = client.send_with(&home, &line, r#"{"events":[]}"#, &beta).await;
    assert_eq!(turn.json()["data"][0]["text"], "home turn 1");
    assert_eq!(client.send_with(&other, &line, "{}", &beta).await.status, 404);
    let stream = client.send_with(&home, "POST /v1/agents/sessions", r#"{"stream":true}"#, &beta).await;
    assert!(stream.text().starts_with("event: agent.session.created\n"), "{}", stream.text());
    let secret = client.send(&home, "POST /v1/realtime/client_secrets", "{}").await.json();
    assert!(secret["value"].as_str().is_some_and(|value| value.starts_with("ek_")), "{secret}");
    let call = client
        .send_with(&home, "POST /v1/realtime/calls", "v=0", &[("content-type", "application/sdp")])
        .await;
    assert_eq!(call.status, 201);
    let location = call.headers["location"].to_str().expect("a URL").to_owned();
    assert_eq!(client.send(&other, &format!("POST {location}/hangup"), "").await.status, 404);
    assert_eq!(client.send(&home, &format!("POST {location}/hangup"), "").await.status, 200);
    let prompt = id(&client.send(&home, "POST /v1/prompts", "{}").await);
    assert_eq!(client.send(&home, &format!("GET /v1/prompts/{prompt}"), "").await.status, 200);
    Ok(())
}
