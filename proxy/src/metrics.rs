//! Every metric's name, labels and unit, in one place.
//!
//! Labels come from closed sets: names of the configuration and words of this program, never a session, a tenant, a model or a
//! path. Handles are held: a request touches counters that it has in hand, and no lock. The registry belongs to one house,
//! so that several can live in one process.

mod contract;
mod pins;
mod sessions;
mod tokens;

pub use contract::{ContractMetrics, Diverged, Divergence};
pub use pins::{Operation, PinMetrics};
pub use sessions::SessionMetrics;
pub use tokens::TokenLabels;

use crate::meter::Book;
use foldhash::fast::FixedState;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use riparian_filters::decision::Reason;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds: from a decision's microseconds to a reasoning model's minutes.
const BUCKETS: [f64; 18] = [
    0.000_025, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    15.0, 60.0, 300.0,
];

/// Label sets that a thread keeps handles of.
const CACHE_MAX: usize = 16_384;

/// How a request ended. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered, and the whole answer was passed on.
    Ok,
    /// The same, and the answer's status was 4xx.
    ClientError,
    /// The same, and the answer's status was 5xx.
    ServerError,
    /// Refused by a decision or a limit.
    Refused,
    /// No endpoint answered.
    Failed,
    /// The answer was cut short by the endpoint, and passed on as cut short.
    Truncated,
    /// The client went away.
    ClientAbort,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::ClientError,
        Self::ServerError,
        Self::Refused,
        Self::Failed,
        Self::Truncated,
        Self::ClientAbort,
    ];

    /// The word for it in labels and in the access log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Truncated => "truncated",
            Self::ClientAbort => "client_abort",
        }
    }
}

/// The labels of a settled request.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The cloud that answered, or `none`.
    pub cloud: &'a str,
    /// The endpoint that answered, or `none`.
    pub endpoint: &'a str,
    /// The surface, or `unrecognised`.
    pub surface: &'a str,
    /// The grade.
    pub grade: &'static str,
    /// The class.
    pub class: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// The registry and the handles.
pub struct Metrics {
    recorder: PrometheusRecorder,
    render: PrometheusHandle,
    /// Tells the registries of one process apart in the threads' own caches.
    number: u64,
    /// What is in flight: counted here, and shown when somebody looks.
    pub in_flight: InFlight,
    streams_open: Gauge,
    connections_open: Gauge,
    held_bytes: Gauge,
    /// The contract: its dates, and its readings.
    pub contract: ContractMetrics,
    /// The pin store.
    pub pins: PinMetrics,
    /// Sessions and their turns.
    pub sessions: SessionMetrics,
    /// Handles that were learned from answers.
    pub handles_learned: Counter,
    /// Answers in which handles were due and could not be read.
    pub answers_unread: Counter,
    /// Answers that ought to have said what they cost and did not.
    pub usage_missing: Counter,
    /// Answers that said what they cost, and no price fits them.
    pub usage_unpriced: Counter,
    /// Answers whose end was not seen, but some of their cost was.
    pub usage_partial: Counter,
    /// Arrival to decision.
    pub decision_seconds: Histogram,
    /// Connections that reached somebody whom a cloud's witness does not name.
    pub egress_mismatches: Counter,
    /// Further attempts inside a candidate set.
    pub retries: Counter,
    /// Further attempts that the budget did not allow.
    pub retries_denied: Counter,
    /// Access log lines that were dropped because the writer was behind.
    pub log_dropped: Counter,
    /// 1 when the newest reload was taken, 0 when the old configuration stayed.
    pub reload_ok: Gauge,
    /// When the configuration in force was loaded.
    pub loaded_at: Gauge,
    refusals: Vec<(Reason, Counter)>,
    /// Totals of money, commitments and shares.
    pub book: Book,
}

/// What is in flight.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Requests that are being carried.
    pub streams: AtomicU64,
    /// Client connections.
    pub connections: AtomicU64,
    /// Bytes of bodies that are held.
    pub held: AtomicU64,
}

/// What a settled request touches.
#[derive(Clone)]
pub struct Settled {
    /// Requests of these labels.
    pub requests: Counter,
    /// Arrival to the answer's first byte, by cloud.
    pub first_byte_seconds: Histogram,
    /// Arrival to the answer's end, by cloud.
    pub request_seconds: Histogram,
    /// Bytes of request bodies, by cloud.
    pub request_bytes: Counter,
    /// Bytes of answers' bodies, by cloud.
    pub response_bytes: Counter,
}

thread_local! {
    /// Looked up by a number made of the labels' indexes: no lock, no allocation, no string is hashed.
    static SETTLED: RefCell<HashMap<(u64, u64), Settled, FixedState>> = RefCell::new(HashMap::default());
}

