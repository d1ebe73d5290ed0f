//! One exchange: a request is sent, its answer timed, read and checked.

use std::io::Read as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::check::{StreamCheck, Verdict, foreign_nonce};
use super::pool::Pool;
use super::recipe::Recipe;
use super::shape::Manners;
use super::upload::Upload;
use crate::cloud::{FAULT_HEADER, NONCE_HEADER, SCRIPT_HEADER};

/// How long a slow reader takes over each piece.
const READ_GAP: Duration = Duration::from_millis(20);

/// All clients of a run: they are told apart by their manners only.
pub(crate) struct Client {
    pool: Pool,
    /// The target's path, without a slash at its end.
    base: String,
    headers: HeaderMap,
    within: Duration,
    digest: bool,
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
    pub(crate) answer_sha256: [u8; 32],
    pub(crate) verdict: Verdict,
}

/// The id that an answer gave, and when it was read.
pub(crate) type Born = (String, Instant);

impl Client {
    /// `base` is the path of the target's base URL; `headers` go with every request.
    pub(crate) fn new(pool: Pool, base: &str, headers: HeaderMap, within: Duration, digest: bool) -> Self {
        Client { pool, base: base.trim_end_matches('/').to_owned(), headers, within, digest }
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
            answer_sha256: [0; 32],
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
        let two = match self.pool.is_two().await {
            Ok(two) => two,
            Err(error) => return Verdict::Unanswered(with_causes(&error)),
        };
        let request = match self.request(recipe, two) {
            Ok(request) => request,
            Err(error) => return Verdict::Unanswered(error.to_string()),
        };
        let (response, lease) = match self.pool.send(request).await {
            Ok(answered) => answered,
            Err(_) if recipe.manners == Manners::VanishSending => return Verdict::Left,
            Err(error) => return Verdict::Unanswered(with_causes(&error)),
        };
        measured.first_byte = Some(due.elapsed());
        let (head, body) = response.into_parts();
        measured.status = Some(head.status.as_u16());
        measured.riparian = riparian(&head.headers);
        let echoed = head.headers.get(NONCE_HEADER).and_then(|value| value.to_str().ok());
        let mut reader = Reader {
            recipe,
            success: head.status.is_success(),
            packed: head.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip"),
            digest: self.digest.then(Sha256::new),
            born,
            measured,
        };
        let (verdict, ended) = reader.read(body).await;
        if ended {
            self.pool.give_back(lease);
        }
        match echoed {
            Some(echoed) if echoed != recipe.nonce => Verdict::CrossTalk(format!("answered to {echoed}")),
            _ => verdict,
        }
    }

    fn request(&self, recipe: &Recipe, two: bool) -> http::Result<Request<Upload>> {
        let (dial, path) = (self.pool.dial(), recipe.path());
        let mut request = if two {
            Request::post(format!("{}{}{path}", dial.origin, self.base))
        } else {
            Request::post(format!("{}{path}", self.base)).header(header::HOST, &dial.authority)
        };
        request =
            request.header(header::CONTENT_TYPE, "application/json").header(NONCE_HEADER, &recipe.nonce);
        if let Some(script) = recipe.script {
            request = request.header(SCRIPT_HEADER, script.to_string());
        }
        if let Some(fault) = recipe.fault {
            request = request.header(FAULT_HEADER, fault.to_string());
        }
        let body = recipe.body(recipe.model.as_deref());
        let length = HeaderValue::from(body.len());
        let mut request = request.body(Upload::new(body, recipe.manners))?;
        request.headers_mut().insert(header::CONTENT_LENGTH, length);
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

fn riparian(headers: &HeaderMap) -> Vec<(String, String)> {
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-riparian-"));
    ours.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// Reads one answer.
struct Reader<'a> {
    recipe: &'a Recipe,
    success: bool,
    packed: bool,
    digest: Option<Sha256>,
    born: Option<oneshot::Sender<Born>>,
    measured: &'a mut Measured,
}

/// How reading ended.
enum End {
    Well,
    Badly(String),
    Left,
}

impl Reader<'_> {
    /// The verdict, and whether the answer was read to its end.
    async fn read(&mut self, body: Incoming) -> (Verdict, bool) {
        let streams = self.recipe.streams() && self.success;
        let mut check = StreamCheck::new(&self.recipe.nonce, self.recipe.script);
        let mut whole = Vec::new();
        let incremental = streams && !self.packed;
        let end = self
            .pieces(body, |piece| {
                if !incremental {
                    whole.extend_from_slice(piece);
                    return None;
                }
                check.feed(piece);
                check.id.clone()
            })
            .await;
        let ended = matches!(end, End::Well);
        if ended && let Some(digest) = self.digest.take() {
            self.measured.answer_sha256 = digest.finalize().into();
        }
        if self.packed && ended {
            let mut plain = Vec::new();
            if let Err(error) = flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut plain) {
                return (Verdict::Broken(format!("the answer is no gzip: {error}")), true);
            }
            whole = plain;
            if streams {
                check.feed(&whole);
                self.tell(check.id.clone());
            }
        }
        let verdict = match end {
            End::Well if streams => check.end(),
            End::Well => self.judge_whole(&whole),
            End::Badly(why) if incremental => check.cut(why),
            End::Badly(why) => Verdict::Cut(why),
            End::Left if incremental => check.left(),
            End::Left => Verdict::Left,
        };
        (verdict, ended)
    }

    /// Hands each piece to `take`, which answers with the id once it knows it.
    async fn pieces(&mut self, mut body: Incoming, mut take: impl FnMut(&Bytes) -> Option<String>) -> End {
        let mut last = Instant::now();
        while let Some(frame) = body.frame().await {
            let piece = match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(piece)) => piece,
                Ok(Err(_trailers)) => continue,
                Err(error) => return End::Badly(with_causes(&error)),
            };
            let now = Instant::now();
            if self.measured.answer_bytes > 0 {
                self.measured.gap_max = self.measured.gap_max.max(Some(now - last));
            }
            last = now;
            self.measured.answer_bytes += piece.len() as u64;
            if let Some(digest) = &mut self.digest {
                digest.update(&piece);
            }
            let id = take(&piece);
            self.tell(id);
            match self.recipe.manners {
                Manners::VanishReading => return End::Left,
                Manners::SlowReader => tokio::time::sleep(READ_GAP).await,
                Manners::Good | Manners::SlowSender | Manners::VanishSending => {}
            }
        }
        End::Well
    }

    fn tell(&mut self, id: Option<String>) {
        if let Some(id) = id
            && let Some(born) = self.born.take()
        {
            let _ = born.send((id, Instant::now())); // nobody listens after the last turn
        }
    }

    fn judge_whole(&mut self, bytes: &[u8]) -> Verdict {
        if let Some(foreign) = foreign_nonce(bytes, &self.recipe.nonce) {
            return Verdict::CrossTalk(format!("the answer carries {foreign}"));
        }
        if !self.success {
            return Verdict::Refused;
        }
        match serde_json::from_slice::<Value>(bytes) {
            Err(error) => Verdict::Broken(format!("the answer is not JSON: {error}")),
            Ok(value) => {
                self.tell(value["id"].as_str().map(str::to_owned));
                Verdict::Whole
            }
        }
    }
}

/// An error with what caused it: hyper keeps the interesting half in the source.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
