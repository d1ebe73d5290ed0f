//! The other families: each keeps its own state, checks its own credential and refuses in its own words.

mod common;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::{Client, Reply};
use riparian_loadtest::cloud::{EventMessage, read_events};
use riparian_loadtest::{CloudSpec, FakeCloud, Family, Fleet, Kind, Outcome, TENANT_HEADER};
use serde_json::{Value, json};

struct Pair {
    home: FakeCloud,
    other: FakeCloud,
    client: Client,
    fleet: Arc<Fleet>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Pair {
    /// Two clouds of a family that share a book; `headers` go with every request.
    async fn of(family: Family, headers: &[(&'static str, &'static str)]) -> io::Result<Pair> {
        let fleet = Arc::new(Fleet::default());
        let spec = |name| CloudSpec::new(Kind::Bedrock, name).speaking([family]).fleet(&fleet);
        let (home, other) = (FakeCloud::start(spec("home")).await?, FakeCloud::start(spec("other")).await?);
        Ok(Pair { home, other, client: Client::new(), fleet, headers: headers.to_vec() })
    }

    async fn home(&self, line: &str, body: &Value) -> Reply {
        self.client.send_with(&self.home, line, &text(body), &self.headers).await
    }

    async fn other(&self, line: &str, body: &Value) -> Reply {
        self.client.send_with(&self.other, line, &text(body), &self.headers).await
    }
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string: {value}")).to_owned()
}

fn events(reply: &Reply) -> Vec<EventMessage> {
    assert_eq!(reply.headers["content-type"], "application/vnd.amazon.eventstream");
    let (events, used) = read_events(&reply.body).expect("a sound stream");
    assert_eq!(used, reply.body.len(), "nothing is left over");
    events
}

/// The text of a stream whose pieces are base64.
fn spoken(reply: &Reply) -> String {
    use base64::Engine as _;
    let piece = |(_, payload): &EventMessage| {
        let payload: Value = serde_json::from_slice(payload).expect("JSON");
        base64::engine::general_purpose::STANDARD.decode(string(&payload["bytes"])).expect("base64")
    };
    String::from_utf8(events(reply).iter().flat_map(piece).collect()).expect("text")
}

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

#[tokio::test]
async fn anthropic_messages_containers_and_seals() -> io::Result<()> {
    let pair = Pair::of(Family::Anthropic, &[VERSION]).await?;
    let ask = |more: Value| {
        let mut body = json!({"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let missing = pair.client.send(&pair.home, "POST /v1/messages", &ask(json!({})).to_string()).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.json()["type"]),
        (400, &"error".into()),
        "no anthropic-version"
    );
    let thought = pair.home("POST /v1/messages", &ask(json!({"thinking": {"type": "enabled"}}))).await.json();
    let again = ask(json!({"messages": [{"role": "assistant", "content": thought["content"]}]}));
    assert_eq!(pair.home("POST /v1/messages", &again).await.status, 200);
    let refused = pair.other("POST /v1/messages", &again).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Invalid `signature` in `thinking` block"), "{}", refused.text());
    let tool =
        json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}], "stream": true});
    let stream = pair.home("POST /v1/messages", &ask(tool)).await;
    let delta =
        stream.text().lines().find(|line| line.contains("\"message_delta\"") && line.starts_with("data: "));
    let delta: Value = serde_json::from_str(&delta.expect("an end")[6..]).expect("JSON");
    let container = string(&delta["delta"]["container"]["id"]);
    let second = pair.home("POST /v1/messages", &ask(json!({"container": container}))).await.json();
    assert_eq!(second["content"][0]["text"], "home turn 2");
    assert_eq!(pair.other("POST /v1/messages", &ask(json!({"container": container}))).await.status, 404);
    assert_eq!(pair.home("POST /v1/messages/count_tokens", &ask(json!({}))).await.status, 200);
    assert_eq!((pair.other.counts().foreign_handle, pair.other.counts().misplaced), (2, 2));
    assert_eq!(pair.fleet.counts().misplaced, 2);
    Ok(())
}