impl Metrics {
    /// Makes a registry, with every metric described.
    ///
    /// # Panics
    /// Never: the buckets are a constant and not empty.
    #[must_use]
    pub fn new() -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .expect("the buckets are not empty")
            .build_recorder();
        describe(&recorder);
        let render = recorder.handle();
        let registry = Registry(&recorder);
        let metrics = Self {
            in_flight: InFlight::default(),
            streams_open: registry.gauge("riparian_streams_open", vec![]),
            connections_open: registry.gauge("riparian_connections_open", vec![]),
            held_bytes: registry.gauge("riparian_held_bytes", vec![]),
            contract: ContractMetrics::new(&registry),
            pins: PinMetrics::new(&registry),
            sessions: SessionMetrics::new(&registry),
            handles_learned: registry.counter("riparian_handles_learned_total", vec![]),
            answers_unread: registry.counter("riparian_answers_unread_total", vec![]),
            usage_missing: registry.counter("riparian_usage_missing_total", vec![]),
            usage_unpriced: registry.counter("riparian_usage_unpriced_total", vec![]),
            usage_partial: registry.counter("riparian_usage_partial_total", vec![]),
            decision_seconds: registry.histogram("riparian_decision_seconds", vec![]),
            retries: registry.counter("riparian_retries_total", vec![]),
            egress_mismatches: registry.counter("riparian_egress_mismatches_total", vec![]),
            retries_denied: registry.counter("riparian_retries_denied_total", vec![]),
            log_dropped: registry.counter("riparian_access_log_dropped_total", vec![]),
            reload_ok: registry.gauge("riparian_config_last_reload_success", vec![]),
            loaded_at: registry.gauge("riparian_config_loaded_timestamp_seconds", vec![]),
            refusals: Reason::ALL
                .iter()
                .filter(|reason| !reason.allows())
                .map(|reason| {
                    let labels = vec![Label::new("reason", reason.as_str())];
                    (*reason, registry.counter("riparian_refusals_total", labels))
                })
                .collect(),
            book: Book::default(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            render,
            recorder,
        };
        Arc::new(metrics)
    }

    /// The exposition, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        #[allow(clippy::cast_precision_loss, reason = "exact far beyond any memory")]
        let show = |gauge: &Gauge, count: &AtomicU64| gauge.set(count.load(Ordering::Relaxed) as f64);
        show(&self.streams_open, &self.in_flight.streams);
        show(&self.connections_open, &self.in_flight.connections);
        show(&self.held_bytes, &self.in_flight.held);
        self.book.show();
        self.render.render()
    }

    /// Folds what was recorded into the histograms; to be called every few seconds, or memory grows.
    pub fn upkeep(&self) {
        self.render.run_upkeep();
    }

    /// Counts a refusal, or a request that could not be carried.
    pub fn refused(&self, reason: Reason) {
        if reason.allows() {
            return;
        }
        if let Some((_, counter)) = self.refusals.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }

    /// The handles of a settled request. `code` stands for the labels in this thread's cache: equal codes must mean equal labels.
    pub fn settled<R>(&self, code: u64, labels: &Labels<'_>, touch: impl FnOnce(&Settled) -> R) -> R {
        SETTLED.with_borrow_mut(|cache| {
            // Codes of configurations that are gone stay behind; a cache of this size has not been emptied for many reloads.
            if cache.len() > CACHE_MAX {
                cache.clear();
            }
            touch(cache.entry((self.number, code)).or_insert_with(|| self.register(labels)))
        })
    }

    fn register(&self, labels: &Labels<'_>) -> Settled {
        let registry = Registry(&self.recorder);
        let cloud = || vec![Label::new("cloud", labels.cloud.to_owned())];
        let mut all = cloud();
        all.extend([
            Label::new("endpoint", labels.endpoint.to_owned()),
            Label::new("surface", labels.surface.to_owned()),
            Label::new("grade", labels.grade),
            Label::new("class", labels.class),
            Label::new("outcome", labels.outcome.as_str()),
        ]);
        Settled {
            requests: registry.counter("riparian_requests_total", all),
            first_byte_seconds: registry.histogram("riparian_first_byte_seconds", cloud()),
            request_seconds: registry.histogram("riparian_request_seconds", cloud()),
            request_bytes: registry.counter("riparian_request_bytes_total", cloud()),
            response_bytes: registry.counter("riparian_response_bytes_total", cloud()),
        }
    }

    /// 1 while an endpoint is up.
    pub fn endpoint_up(&self, cloud: &str, endpoint: &str) -> Gauge {
        let labels = vec![Label::new("cloud", cloud.to_owned()), Label::new("endpoint", endpoint.to_owned())];
        Registry(&self.recorder).gauge("riparian_endpoint_up", labels)
    }

    /// Says which configuration is in force: 1 at its hash, 0 at those before.
    pub fn config(&self, hash: &str, in_force: bool) {
        let labels = vec![Label::new("hash", hash.to_owned())];
        Registry(&self.recorder).gauge("riparian_config_info", labels).set(if in_force { 1.0 } else { 0.0 });
    }

    /// Counts a reload, by whether it was taken.
    pub fn reloaded(&self, taken: bool) {
        let labels = vec![Label::new("result", if taken { "taken" } else { "refused" })];
        Registry(&self.recorder).counter("riparian_config_reloads_total", labels).increment(1);
        self.reload_ok.set(if taken { 1.0 } else { 0.0 });
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(..)")
    }
}

