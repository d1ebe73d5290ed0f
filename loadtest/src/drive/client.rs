//! One exchange: a request is sent, its answer timed, read and checked.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::sync::oneshot;

use super::check::{StreamCheck, Verdict, foreign_nonce};
use super::mix::Recipe;
use crate::cloud::NONCE_HEADER;

/// A pool of kept-alive connections to one target.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    headers: HeaderMap,
    within: Duration,
}

/// What was measured of an exchange. Durations count from the instant at which the request was due.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) gap_max: Option<Duration>,
    pub(crate) status: Option<u16>,
    pub(crate) riparian: Vec<(String, String)>,
    pub(crate) answer_bytes: u64,
    pub(crate) verdict: Verdict,
}

/// The id that an answer gave, and when it was read.
pub(crate) type Born = (String, Instant);

impl Client {
    /// `base` is the target's base URL, without a slash at its end; `headers` go with every request.
    pub(crate) fn new(base: &str, headers: HeaderMap, h2c: bool, within: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .http2_only(h2c)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Client { pool, base: base.trim_end_matches('/').to_owned(), headers, within }
    }

    /// Sends what `recipe` says. Its id, if the answer gives one, goes to `born` the moment it has been read.
    pub(crate) async fn exchange(
        &self,
        recipe: &Recipe,
        due: Instant,
        born: Option<oneshot::Sender<Born>>,
    ) -> Measured {
        let mut measured = Measured {
            first_byte: None,
            duration: Duration::ZERO,
            gap_max: None,
            status: None,
            riparian: Vec::new(),
            answer_bytes: 0,
            verdict: Verdict::Unanswered("not within the time allowed".to_owned()),
        };
        let talk = self.talk(recipe, due, born, &mut measured);
        let verdict = tokio::time::timeout(self.within, talk).await;
        match verdict {
            Ok(verdict) => measured.verdict = verdict,
            Err(_) if measured.status.is_some() => {
                measured.verdict = Verdict::Cut("not ended within the time allowed".to_owned());
            }
            Err(_) => {}
        }
        measured.duration = due.elapsed();
        measured
    }

    async fn talk(
        &self,
        recipe: &Recipe,
        due: Instant,
        born: Option<oneshot::Sender<Born>>,
        measured: &mut Measured,
    ) -> Verdict {
        let request = match self.request(recipe) {
            Ok(request) => request,
            Err(error) => return Verdict::Unanswered(error.to_string()),
        };
        let response = match self.pool.request(request).await {
            Ok(response) => response,
            Err(error) => return Verdict::Unanswered(with_causes(&error)),
        };
        measured.first_byte = Some(due.elapsed());
        let (head, body) = response.into_parts();
        measured.status = Some(head.status.as_u16());
        measured.riparian = riparian(&head.headers);
        let echoed = head.headers.get(NONCE_HEADER).and_then(|value| value.to_str().ok());
        let verdict = if recipe.streams() && head.status.is_success() {
            read_stream(body, &recipe.nonce, born, measured).await
        } else {
            read_whole(body, &recipe.nonce, head.status.is_success(), born, measured).await
        };
        match echoed {
            Some(echoed) if echoed != recipe.nonce => Verdict::CrossTalk(format!("answered to {echoed}")),
            _ => verdict,
        }
    }

    fn request(&self, recipe: &Recipe) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(format!("{}{}", self.base, recipe.path()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(NONCE_HEADER, &recipe.nonce)
            .body(Full::new(recipe.body(recipe.model.as_deref())))?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

fn riparian(headers: &HeaderMap) -> Vec<(String, String)> {
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-riparian-"));
    ours.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

async fn read_stream(
    mut body: Incoming,
    nonce: &str,
    mut born: Option<oneshot::Sender<Born>>,
    measured: &mut Measured,
) -> Verdict {
    let mut check = StreamCheck::new(nonce);
    let mut last = Instant::now();
    while let Some(frame) = body.frame().await {
        let piece = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(piece)) => piece,
            Ok(Err(_trailers)) => continue,
            Err(error) => return check.cut(with_causes(&error)),
        };
        let now = Instant::now();
        let gap = now - last;
        last = now;
        if measured.answer_bytes > 0 {
            measured.gap_max = measured.gap_max.max(Some(gap));
        }
        measured.answer_bytes += piece.len() as u64;
        check.feed(&piece);
        if let Some(id) = &check.id
            && let Some(born) = born.take()
        {
            let _ = born.send((id.clone(), now)); // nobody listens after the last turn
        }
    }
    check.end()
}

async fn read_whole(
    body: Incoming,
    nonce: &str,
    success: bool,
    born: Option<oneshot::Sender<Born>>,
    measured: &mut Measured,
) -> Verdict {
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Verdict::Cut(with_causes(&error)),
    };
    measured.answer_bytes = bytes.len() as u64;
    if let Some(foreign) = foreign_nonce(&bytes, nonce) {
        return Verdict::CrossTalk(format!("the answer carries {foreign}"));
    }
    let value: Result<Value, _> = serde_json::from_slice(&bytes);
    match value {
        _ if !success => Verdict::Refused,
        Err(error) => Verdict::Broken(format!("the answer is not JSON: {error}")),
        Ok(value) => {
            if let (Some(born), Some(id)) = (born, value["id"].as_str()) {
                let _ = born.send((id.to_owned(), Instant::now())); // nobody listens after the last turn
            }
            Verdict::Whole
        }
    }
}

/// An error with what caused it: hyper keeps the interesting half in the source.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