#[tokio::test]
async fn anthropic_files_batches_and_sessions() -> io::Result<()> {
    let form =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello\r\n--b--\r\n";
    let pair =
        Pair::of(Family::Anthropic, &[VERSION, ("anthropic-beta", "managed-agents-2026-04-01")]).await?;
    let headers = [VERSION, ("content-type", "multipart/form-data; boundary=b")];
    let file =
        string(&pair.client.send_with(&pair.home, "POST /v1/files", form, &headers).await.json()["id"]);
    assert_eq!(pair.home(&format!("GET /v1/files/{file}/content"), &Value::Null).await.body, "hello");
    assert_eq!(pair.other(&format!("GET /v1/files/{file}"), &Value::Null).await.status, 404);
    let batch =
        string(&pair.home("POST /v1/messages/batches", &json!({"requests": [{}]})).await.json()["id"]);
    let results = format!("GET /v1/messages/batches/{batch}/results");
    assert_eq!(pair.home(&results, &Value::Null).await.status, 200);
    pair.home.advance(Duration::from_secs(29 * 24 * 3600));
    assert_eq!(pair.home(&results, &Value::Null).await.status, 404, "results are kept 29 days");
    let agent = string(&pair.home("POST /v1/agents", &json!({"name": "a"})).await.json()["id"]);
    assert_eq!(pair.other("POST /v1/sessions", &json!({"agent": agent})).await.status, 404);
    let session = string(&pair.home("POST /v1/sessions", &json!({"agent": agent})).await.json()["id"]);
    let line = format!("POST /v1/sessions/{session}/events");
    assert_eq!(pair.home(&line, &json!({})).await.json()["data"][0]["content"], "home turn 1");
    assert_eq!(pair.other(&line, &json!({})).await.status, 404);
    assert_eq!(pair.home(&format!("DELETE /v1/sessions/{session}"), &Value::Null).await.status, 200);
    assert_eq!(pair.home(&line, &json!({})).await.status, 404);
    Ok(())
}

const MODEL: &str = "us.anthropic.claude-sonnet-5";

#[tokio::test]
async fn bedrock_streams_with_checksums() -> io::Result<()> {
    let pair = Pair::of(Family::Bedrock, &[]).await?;
    let ask = json!({
        "messages": [{"role": "user", "content": [{"text": "x"}]}],
        "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
    });
    let whole = pair.home(&format!("POST /model/{MODEL}/converse"), &ask).await.json();
    let content = &whole["output"]["message"]["content"];
    assert_eq!(content[1]["text"], "home turn 1");
    let stream = pair.home(&format!("POST /model/{MODEL}/converse-stream"), &ask).await;
    let names: Vec<String> = events(&stream).iter().map(|(headers, _)| headers[0].1.clone()).collect();
    assert_eq!((names[0].as_str(), names[names.len() - 1].as_str()), ("messageStart", "metadata"));
    let again = json!({"messages": [{"role": "assistant", "content": content}]});
    assert_eq!(pair.home(&format!("POST /model/{MODEL}/converse"), &again).await.status, 200);
    let refused = pair.other(&format!("POST /model/{MODEL}/converse"), &again).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["x-amzn-errortype"]),
        (400, &"ValidationException".parse().expect("a value"))
    );
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "messages": [], "max_tokens": 1});
    let invoked = pair.home(&format!("POST /model/{MODEL}/invoke-with-response-stream"), &body).await;
    assert!(spoken(&invoked).contains("home turn 1"), "the words are in the stream");
    assert_eq!(pair.home("POST /model/nope/converse", &ask).await.status, 404);
    let started = pair.home("POST /async-invoke", &json!({"modelId": MODEL})).await.json();
    let arn = string(&started["invocationArn"]).replace(':', "%3A").replace('/', "%2F");
    let line = format!("GET /async-invoke/{arn}");
    assert_eq!(pair.home(&line, &Value::Null).await.json()["status"], "Completed");
    assert_eq!(pair.other(&line, &Value::Null).await.status, 404);
    assert_eq!(pair.fleet.counts().misplaced, 2);
    Ok(())
}

