//! Promise: what an answer cost is written down as its vendor said it, in one meaning, whatever the dialect, streamed or not, and also
//! when somebody went away in the middle; what nobody said is not made up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_proxy::server::Running;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::exposition::{Family, parse, total};
use support::origin::{EVENTS, Origin, chunk, endpoints};
use support::raw::{Raw, eventually};
use support::script::{answer, scripted};
use support::socket::{Said, Socket, SocketCloud};
use support::{Clouds, SPLIT, address, chat, json as body, post, proxy, send};

/// A proxy that logs to a file.
struct Logged {
    running: Running,
    folder: tempfile::TempDir,
}

impl Logged {
    fn log(folder: &Path) -> String {
        format!("{{ access_log: {{ file: {} }} }}", folder.join("log").display())
    }

    async fn start(config: &str, folder: tempfile::TempDir) -> Self {
        Self { running: proxy(config).await, folder }
    }

    /// The lines so far, once there are so many.
    async fn lines(&self, count: usize) -> Vec<Value> {
        let read = || {
            self.running.house.log.flush();
            std::fs::read_to_string(self.folder.path().join("log")).unwrap()
        };
        eventually(&format!("{count} lines"), || read().lines().count() >= count).await;
        read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn families(&self) -> BTreeMap<String, Family> {
        parse(&self.running.house.metrics.render())
    }
}

const COUNTS: [&str; 5] =
    ["input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"];

fn counts(line: &Value) -> Vec<Option<u64>> {
    COUNTS.iter().map(|name| line[*name].as_u64()).collect()
}

/// The corpus of recorded answers: file, surface, content type, and the five counts.
fn corpus() -> Vec<(PathBuf, String, String, Vec<Option<u64>>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filters/tests/corpus/usage");
    let text = std::fs::read_to_string(folder.join("expect.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split(" | ").collect();
        let counts = columns[3..].iter().map(|count| count.parse().ok()).collect();
        (folder.join(columns[0]), columns[1].to_owned(), columns[2].to_owned(), counts)
    });
    rows.collect()
}

/// How a surface is asked: the dialect, the path, and the body.
fn asked(surface: &str) -> Option<(&'static str, &'static str, Value)> {
    let openai = json!({ "model": "m", "input": "x", "messages": [], "prompt": "x", "store": false });
    let google = json!({ "contents": [] });
    Some(match surface {
        "openai.chat.create" => ("openai", "/v1/chat/completions", openai),
        "openai.completions.create" => ("openai", "/v1/completions", openai),
        "openai.embeddings.create" => ("openai", "/v1/embeddings", openai),
        "openai.responses.create" => ("openai", "/v1/responses", openai),
        "anthropic.messages.create" => ("anthropic", "/v1/messages", openai),
        "bedrock.converse" => ("bedrock", "/model/m/converse", json!({ "messages": [] })),
        "bedrock.converse_stream" => ("bedrock", "/model/m/converse-stream", json!({ "messages": [] })),
        "bedrock.invoke" => ("bedrock", "/model/m/invoke", json!({})),
        "bedrock.invoke_stream" => ("bedrock", "/model/m/invoke-with-response-stream", json!({})),
        "google.models.generate_content" => ("google", "/v1beta/models/m:generateContent", google),
        "google.models.stream_generate_content" => {
            ("google", "/v1beta/models/m:streamGenerateContent", google)
        }
        "google.interactions.create" => ("google", "/v1beta/interactions", openai),
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_in_one_meaning() {
    for dialect in ["openai", "anthropic", "bedrock", "google"] {
        let (origin, _) = scripted(|head, _| {
            let name = head.lines().find_map(|line| line.strip_prefix("x-file: ")).unwrap();
            let kind = head.lines().find_map(|line| line.strip_prefix("x-kind: ")).unwrap();
            answer(kind, &[], std::fs::read(name).unwrap())
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let rest = format!("telemetry: {}", Logged::log(folder.path()));
        let config = endpoints(&[("one", &origin.url(), "")], &rest)
            .replace("dialect: openai", &format!("dialect: {dialect}"));
        let logged = Logged::start(&config, folder).await;
        let mut expected = Vec::new();
        let mut client = Raw::connect(address(&logged.running)).await;
        for (file, surface, kind, counts) in corpus() {
            let Some((_, path, body)) = asked(&surface).filter(|(own, ..)| *own == dialect) else { continue };
            let lines = format!(
                "authorization: Bearer app\r\nanthropic-version: 2023-06-01\r\nx-file: {}\r\nx-kind: {kind}\r\n",
                file.display()
            );
            let lines =
                if dialect == "anthropic" { lines } else { lines.replace("anthropic-version", "x-none") };
            let told = client.ask(path, &lines, body.to_string()).await;
            assert_eq!(told.status, 200, "{surface}: {}", told.text());
            assert_eq!(told.body, std::fs::read(&file).unwrap(), "the bytes are the endpoint's");
            expected.push((file, surface, counts));
        }
        assert!(expected.len() >= 3, "{dialect}");
        let lines = logged.lines(expected.len()).await;
        for (line, (file, surface, wanted)) in lines.iter().zip(&expected) {
            let file = file.file_name().unwrap().display();
            assert_eq!(line["surface"], **surface, "{file}");
            assert_eq!(counts(line), *wanted, "{file}");
            assert_eq!(line["usage_partial"], wanted[0].map_or(json!(null), |_| json!(false)), "{file}");
        }
        let told: Vec<_> = expected.iter().filter(|(.., wanted)| wanted[0].is_some()).collect();
        let families = logged.families();
        for (at, direction) in ["input", "cached", "cache_write", "output", "reasoning"].iter().enumerate() {
            let sum: u64 = told.iter().filter_map(|(.., wanted)| wanted[at]).sum();
            let labels = [("direction", *direction), ("tenant", "other"), ("class", "stateless")];
            assert_eq!(total(&families, "riparian_tokens_total", &labels), sum, "{dialect} {direction}");
            let of_term = [("direction", *direction), ("term", "all")];
            assert_eq!(
                total(&families, "riparian_term_tokens_total", &of_term),
                sum,
                "{dialect} {direction}"
            );
        }
        let untold = (expected.len() - told.len()) as u64;
        assert_eq!(total(&families, "riparian_usage_missing_total", &[]), untold, "{dialect}");
        assert_eq!(total(&families, "riparian_usage_partial_total", &[]), 0, "{dialect}");
    }
}

/// The fake clouds say what an answer cost; what the proxy counts is what clients were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_are_told_is_what_is_counted() {
    let clouds = Clouds::start().await;
    let folder = tempfile::tempdir().unwrap();
    let rest = format!("telemetry: {}", Logged::log(folder.path()));
    let logged = Logged::start(&clouds.config(SPLIT, &rest), folder).await;
    let at = address(&logged.running);
    let mut told = Vec::new();
    let plain = body(&send(at, post("/v1/chat/completions", &chat())).await);
    told.push((plain["usage"]["prompt_tokens"].as_u64(), plain["usage"]["completion_tokens"].as_u64()));
    let mut streamed = chat();
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({ "include_usage": true });
    let last = |text: &[u8]| -> Value {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let last = events.filter(|data| *data != "[DONE]").last().unwrap();
        serde_json::from_str(last).unwrap()
    };
    let usage = &last(send(at, post("/v1/chat/completions", &streamed)).await.body())["usage"];
    told.push((usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()));
    let turn = |stream: bool| json!({ "model": "gpt-5.5", "input": "hello", "stream": stream });
    let usage = &body(&send(at, post("/v1/responses", &turn(false))).await)["usage"];
    told.push((usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()));
    let usage = &last(send(at, post("/v1/responses", &turn(true))).await.body())["response"]["usage"];
    told.push((usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()));
    let embed = json!({ "model": "text-embedding-3-small", "input": "hello" });
    let usage = &body(&send(at, post("/v1/embeddings", &embed)).await)["usage"];
    told.push((usage["prompt_tokens"].as_u64(), Some(0)));
    let lines = logged.lines(told.len()).await;
    let counted: Vec<_> =
        lines.iter().map(|line| (line["input_tokens"].as_u64(), line["output_tokens"].as_u64())).collect();
    assert_eq!(counted, told);
    assert!(told.iter().all(|(input, _)| input.is_some_and(|count| count > 0)), "{told:?}");
    let families = logged.families();
    let sum = |range: std::ops::Range<usize>| told[range].iter().filter_map(|(input, _)| *input).sum::<u64>();
    let input = |term: &str| {
        total(&families, "riparian_term_tokens_total", &[("term", term), ("direction", "input")])
    };
    assert_eq!(input("stateful-on-aws"), sum(2..4));
    assert_eq!(input("stateless-on-azure"), sum(0..2) + sum(4..5));
    assert_eq!(total(&families, "riparian_usage_missing_total", &[]), 0);
}

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n";

/// What was seen by then is kept, whoever it is that goes away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_has_cost_what_it_had_said() {
    let cut = Origin::saying([EVENTS.as_bytes(), &chunk(START)].concat(), true).await;
    let stalled = Origin::start(|mut caller| async move {
        while caller.request().await.is_some() {
            caller.say([EVENTS.as_bytes(), &chunk(START)].concat()).await;
            caller.gone().await;
        }
    })
    .await;
    for (origin, outcome) in [(&cut, "truncated"), (&stalled, "client_abort")] {
        let folder = tempfile::tempdir().unwrap();
        let rest = format!("telemetry: {}", Logged::log(folder.path()));
        let config =
            endpoints(&[("one", &origin.url(), "")], &rest).replace("dialect: openai", "dialect: anthropic");
        let logged = Logged::start(&config, folder).await;
        let mut client = Raw::connect(address(&logged.running)).await;
        let said = json!({ "model": "m", "messages": [], "stream": true });
        client.post("/v1/messages", "anthropic-version: 2023-06-01\r\n", said.to_string()).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        assert_eq!(client.chunk().await.unwrap().as_deref(), Some(START.as_bytes()));
        if outcome == "truncated" {
            let _ = client.chunk().await;
        }
        drop(client);
        let line = &logged.lines(1).await[0];
        assert_eq!(line["outcome"], outcome);
        assert_eq!(counts(line), [Some(15), Some(5), Some(0), Some(1), Some(0)], "{outcome}");
        assert_eq!(line["usage_partial"], true, "{outcome}");
        assert_eq!(total(&logged.families(), "riparian_usage_partial_total", &[]), 1, "{outcome}");
        assert_eq!(total(&logged.families(), "riparian_usage_missing_total", &[]), 0, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_costs_what_its_responses_do_together() {
    let cloud = SocketCloud::start(|mut socket| async move {
        for input in [100, 150] {
            if !matches!(socket.next().await, Said::Text(_)) {
                return;
            }
            let usage = json!({ "total_tokens": input + 10, "input_tokens": input, "output_tokens": 10, "input_token_details": { "cached_tokens": 7 } });
            let done = json!({ "type": "response.done", "response": { "id": "r", "usage": usage } });
            socket.text(done.to_string()).await;
        }
        while socket.next().await != Said::End {}
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let rest = format!("telemetry: {}", Logged::log(folder.path()));
    let logged = Logged::start(&endpoints(&[("one", &cloud.url(), "")], &rest), folder).await;
    let mut client = Socket::open(address(&logged.running), "/v1/realtime?model=gpt-realtime").await;
    for _ in 0..2 {
        client.text(r#"{"type":"response.create"}"#).await;
        assert!(client.hear().await.contains("response.done"));
    }
    drop(client);
    let line = &logged.lines(1).await[0];
    assert_eq!(counts(line), [Some(250), Some(14), Some(0), Some(20), Some(0)]);
}
