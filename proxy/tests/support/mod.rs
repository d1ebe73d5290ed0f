//! What promise tests share: fake clouds, a proxy between them and a client, all in this process and on free ports.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "each test file is a crate of its own and uses its own part of this module"
)]

pub mod exposition;
pub mod h2;
pub mod origin;
pub mod process;
pub mod raw;
pub mod redis_server;
pub mod script;
pub mod sigv4;
pub mod socket;
pub mod stores;
pub mod traffic;
pub mod turns;
pub mod wire;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use riparian_config::Timestamp;
use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use riparian_proxy::server::Running;
use serde_json::Value;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Three clouds: `azure` with two endpoints, `aws` and `openai` with one each.
pub struct Clouds {
    pub azure_one: FakeCloud,
    pub azure_two: FakeCloud,
    pub aws: FakeCloud,
    pub openai: FakeCloud,
}

/// The key that the fake clouds take and the test configuration presents; never to be seen in a log.
pub const KEY: &str = "canary-cloud-key";

impl Clouds {
    pub async fn start() -> Self {
        Self::start_paced(Duration::ZERO).await
    }

    /// With this pause before each piece of a stream.
    pub async fn start_paced(pace: Duration) -> Self {
        let start = |kind, name: &'static str, models: [&'static str; 2]| async move {
            let spec = CloudSpec::new(kind, name).credential(KEY).models(models).streaming(8, pace);
            FakeCloud::start(spec).await.unwrap()
        };
        Self {
            azure_one: start(Kind::Azure, "azure-one", ["gpt-prod", "embed-prod"]).await,
            azure_two: start(Kind::Azure, "azure-two", ["gpt-prod", "embed-prod"]).await,
            aws: start(Kind::Bedrock, "aws-one", ["openai.gpt", "openai.embed"]).await,
            openai: start(Kind::OpenAi, "openai-one", ["gpt-5.5", "text-embedding-3-small"]).await,
        }
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> [&FakeCloud; 4] {
        [&self.azure_one, &self.azure_two, &self.aws, &self.openai]
    }

    /// A configuration over these clouds: `contract` is the YAML of the section, `rest` any further top-level sections.
    /// Secrets come from a file, so that no test changes the environment.
    pub fn config(&self, contract: &str, rest: &str) -> String {
        let secret = secret_file();
        let credential = |kind: &str| format!("{{ {kind}: {{ file: {secret} }} }}");
        let indent = |text: &str| {
            text.trim_matches('\n').lines().map(|line| format!("  {line}\n")).collect::<String>()
        };
        format!(
            "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
admin: {{ bind: 127.0.0.1:0 }}
clouds:
  azure:
    endpoints:
      - {{ name: azure-one, dialect: azure-openai, url: {one}, credential: {api_key}, models: {{ gpt-5.5: gpt-prod, text-embedding-3-small: embed-prod }} }}
      - {{ name: azure-two, dialect: azure-openai, url: {two}, credential: {api_key}, models: {{ gpt-5.5: gpt-prod, text-embedding-3-small: embed-prod }} }}
  aws:
    endpoints:
      - {{ name: aws-one, dialect: bedrock-openai, url: {aws}, credential: {bearer}, models: {{ gpt-5.5: openai.gpt }} }}
  openai:
    endpoints:
      - {{ name: openai-one, dialect: openai, url: {openai}, credential: {bearer}, models: {{ gpt-5.5: gpt-5.5, text-embedding-3-small: text-embedding-3-small }} }}
contract:
{contract}{rest}
",
            one = self.azure_one.url(),
            two = self.azure_two.url(),
            aws = self.aws.url(),
            openai = self.openai.url(),
            api_key = credential("api_key"),
            bearer = credential("bearer"),
            contract = indent(contract),
            rest = rest.trim_matches('\n'),
        )
    }
}

/// Stateless calls to azure, stateful ones to aws; a stored response is stateful.
pub const SPLIT: &str = "
enforce: strict
readings: { strict: { stateful_from: creates } }
terms:
  - { id: stateless-on-azure, cite: \"Section 1\", when: { class: stateless }, only: [azure] }
  - { id: stateful-on-aws, cite: \"Section 2\", when: { class: stateful }, only: [aws] }
";

/// No access log in the tests' output, and quick timeouts.
pub const QUIET: &str = "
telemetry: { access_log: off }
limits: { connect_within: 1s, first_byte_within: 2s, idle: 2s, head_within: 1s, body_within: 2s }
";

/// A file with [`KEY`] in it.
pub fn secret_file() -> String {
    use std::sync::OnceLock;
    static FILE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{KEY}\n")).unwrap();
        file
    });
    file.path().display().to_string()
}

/// A proxy with this configuration.
pub async fn proxy(config: &str) -> Running {
    match Running::start(config, "test.yaml").await {
        Ok(running) => running,
        Err(fault) => panic!("{fault}"),
    }
}

/// A proxy that is running well before a boundary of its contract, and that boundary. A machine with much else to do is given longer.
pub async fn proxy_before(config: impl Fn(Timestamp) -> String) -> (Running, Timestamp) {
    for wait in [2500, 6000, 15_000, 40_000] {
        let boundary = Timestamp::now() + Duration::from_millis(wait);
        let running = proxy(&config(boundary)).await;
        if Timestamp::now() + Duration::from_millis(1500) < boundary {
            return (running, boundary);
        }
    }
    panic!("a proxy starts within 40 s")
}

/// The value of this series, named as the exposition has it; 0 before there is one.
pub fn metric<N: FromStr + Default>(running: &Running, series: &str) -> N {
    let text = running.house.metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

/// Where the first listener is.
pub fn address(running: &Running) -> SocketAddr {
    running.listeners[0].1
}

/// A request with a JSON body, from the application `app`.
pub fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "proxy")
        .header("authorization", "Bearer app")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// A request without a body.
pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "proxy")
        .header("authorization", "Bearer app")
        .body(Full::default())
        .unwrap()
}

/// Sends a request on a connection of its own, and reads the whole answer.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Response::from_parts(head, body)
}

/// One of our headers on an answer.
pub fn ours<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    let name = format!("x-riparian-{name}");
    response.headers().get(&name).map_or("", |value| value.to_str().unwrap())
}

/// The JSON of an answer.
pub fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("not JSON: {:?}", response.body()))
}

/// A chat completion that asks for `gpt-5.5`.
pub fn chat() -> Value {
    serde_json::json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "hello" }] })
}
