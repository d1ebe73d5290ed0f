//! What one request leaves behind: its record, which the answer's headers, the access log and the metrics read.

use crate::metrics::Outcome;
use crate::pins::sealed::Opened;
use crate::relay::lines::Lines;
use crate::relay::met::Met;
use crate::sessions::{Evidence, Sessions};
use crate::snapshot::Snapshot;
use http::{HeaderName, HeaderValue};
use riparian_config::{Class, Grade, Term};
use riparian_filters::decision::{Decision, Reason};
use riparian_filters::identify::{CallerNumber, PinKey, SESSION_TAG, Session, SessionId, SessionSource};
use riparian_filters::meter::Usage;
use riparian_filters::policy::{EndpointId, SurfaceNumber};
use riparian_filters::table::CloudSet;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Names one decision: 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionId(pub u64);

impl DecisionId {
    fn digits(self) -> [u8; 16] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = self.0.to_be_bytes();
        std::array::from_fn(|at| HEX[usize::from(bytes[at / 2] >> (4 - 4 * (at % 2)) & 15)])
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).expect("hexadecimal digits"))
    }
}

/// What a socket leaves behind besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketNotes {
    /// The code that it was closed with, once it is; only where it was ever open.
    pub close: Option<u16>,
    /// The client's messages that went on.
    pub received: u64,
    /// Those that did not.
    pub refused: u64,
    /// The endpoint's messages.
    pub sent: u64,
}

/// One attempt at an endpoint.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub endpoint: EndpointId,
    /// Who was there, where a connection came about.
    pub met: Option<Arc<Met>>,
    /// Whether anything of the request was sent, or may have been.
    pub sent: bool,
}

/// One request's record.
#[derive(Debug)]
pub struct Record {
    /// Names it.
    pub id: DecisionId,
    /// The configuration that it began under, for its whole life.
    pub snapshot: Arc<Snapshot>,
    /// The method.
    pub method: http::Method,
    /// The operation, as soon as it is recognised.
    pub surface: Option<SurfaceNumber>,
    /// The model, as the client named it.
    pub model: Option<String>,
    /// How many handles it cites.
    pub handles: usize,
    /// The handles that it cites.
    pub cites: SmallVec<[PinKey; 1]>,
    /// What it cites by sealed names.
    pub opened: Vec<Opened>,
    /// The handles that its success ends.
    pub ends: SmallVec<[PinKey; 1]>,
    /// Which of the named callers asks.
    pub caller: Option<CallerNumber>,
    /// The grade of the session in the course of which it was made, where it was.
    pub inner: Option<Grade>,
    /// The clouds that its own header leaves; `None` where it says nothing.
    pub narrow: Option<CloudSet>,
    /// The slots of the signals that were found, one bit each.
    pub fired: u64,
    /// The session in the course of which it was made, where its caller proved that.
    pub parent: Option<SessionId>,
    /// The session that it is a turn of, and its number among them, while it is.
    pub turn: Option<(SessionId, u64)>,
    /// What is known of its session when it ends.
    pub evidence: Option<Evidence>,
    /// What was decided, as soon as that is so.
    pub decision: Option<Box<Decision>>,
    /// Why it ended as it did.
    pub reason: Reason,
    /// The endpoint of the newest attempt.
    pub endpoint: Option<EndpointId>,
    /// The status that the client saw; 0 when it saw none.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the answer is an event stream.
    pub stream: bool,
    /// Attempts at endpoints.
    pub attempts: u32,
    /// The same, one by one.
    pub tried: SmallVec<[Tried; 1]>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// Whether its answer ought to say what it cost.
    pub metered: bool,
    /// What it cost, as far as its answer has said; partial until that has ended whole.
    pub usage: Option<Usage>,
    /// What was said on it, when it is a socket.
    pub socket: SocketNotes,
    /// When its head was there.
    pub arrived: Instant,
    /// When it was decided.
    pub decided: Option<Instant>,
    /// When the answer's head came.
    pub first_byte: Option<Instant>,
}