#[tokio::test]
async fn an_unknown_agent_session_is_silently_a_new_one() -> io::Result<()> {
    let pair = Pair::of(Family::BedrockAgents, &[]).await?;
    let line = "POST /agents/A1/agentAliases/B1/sessions/s-1/text";
    let ask = json!({"inputText": "x", "memoryId": "m1"});
    assert!(spoken(&pair.home(line, &ask).await).starts_with("home turn 1"));
    let second = pair.home(line, &ask).await;
    assert!(spoken(&second).starts_with("home turn 2"));
    assert_eq!(second.headers["x-amz-bedrock-agent-session-id"], "s-1");
    assert_eq!(pair.fleet.counts().scattered, 0);
    let lost = pair.other(line, &ask).await;
    assert_eq!(lost.status, 200);
    assert!(spoken(&lost).starts_with("other turn 1"), "amnesia, not an error");
    assert_eq!((pair.other.counts().misplaced, pair.fleet.counts().scattered), (1, 1));
    assert_eq!(pair.fleet.violations()[0].kind, "scattered");
    pair.home.advance(Duration::from_secs(15 * 60));
    assert!(spoken(&pair.home(line, &ask).await).starts_with("home turn 1"), "idle for too long");
    let memories =
        pair.home("GET /agents/A1/agentAliases/B1/memories?memoryId=m1", &Value::Null).await.json();
    assert!(memories["memoryContents"].as_array().is_some(), "{memories}");
    Ok(())
}

#[tokio::test]
async fn knowledge_base_chats_sessions_and_flows() -> io::Result<()> {
    let pair = Pair::of(Family::BedrockAgents, &[]).await?;
    let first = pair.home("POST /retrieveAndGenerate", &json!({"input": {"text": "x"}})).await.json();
    let go_on = json!({"input": {"text": "x"}, "sessionId": first["sessionId"]});
    assert_eq!(pair.home("POST /retrieveAndGenerate", &go_on).await.json()["output"]["text"], "home turn 2");
    let stream = pair.home("POST /retrieveAndGenerateStream", &go_on).await;
    assert_eq!(stream.headers["x-amzn-bedrock-knowledge-base-session-id"], string(&first["sessionId"]));
    assert!(events(&stream).len() > 1);
    assert_eq!(pair.other("POST /retrieveAndGenerate", &go_on).await.status, 400);
    let session = pair.home("PUT /sessions/", &json!({})).await;
    assert_eq!(session.status, 201);
    let session = string(&session.json()["sessionId"]);
    let invocation = pair.home(&format!("PUT /sessions/{session}/invocations/"), &json!({})).await.json();
    let step = json!({"invocationIdentifier": invocation["invocationId"]});
    assert_eq!(pair.home(&format!("PUT /sessions/{session}/invocationSteps/"), &step).await.status, 201);
    assert_eq!(pair.other(&format!("GET /sessions/{session}"), &Value::Null).await.status, 404);
    let delete = format!("DELETE /sessions/{session}");
    assert_eq!(pair.home(&delete, &Value::Null).await.status, 409, "it must be ended first");
    assert_eq!(pair.home(&format!("PATCH /sessions/{session}"), &json!({})).await.status, 200);
    assert_eq!(pair.home(&delete, &Value::Null).await.status, 200);
    let flow = pair.home("POST /flows/F1/aliases/A1", &json!({"inputs": []})).await;
    let execution = flow.headers["x-amz-bedrock-flow-execution-id"].to_str().expect("an id").to_owned();
    let go_on = json!({"inputs": [], "executionId": execution});
    let next = pair.home("POST /flows/F1/aliases/A1", &go_on).await;
    assert!(String::from_utf8_lossy(&events(&next)[0].1).contains("home turn 2"));
    assert_eq!(pair.other("POST /flows/F1/aliases/A1", &go_on).await.status, 404);
    Ok(())
}

