//! What the demo sends one by one: requests that must be refused, and clouds that are down.

use super::APP_KEY;
use super::clouds::Clouds;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use riparian_loadtest::{Fault, Spread};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One request, what was due and what came.
pub(super) struct Scene {
    pub(super) what: &'static str,
    due: (u16, &'static str),
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) endpoint: String,
}

impl Scene {
    pub(super) fn is_as_due(&self) -> bool {
        self.due == (self.status, self.reason.as_str())
    }
}

/// What the proxy adds to a request's time.
pub(super) struct Added {
    pub(super) direct: Spread,
    pub(super) through: Spread,
}

const CHAT: &str = r#"{"model":"gpt-5.5","messages":[{"role":"user","content":"hello"}]}"#;
const STORED: &str = r#"{"model":"gpt-5.5","input":"hello"}"#;

/// Plays every scene; clouds that were taken down are up again afterwards.
pub(super) async fn play(clouds: &Clouds, target: &str) -> Result<Vec<Scene>, String> {
    let mut client = Client::connect(target).await?;
    let foreign =
        json!({ "model": "gpt-5.5", "input": "hello", "previous_response_id": "resp_of_nobody" }).to_string();
    let twice = r#"{"model":"gpt-5.5","mod\u0065l":"other","messages":[]}"#;
    let mut scenes = vec![
        client
            .scene(
                "a handle that nobody here gave out",
                Method::POST,
                "/responses",
                &foreign,
                (400, "unknown_handle"),
            )
            .await?,
        client
            .scene(
                "a body with two models in it",
                Method::POST,
                "/chat/completions",
                twice,
                (400, "body_ambiguous"),
            )
            .await?,
        client
            .scene("an API that is not in the table", Method::GET, "/no/such/api", "", (403, "unrecognised"))
            .await?,
        client
            .scene(
                "another vendor's model, of which no term speaks",
                Method::POST,
                "/chat/completions",
                r#"{"model":"claude-sonnet-5","messages":[]}"#,
                (403, "no_term"),
            )
            .await?,
    ];
    let answer = client.ask(Method::POST, "/responses", STORED).await?;
    let id = answer.body["id"].as_str().ok_or("a stored response has no id")?.to_owned();
    let next = json!({ "model": "gpt-5.5", "input": "go on", "previous_response_id": id }).to_string();

    let one = clouds.named("azure-eastus2");
    one.fault(Fault::Refuse).await;
    scenes.push(
        client
            .scene(
                "azure-eastus2 is down: its cloud's other endpoint",
                Method::POST,
                "/chat/completions",
                CHAT,
                (200, "designated"),
            )
            .await?,
    );
    clouds.named("azure-swedencentral").fault(Fault::Refuse).await;
    scenes.push(
        client
            .scene(
                "both of azure are down: nobody stands in",
                Method::POST,
                "/chat/completions",
                CHAT,
                (502, "upstream_connect"),
            )
            .await?,
    );
    clouds.named("bedrock-use1").fault(Fault::Refuse).await;
    scenes.push(
        client
            .scene(
                "the owner of a chain is down: nobody stands in",
                Method::POST,
                "/responses",
                &next,
                (503, "owner_unavailable"),
            )
            .await?,
    );
    for name in ["azure-eastus2", "azure-swedencentral", "bedrock-use1"] {
        clouds.named(name).heal().await.map_err(|error| format!("{name} does not come back: {error}"))?;
    }
    scenes.push(
        client
            .scene(
                "the owner is back: the chain goes on there",
                Method::POST,
                "/responses",
                &next,
                (200, "held"),
            )
            .await?,
    );
    Ok(scenes)
}

/// Pairs of the same request, straight to the cloud and through the proxy, in turn, so that the machine's moods meet both.
pub(super) async fn added_latency(clouds: &Clouds, target: &str) -> Result<Added, String> {
    const PAIRS: usize = 300;
    let cloud = clouds.named("azure-eastus2");
    let mut straight = Client::connect(&cloud.base_url()).await?;
    straight.key = ("api-key", "key-of-RIPARIAN_DEMO_AZURE_KEY".to_owned());
    let mut through = Client::connect(target).await?;
    let own = CHAT.replace("gpt-5.5", "gpt55-prod");
    let (mut direct, mut proxied) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        direct.push(straight.time("/chat/completions", &own).await?);
        proxied.push(through.time("/chat/completions", CHAT).await?);
    }
    Ok(Added { direct: Spread::of(direct), through: Spread::of(proxied) })
}

struct Answer {
    status: u16,
    reason: String,
    endpoint: String,
    body: Value,
}

/// One keep-alive connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    base: String,
    key: (&'static str, String),
}

impl Client {
    async fn connect(base_url: &str) -> Result<Self, String> {
        let rest = base_url.strip_prefix("http://").ok_or("the demo speaks http")?;
        let (host, base) =
            rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
        let stream = TcpStream::connect(host).await.map_err(|error| format!("{host}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned(), base, key: ("authorization", format!("Bearer {APP_KEY}")) })
    }

    async fn ask(&mut self, method: Method, path: &str, body: &str) -> Result<Answer, String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header(self.key.0, &self.key.1)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| error.to_string())?;
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let answer = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned()
        };
        let (status, reason, endpoint) =
            (answer.status().as_u16(), header("x-riparian-reason"), header("x-riparian-endpoint"));
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, reason, endpoint, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    async fn scene(
        &mut self,
        what: &'static str,
        method: Method,
        path: &str,
        body: &str,
        due: (u16, &'static str),
    ) -> Result<Scene, String> {
        // A refusal after a failed attempt may close the connection; every scene has one that works.
        if self.sender.ready().await.is_err() {
            *self = Self::connect(&format!("http://{}{}", self.host, self.base)).await?;
        }
        let Answer { status, reason, endpoint, .. } = self.ask(method, path, body).await?;
        Ok(Scene { what, due, status, reason, endpoint })
    }

    async fn time(&mut self, path: &str, body: &str) -> Result<Duration, String> {
        let began = Instant::now();
        let answer = self.ask(Method::POST, path, body).await?;
        if answer.status == 200 {
            Ok(began.elapsed())
        } else {
            Err(format!("status {} where 200 was due", answer.status))
        }
    }
}