struct Registry<'a>(&'a PrometheusRecorder);

const METADATA: Metadata<'static> = Metadata::new("riparian", Level::INFO, None);

impl Registry<'_> {
    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.0.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.0.register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        self.0.register_histogram(&Key::from_parts(name, labels), &METADATA)
    }
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        ("riparian_requests_total", "Requests, by where they went and how they ended."),
        ("riparian_refusals_total", "Requests that were refused or could not be carried, by reason."),
        ("riparian_request_bytes_total", "Bytes of request bodies, by the cloud that they went to."),
        ("riparian_response_bytes_total", "Bytes of answers' bodies, by the cloud that they came from."),
        ("riparian_pins_evicted_total", "Pins that went before their time because the table was full."),
        ("riparian_pins_operations_total", "What the pin store was asked, and what came of it."),
        (
            "riparian_pins_journal_rewrites_total",
            "Times the pin journal was written anew, whole: too many changes at once, or a disk that failed.",
        ),
        ("riparian_handles_learned_total", "Handles learned from answers."),
        ("riparian_answers_unread_total", "Answers in which handles were due and could not be read."),
        ("riparian_sessions_begun_total", "Sessions that had a first turn."),
        ("riparian_sessions_multi_turn_total", "Sessions that had a second turn."),
        (
            "riparian_sessions_single_turn_total",
            "Sessions that fell idle after a single turn: stateless calls in a session's clothes.",
        ),
        (
            "riparian_tokens_total",
            "Tokens. The directions cached and cache_write are parts of input, and reasoning is a part of output.",
        ),
        (
            "riparian_term_tokens_total",
            "The same by the terms that matched: a request that several matched counts for each, so terms do not add up.",
        ),
        (
            "riparian_usage_missing_total",
            "Answers that ought to have said what they cost and did not; their tokens are not known.",
        ),
        (
            "riparian_usage_partial_total",
            "Answers whose end was not seen: what they had said of tokens by then is counted, and more may be billed.",
        ),
        ("riparian_usage_unpriced_total", "Answers that said what they cost, and that no price fits."),
        ("riparian_money_micros_total", "Millionths of the currency, by the prices of the configuration."),
        (
            "riparian_term_money_micros_total",
            "The same by the terms that matched: a request that several matched counts for each.",
        ),
        (
            "riparian_share_money_micros_total",
            "A party's share of a term's money, in millionths of the currency.",
        ),
        ("riparian_retries_total", "Further attempts inside a candidate set."),
        (
            "riparian_egress_mismatches_total",
            "Connections that reached somebody whom a cloud's witness does not name.",
        ),
        ("riparian_retries_denied_total", "Further attempts that the retry budget did not allow."),
        ("riparian_config_reloads_total", "Reloads, by whether the new configuration was taken."),
        ("riparian_access_log_dropped_total", "Access log lines dropped because the writer was behind."),
    ];
    for (name, text) in counters.into_iter().chain(contract::COUNTERS) {
        recorder.describe_counter(name.into(), None, text.into());
    }
    let gauges = [
        ("riparian_streams_open", "Requests being carried."),
        ("riparian_connections_open", "Client connections."),
        ("riparian_held_bytes", "Bytes of request bodies held for the decision and for replay."),
        ("riparian_pins", "Pins in memory; those of a Redis are not counted."),
        (
            "riparian_pins_breaker",
            "0 while the Redis of the pins is asked, 2 while it is left alone, 1 when one question is to try it.",
        ),
        ("riparian_sessions_live", "Sessions that have not fallen idle."),
        ("riparian_endpoint_up", "1 while the endpoint counts as up."),
        ("riparian_commitment_amount", "What was committed to, in the currency or in tokens."),
        ("riparian_commitment_drawn", "What is drawn of it."),
        ("riparian_commitment_plan", "What had to be drawn by now, at the same pace all along."),
        ("riparian_commitment_forecast", "What will be drawn at its end, at the pace since the meter began."),
        ("riparian_config_info", "1 at the hash of the configuration in force."),
        (
            "riparian_config_last_reload_success",
            "1 when the newest reload was taken, 0 when the old configuration stayed.",
        ),
        (
            "riparian_config_loaded_timestamp_seconds",
            "When the configuration in force was loaded, in Unix time.",
        ),
    ];
    for (name, text) in gauges.into_iter().chain(contract::GAUGES) {
        recorder.describe_gauge(name.into(), None, text.into());
    }
    let histograms = [
        ("riparian_decision_seconds", "From a request's arrival to its decision, the body included."),
        (
            "riparian_pins_seconds",
            "What a question to the Redis of the pins took, or a batch of their journal, by operation.",
        ),
        ("riparian_first_byte_seconds", "From a request's arrival to its answer's first byte, by cloud."),
        ("riparian_request_seconds", "From a request's arrival to its answer's end, by cloud."),
    ];
    for (name, text) in histograms {
        recorder.describe_histogram(name.into(), None, text.into());
    }
}