#[tokio::test]
async fn runtimes_take_the_session_that_they_are_given() -> io::Result<()> {
    const SESSION: (&str, &str) =
        ("x-amzn-bedrock-agentcore-runtime-session-id", "invented-by-the-client-0123456789abcdef");
    let pair = Pair::of(Family::AgentCore, &[SESSION]).await?;
    let line = "POST /runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A1%3Aruntime%2Fx/invocations";
    pair.home(line, &json!({})).await;
    assert_eq!(pair.home(line, &json!({})).await.json()["turn"], 2);
    assert_eq!(pair.other(line, &json!({})).await.json()["turn"], 1, "amnesia");
    assert_eq!(pair.fleet.counts().scattered, 1);
    let minted = pair.client.send(&pair.home, line, "{}").await;
    let minted = minted.headers[SESSION.0].to_str().expect("an id").to_owned();
    let headers = [(SESSION.0, minted.as_str())];
    assert_eq!(pair.client.send_with(&pair.home, line, "{}", &headers).await.json()["turn"], 2);
    let stop = line.replace("invocations", "stopruntimesession");
    assert_eq!(pair.client.send_with(&pair.home, &stop, "{}", &headers).await.status, 200);
    assert_eq!(pair.client.send_with(&pair.home, &stop, "{}", &headers).await.status, 404);
    let short = [(SESSION.0, "too-short")];
    assert_eq!(pair.client.send_with(&pair.home, line, "{}", &short).await.status, 400);
    let started = pair.home("PUT /code-interpreters/c1/sessions/start", &json!({})).await.json();
    let session = string(&started["sessionId"]);
    let header = [("x-amzn-code-interpreter-session-id", session.as_str())];
    let invoke = "POST /code-interpreters/c1/tools/invoke";
    assert_eq!(events(&pair.client.send_with(&pair.home, invoke, "{}", &header).await).len(), 1);
    assert_eq!(pair.client.send_with(&pair.other, invoke, "{}", &header).await.status, 404);
    let event = json!({"actorId": "a", "sessionId": "s", "payload": []});
    let event = pair.home("POST /memories/m1/events", &event).await.json();
    let id = string(&event["event"]["eventId"]).replace('#', "%23");
    let line = format!("GET /memories/m1/actor/a/sessions/s/events/{id}");
    assert_eq!(pair.home(&line, &Value::Null).await.status, 200);
    assert_eq!(pair.other(&line, &Value::Null).await.status, 404);
    Ok(())
}

#[tokio::test]
async fn an_unsigned_or_wrongly_signed_request_is_refused() -> io::Result<()> {
    let pair = Pair::of(Family::Bedrock, &[]).await?;
    let key = pair.home.spec().access_key.clone();
    let signed = |key: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature=00"
        )
    };
    for (authorization, code) in [
        (signed(&key), "InvalidSignatureException"),
        (signed("AKIAOTHER"), "UnrecognizedClientException"),
        (signed(&key).replace("us-east-1", "eu-west-1"), "InvalidSignatureException"),
        ("Bearer nope".to_owned(), "UnrecognizedClientException"),
    ] {
        let headers =
            [("authorization", authorization.as_str()), ("x-amz-date", "20260101T000000Z"), ("x-own", "1")];
        let line = format!("POST /model/{MODEL}/converse");
        let reply = pair.client.send_with(&pair.home, &line, "{}", &headers).await;
        assert_eq!(reply.status, 403, "{authorization}");
        assert_eq!(reply.headers["x-amzn-errortype"], code, "{authorization}");
        assert!(reply.json()["message"].is_string());
    }
    assert_eq!(pair.home.counts().wrong_credential, 4);
    Ok(())
}