impl Record {
    /// The record of a request that has just arrived.
    #[must_use]
    pub fn new(id: DecisionId, snapshot: Arc<Snapshot>, method: http::Method, arrived: Instant) -> Self {
        Self {
            id,
            snapshot,
            method,
            surface: None,
            model: None,
            handles: 0,
            cites: SmallVec::new(),
            opened: Vec::new(),
            ends: SmallVec::new(),
            caller: None,
            inner: None,
            narrow: None,
            fired: 0,
            parent: None,
            turn: None,
            evidence: None,
            decision: None,
            reason: Reason::Internal,
            endpoint: None,
            status: 0,
            outcome: Outcome::Failed,
            stream: false,
            attempts: 0,
            tried: SmallVec::new(),
            request_bytes: 0,
            response_bytes: 0,
            metered: false,
            usage: None,
            socket: SocketNotes::default(),
            arrived,
            decided: None,
            first_byte: None,
        }
    }

    /// The name of its caller, where it has one.
    #[must_use]
    pub fn caller_name(&self) -> Option<&str> {
        Some(self.snapshot.policy.config.tenants.named[self.caller?].name.as_str())
    }

    /// The grade: `unknown` until it is found.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.decision.as_ref().map_or(Grade::Unknown, |decision| decision.grade)
    }

    /// The class under the enforced reading.
    #[must_use]
    pub fn class(&self) -> Class {
        let reading = self.snapshot.policy.config.contract.enforced();
        self.decision.as_ref().map_or_else(|| reading.class(Grade::Unknown), |decision| decision.class)
    }

    /// Its answer has ended whole: what that said of its cost is all there is.
    pub(crate) fn usage_is_whole(&mut self) {
        if let Some(usage) = &mut self.usage {
            usage.partial = false;
        }
    }

    /// The surface's name, or `unrecognised`.
    #[must_use]
    pub fn surface_name(&self) -> &str {
        self.surface.map_or("unrecognised", |surface| self.snapshot.policy.surface(surface).id.as_str())
    }

    /// The cloud and the endpoint of the newest attempt, or `none`.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        self.endpoint.map_or(("none", "none"), |endpoint| {
            let place = self.snapshot.policy.place(endpoint);
            (place.cloud_name.as_str(), place.endpoint.name.as_str())
        })
    }

    /// The terms that matched, in the contract's order.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.terms_numbered().map(|(_, term)| term)
    }

    /// The same, with their numbers.
    pub(crate) fn terms_numbered(&self) -> impl Iterator<Item = (u16, &Term)> {
        let terms = &self.snapshot.policy.config.contract.terms;
        let numbers = self.decision.iter().flat_map(|decision| &decision.terms);
        numbers.map(|number| (*number, &terms[usize::from(*number)]))
    }

    /// How long a client had better wait before it tries again what is passing.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        self.snapshot.policy.config.health.down_for.as_secs().max(1)
    }

    /// Its turn is over, if it was one.
    pub(crate) fn end_turn(&mut self, sessions: &Sessions) {
        if let Some((session, turn)) = self.turn.take() {
            // The first message of a socket is the turn that it began with.
            let further = self.socket.received.saturating_sub(1);
            self.evidence = sessions.end(session, turn, further, Instant::now());
        }
    }

    /// What its session is called outside, when it has one.
    pub(crate) fn session_tag(&self) -> Option<String> {
        let decision = self.decision.as_ref()?;
        Some(self.snapshot.policy.keys.tag(decision.tenant, decision.session?.id))
    }

    /// Puts our headers on an answer, which has none by these names.
    pub(crate) fn tag(&self, lines: &mut Lines) {
        let session = self.decision.as_ref().and_then(|decision| decision.session);
        // A session that was made for this request begins only when the request goes on.
        let begun = |session: Session| self.reason.allows() || session.source != SessionSource::Minted;
        if let Some(tag) = session.filter(|session| begun(*session)).and_then(|_| self.session_tag()) {
            lines.push(SESSION_TAG, text(&tag));
        }
        if !self.snapshot.policy.config.telemetry.response_headers {
            return;
        }
        let none = || HeaderValue::from_static("none");
        let [cloud, endpoint] =
            self.endpoint.map_or_else(|| [none(), none()], |id| self.snapshot.ready(id).shown.clone());
        let mut ours = |name, value| lines.push(HeaderName::from_static(name), value);
        let id = HeaderValue::from_bytes(&self.id.digits()).expect("hexadecimal digits");
        ours("x-riparian-decision", id);
        ours("x-riparian-cloud", cloud);
        ours("x-riparian-endpoint", endpoint);
        ours("x-riparian-grade", HeaderValue::from_static(self.grade().as_str()));
        ours("x-riparian-class", HeaderValue::from_static(self.class().as_str()));
        ours("x-riparian-reason", HeaderValue::from_static(self.reason.as_str()));
    }
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("tags and numbers are ASCII")
}
