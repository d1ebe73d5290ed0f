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
use support::script::{answer, scripted, two};
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
        let mut events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let last = events.rfind(|data| *data != "[DONE]").unwrap();
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

/// The account's number, in millionths.
fn micros(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> u64 {
    total(families, name, labels)
}

fn gauge(families: &BTreeMap<String, Family>, name: &str, commitment: &str) -> f64 {
    let samples = &families[name].samples;
    samples.iter().find(|sample| sample.labels["commitment"] == commitment).unwrap().value
}

/// 1000 in (600 of it cached, 100 written), 7 out.
fn answered() -> Value {
    json!({ "usage": { "input_tokens": 300, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 100, "output_tokens": 7 } })
}

const MONEY: &str = "
meter:
  path: PATH
  currency: EUR
  prices:
    - { model: cheap*, input: 0.000001 }
    - { model: claude-*, input: 1.25, cached: 0.125, cache_write: 2.5, output: 10 }
  commitments:
    money: { cloud: only, money: 100, drawn_before: 12.5, from: 2020-01-01, until: 2100-01-01 }
    tokens: { term: all, tokens: 1000000, from: 2020-01-01, until: 2100-01-01 }
    over: { money: 100, from: 2020-01-01, until: 2021-01-01 }
    elsewhere: { term: other, money: 100, from: 2020-01-01, until: 2100-01-01 }
  shares:
    - { party: vendor, term: all, per_cent: 20 }
    - { party: vendor, term: other, per_cent: 50 }
telemetry: { access_log: off }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_exact_and_survives_a_restart() {
    let (origin, _) = scripted(|_, _| answer("application/json", &[], answered().to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meter.json");
    let config =
        endpoints(&[("one", &origin.url(), "")], &MONEY.replace("PATH", &path.display().to_string()))
            .replace("dialect: openai", "dialect: anthropic")
            .replace(
                "terms: [{ id: all, only: only }]",
                "terms: [{ id: all, only: only }, { id: other, when: { model: nothing }, only: only }]",
            );
    let ask = async |running: &Running, model: &str, count: usize| {
        let mut client = Raw::connect(address(running)).await;
        let body = json!({ "model": model, "messages": [], "max_tokens": 5 }).to_string();
        for _ in 0..count {
            let told = client.ask("/v1/messages", "anthropic-version: 2023-06-01\r\n", &body).await;
            assert_eq!(told.status, 200, "{}", told.text());
        }
    };
    let labels = [("cloud", "only"), ("tenant", "other"), ("class", "stateless"), ("currency", "EUR")];
    // 770 millionths a request: 300 x 1.25 + 600 x 0.125 + 100 x 2.5 + 7 x 10 for a million.
    for (round, asked) in [(1, 3), (2, 6)] {
        let running = proxy(&config).await;
        if round == 2 {
            let families = parse(&running.house.metrics.render());
            let kept = micros(&families, "riparian_money_micros_total", &labels);
            assert_eq!(kept, 3 * 770, "what the first run counted is there before anybody asks");
        }
        ask(&running, "claude-x", 3).await;
        eventually("all is settled", || running.house.gate.streams() == 0).await;
        let read = || parse(&running.house.metrics.render());
        let money = "riparian_money_micros_total";
        eventually("all is counted", || micros(&read(), money, &labels) == asked * 770).await;
        let families = read();
        let of_term = [("term", "all"), ("cloud", "only"), ("currency", "EUR")];
        assert_eq!(micros(&families, "riparian_term_money_micros_total", &of_term), asked * 770);
        let share = |term: &str| {
            micros(&families, "riparian_share_money_micros_total", &[("party", "vendor"), ("term", term)])
        };
        assert_eq!((share("all"), share("other")), (asked * 154, 0), "20 per cent");
        #[allow(clippy::cast_precision_loss, reason = "small and whole")]
        let asked = asked as f64;
        let drawn = |commitment: &str| gauge(&families, "riparian_commitment_drawn", commitment);
        assert!((drawn("money") - (12.5 + asked * 0.000_77)).abs() < 1e-9, "{}", drawn("money"));
        assert!((drawn("tokens") - asked * 1007.0).abs() < 1e-9, "{}", drawn("tokens"));
        assert_eq!((drawn("over"), drawn("elsewhere")), (0.0, 0.0), "another span, another term");
        let forecast = gauge(&families, "riparian_commitment_forecast", "tokens");
        assert!(forecast > drawn("tokens"), "{forecast}: it goes on");
        let plan = gauge(&families, "riparian_commitment_plan", "money");
        assert!(plan > 5.0 && plan < 20.0, "{plan}: some years of eighty");
        let without: String = config
            .lines()
            .filter(|line| !line.contains("    tokens:"))
            .map(|line| format!("{line}\n"))
            .collect();
        running.reload(&without, "test.yaml").await.unwrap();
        let families = read();
        assert!(gauge(&families, "riparian_commitment_drawn", "tokens").is_nan(), "it is not there any more");
        assert!(gauge(&families, "riparian_commitment_drawn", "money") > 12.5, "and that one is");
        running.drain().await;
    }
    // Ten millions of a millionth each are lost on nobody, however small each is: 1007 a request at a price of one for a million.
    let running = proxy(&config).await;
    ask(&running, "cheap", 10).await;
    ask(&running, "unknown", 2).await;
    let read = || parse(&running.house.metrics.render());
    eventually("all is counted", || total(&read(), "riparian_usage_unpriced_total", &[]) == 2).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let before = serde_json::from_str::<Value>(&text).unwrap();
    running.drain().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let after = serde_json::from_str::<Value>(&text).unwrap();
    let picos = |book: &Value| {
        let account = &book["accounts"]["money|only||stateless|other|EUR"];
        account["millionths"].as_u64().unwrap() * 1_000_000 + account["picos"].as_u64().unwrap()
    };
    assert!(before["version"] == 1 && picos(&after) == 6 * 770_000_000 + 10 * 1000, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_on_the_disk_within_seconds_and_a_damaged_file_is_a_fault() {
    let (origin, _) = scripted(|_, _| answer("application/json", &[], answered().to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meter.json");
    let config =
        endpoints(&[("one", &origin.url(), "")], &MONEY.replace("PATH", &path.display().to_string()))
            .replace("dialect: openai", "dialect: anthropic")
            .replace(", term: other", ", term: all")
            .replace("term: other,", "term: all,");
    let running = proxy(&config).await;
    let body = json!({ "model": "claude-x", "messages": [], "max_tokens": 5 }).to_string();
    let lines = "anthropic-version: 2023-06-01\r\n";
    assert_eq!(Raw::connect(address(&running)).await.ask("/v1/messages", lines, &body).await.status, 200);
    eventually("it is written", || std::fs::read_to_string(&path).unwrap().contains("\"millionths\": 770"))
        .await;
    assert!(Running::start(&config, "second.yaml").await.is_err(), "one process at a time has the file");
    running.drain().await;
    std::fs::write(&path, "{").unwrap();
    let fault = Running::start(&config, "test.yaml").await.err().map(|fault| fault.to_string());
    assert!(
        fault.is_some_and(|fault| fault.starts_with("meter.path: ")),
        "money is not forgotten in silence"
    );
}

/// A commitment that is behind its plan breaks ties; once it has caught up, nothing is favoured any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commitment_breaks_ties_and_nothing_else() {
    let say = |_: &str, _: &[u8]| answer("application/json", &[], answered().to_string());
    let (a, b) = (scripted(say).await, scripted(say).await);
    // Some years of eighty have passed, so that two requests' tokens are about what was planned by now.
    let meter = "meter: { commitments: { b: { cloud: b, tokens: 23000, from: 2020-01-01, until: 2100-01-01, steer: true } } }";
    let config = two("anthropic", &a.0.url(), &b.0.url(), "", meter);
    let body = json!({ "model": "claude-x", "messages": [], "max_tokens": 5 }).to_string();
    let ask = async |running: &Running| {
        let lines = "anthropic-version: 2023-06-01\r\n";
        let told = Raw::connect(address(running)).await.ask("/v1/messages", lines, &body).await;
        told.header("x-riparian-cloud").unwrap().to_owned()
    };
    let running = proxy(&config).await;
    assert_eq!([ask(&running).await, ask(&running).await], ["b", "b"], "behind its plan");
    let deadline = std::time::Instant::now() + support::raw::PATIENCE;
    while ask(&running).await == "b" {
        assert!(std::time::Instant::now() < deadline, "it has caught up, and still nothing goes to a");
    }
    // What a term says outranks it: it adds no cloud.
    let only_a = config.replace("only: [a, b]", "only: [a]");
    let running = proxy(&only_a).await;
    for _ in 0..8 {
        assert_eq!(ask(&running).await, "a");
    }
    let prefers_a = config.replace("only: [a, b]", "only: [a, b], prefer: a");
    let running = proxy(&prefers_a).await;
    for _ in 0..8 {
        assert_eq!(ask(&running).await, "a");
    }
}