#[tokio::test]
async fn gemini_caches_files_and_interactions() -> io::Result<()> {
    let pair = Pair::of(Family::Google, &[]).await?;
    let generate = "POST /v1beta/models/gemini-3.8-flash:generateContent";
    let ask = |more: Value| {
        let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let thinking = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let thought = pair.home(generate, &ask(thinking)).await.json();
    let again = json!({"contents": [thought["candidates"][0]["content"]]});
    assert_eq!(pair.home(generate, &again).await.status, 200);
    assert_eq!(pair.other(generate, &again).await.json()["error"]["status"], "INVALID_ARGUMENT");
    let stream = "POST /v1beta/models/gemini-3.8-flash:streamGenerateContent";
    let array = pair.home(stream, &ask(json!({}))).await.json();
    assert_eq!(array.as_array().map(Vec::len), Some(8), "an array of chunks");
    let sse = pair.home(&format!("{stream}?alt=sse"), &ask(json!({}))).await;
    assert_eq!(sse.text().matches("data: ").count(), 8);
    let cache =
        pair.home("POST /v1beta/cachedContents", &json!({"model": "models/m", "ttl": "60s"})).await.json();
    let cached = ask(json!({"cachedContent": cache["name"]}));
    assert_eq!(pair.home(generate, &cached).await.status, 200);
    assert_eq!(pair.other(generate, &cached).await.status, 403);
    pair.home.advance(Duration::from_secs(60));
    assert_eq!(pair.home(generate, &cached).await.status, 403, "its time is over");
    let file = pair.home("POST /upload/v1beta/files", &json!({})).await.json();
    let uri = ask(json!({"contents": [{"parts": [{"fileData": {"fileUri": file["file"]["uri"]}}]}]}));
    assert_eq!(pair.home(generate, &uri).await.status, 200);
    assert_eq!(pair.other(generate, &uri).await.status, 403);
    let vertex = "POST /v1/projects/p/locations/l/publishers/google/models/gemini-3.8-flash:generateContent";
    assert_eq!(pair.home(vertex, &ask(json!({}))).await.status, 200);
    let create = "POST /v1beta/interactions";
    let first = pair.home(create, &json!({"model": "gemini-3.8-flash", "input": "x"})).await.json();
    let next = json!({"model": "gemini-3.8-flash", "input": "x", "previous_interaction_id": first["id"]});
    assert_eq!(pair.home(create, &next).await.json()["outputs"][0]["text"], "home turn 2");
    assert_eq!(pair.other(create, &next).await.status, 404);
    let unstored = pair.home(create, &json!({"model": "gemini-3.8-flash", "store": false})).await.json();
    let line = format!("GET /v1beta/interactions/{}", string(&unstored["id"]));
    assert_eq!(pair.home(&line, &Value::Null).await.status, 404);
    Ok(())
}

#[tokio::test]
async fn mcp_sessions_are_initialized_used_and_ended() -> io::Result<()> {
    let pair = Pair::of(Family::Mcp, &[]).await?;
    let call = |method: &str| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
    assert_eq!(pair.home("POST /mcp", &call("tools/list")).await.status, 400, "no session");
    let begun = pair.home("POST /mcp", &call("initialize")).await;
    let session = begun.headers["mcp-session-id"].to_str().expect("an id").to_owned();
    let headers = [("mcp-session-id", session.as_str()), ("accept", "application/json, text/event-stream")];
    let tool = call("tools/call").to_string();
    let answer = pair.client.send_with(&pair.home, "POST /mcp", &tool, &headers).await;
    assert!(answer.text().contains("home turn 1"), "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(pair.client.send_with(&pair.other, "POST /mcp", &tool, &headers).await.status, 404);
    let mut tracked = call("tools/call");
    tracked["params"] = json!({"_meta": {"progressToken": 7}});
    let answer = pair.client.send_with(&pair.home, "POST /mcp", &tracked.to_string(), &headers).await;
    assert!(answer.text().contains(r#""progressToken":7"#), "{}", answer.text());
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(pair.client.send_with(&pair.home, "POST /mcp", notice, &headers).await.status, 202);
    assert_eq!(pair.client.send_with(&pair.home, "DELETE /mcp", "", &headers).await.status, 200);
    assert_eq!(pair.client.send_with(&pair.home, "POST /mcp", &tool, &headers).await.status, 404);
    let stateless = [("mcp-protocol-version", "2026-07-28")];
    assert_eq!(pair.client.send_with(&pair.other, "POST /mcp", &tool, &stateless).await.status, 200);
    assert_eq!((pair.other.counts().foreign_handle, pair.home.counts().gone_handle), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a2a_contexts_and_tasks() -> io::Result<()> {
    let pair = Pair::of(Family::A2a, &[]).await?;
    let message = |more: Value| {
        let mut message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"message": message})
    };
    let spoken = |reply: &Value| string(&reply["task"]["status"]["message"]["parts"][0]["text"]);
    let own = message(json!({"contextId": "my-context"}));
    let first = pair.home("POST /message:send", &own).await.json();
    assert_eq!(spoken(&first), "home turn 1");
    assert_eq!(spoken(&pair.home("POST /message:send", &own).await.json()), "home turn 2");
    assert_eq!(spoken(&pair.other("POST /message:send", &own).await.json()), "other turn 1", "amnesia");
    assert_eq!(pair.fleet.counts().scattered, 1);
    let task = string(&first["task"]["id"]);
    let unknown = pair.other(&format!("GET /tasks/{task}"), &Value::Null).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["code"]), (404, &(-32001).into()));
    assert_eq!(pair.home(&format!("POST /tasks/{task}:cancel"), &json!({})).await.status, 200);
    let mismatch = message(json!({"taskId": task, "contextId": "another"}));
    assert_eq!(pair.home("POST /message:send", &mismatch).await.status, 400);
    let rpc = |id: &str| json!({"jsonrpc": "2.0", "id": 7, "method": "tasks/get", "params": {"id": id}});
    assert_eq!(pair.home("POST /", &rpc(&task)).await.json()["result"]["id"], task);
    let error = pair.other("POST /", &rpc(&task)).await;
    assert_eq!((error.status.as_u16(), &error.json()["error"]["code"]), (200, &(-32001).into()));
    let stream = pair.home("POST /message:stream", &own).await;
    assert!(stream.text().contains("statusUpdate"), "{}", stream.text());
    Ok(())
}

#[tokio::test]
async fn another_tenants_handle_is_noticed_even_in_a_request_that_fails() -> io::Result<()> {
    let fleet = Arc::new(Fleet::default());
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c").fleet(&fleet)).await?;
    let client = Client::new();
    let body = r#"{"model":"gpt-5.5","input":"x"}"#;
    let acme = [(TENANT_HEADER, "acme")];
    let id = string(&client.send_with(&cloud, "POST /v1/responses", body, &acme).await.json()["id"]);
    let line = format!("GET /v1/responses/{id}");
    client.send_with(&cloud, &line, "", &acme).await;
    assert_eq!(fleet.counts().foreign_tenant, 0);
    let globex = [(TENANT_HEADER, "globex"), (riparian_loadtest::FAULT_HEADER, "status-500")];
    assert_eq!(client.send_with(&cloud, &line, "", &globex).await.status, 500);
    assert_eq!((fleet.counts().foreign_tenant, cloud.counts().foreign_tenant), (1, 1));
    assert!(cloud.seen()[2].foreign_tenant);
    Ok(())
}

#[tokio::test]
async fn one_cloud_can_speak_several_families() -> io::Result<()> {
    let families = [Family::OpenAi, Family::Anthropic, Family::Google, Family::Mcp];
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c").speaking(families)).await?;
    let client = Client::new();
    let openai = r#"{"model":"gpt-5.5","input":"x"}"#;
    assert_eq!(client.send(&cloud, "POST /v1/responses", openai).await.status, 200);
    let claude = r#"{"model":"claude-sonnet-5","max_tokens":1,"messages":[]}"#;
    assert_eq!(client.send_with(&cloud, "POST /v1/messages", claude, &[VERSION]).await.status, 200);
    assert_eq!(client.send(&cloud, "GET /v1beta/models", "").await.status, 200);
    assert_eq!(
        client.send(&cloud, "POST /mcp", r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#).await.status,
        200
    );
    let outcomes: Vec<Outcome> = cloud.seen().iter().map(|seen| seen.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok; 4]);
    Ok(())
}
