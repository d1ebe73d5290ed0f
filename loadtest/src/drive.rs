//! The driver: requests arrive when they are due, whether or not earlier ones have been answered, as they do from clients
//! that do not know of each other. A slow target thus shows as latency, which is counted from when a request was due; a
//! closed loop would wait for it and so hide it.

mod check;
mod client;
mod mix;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

pub use check::Verdict;
pub use mix::{Mix, Recipe, Shape, Step};

use check::NONCE_PREFIX;
use client::{Born, Client};
use mix::Dice;

/// What to send, where, and how fast.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Base URL as an SDK has it, for instance `http://127.0.0.1:8080/v1`.
    pub target: String,
    /// Arrivals a second, on average; the gaps are exponentially distributed. Follow-ups of chains come on top.
    pub rate: f64,
    /// For how long new arrivals come. Running exchanges then finish.
    pub duration: Duration,
    /// The same seed gives the same arrivals, shapes and bodies.
    pub seed: u64,
    /// What arrives.
    pub mix: Mix,
    /// Turns of a chain or conversation. Default 3.
    pub turns: u32,
    /// Extra text in each body. Default none.
    pub padding_bytes: usize,
    /// Arrivals that find this many exchanges outstanding are dropped, and counted. Default 10,000.
    pub outstanding_max: usize,
    /// The model that is asked for. Default `gpt-5.5`.
    pub model: String,
    /// The model of embeddings. Default `text-embedding-3-small`.
    pub embedding_model: String,
    /// Sent as a bearer token. Default none.
    pub credential: Option<String>,
    /// More headers for every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP/2 with prior knowledge instead of HTTP/1.1.
    pub h2c: bool,
    /// After this long an exchange is given up. Default 60 s.
    pub within: Duration,
}

impl Plan {
    /// A plan with every default.
    pub fn new(target: impl Into<String>, rate: f64, duration: Duration) -> Self {
        Plan {
            target: target.into(),
            rate,
            duration,
            seed: 1,
            mix: Mix::default(),
            turns: 3,
            padding_bytes: 0,
            outstanding_max: 10_000,
            model: "gpt-5.5".to_owned(),
            embedding_model: "text-embedding-3-small".to_owned(),
            credential: None,
            headers: Vec::new(),
            h2c: false,
            within: Duration::from_secs(60),
        }
    }
}

/// One exchange, measured. Durations count from when the request was due.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was sent.
    pub recipe: Recipe,
    /// When it was due, since the start of the run.
    pub due: Duration,
    /// Until the answer's head had arrived.
    pub first_byte: Option<Duration>,
    /// Until the answer had ended, or was given up.
    pub duration: Duration,
    /// The longest gap between two pieces of a stream.
    pub gap_max: Option<Duration>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The answer's `x-riparian-*` headers.
    pub riparian: Vec<(String, String)>,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
    /// What became of it.
    pub verdict: Verdict,
}

impl Sample {
    /// The first `x-riparian-*` header of this name, which is given without the prefix.
    pub fn riparian(&self, name: &str) -> Option<&str> {
        let found = self.riparian.iter().find(|(key, _)| key.strip_prefix("x-riparian-") == Some(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// All that a run gave.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Every exchange, in the order of ending.
    pub samples: Vec<Sample>,
    /// Requests that were due while too many were outstanding: never sent.
    pub dropped: u64,
    /// From the first arrival to the last answer.
    pub elapsed: Duration,
}

/// How a run is going.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Requests sent.
    pub sent: u64,
    /// Exchanges ended.
    pub ended: u64,
    /// Of those, ended in a refusal.
    pub refused: u64,
    /// Of those, ended badly: cut, broken, cross-talk, unanswered.
    pub failed: u64,
    /// Never sent.
    pub dropped: u64,
}

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Runs the plan; `progress` is called twice a second and at the end.
///
/// # Errors
/// The plan's target or credential cannot be put into a request, or its rate is not positive.
pub async fn run(plan: Plan, mut progress: impl FnMut(&Progress)) -> Result<Run, String> {
    let tally = Arc::new(Tally::default());
    let (results, mut inbox) = mpsc::unbounded_channel();
    let start = Instant::now();
    let crew = Crew::new(plan, start, Arc::clone(&tally), results)?;
    // The crew is shared by the arrivals and their exchanges only: when the last is gone, the channel closes.
    tokio::spawn(arrive(Arc::new(crew)));
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await; // the first tick is now
    loop {
        tokio::select! {
            sample = inbox.recv() => match sample {
                Some(sample) => samples.push(sample),
                None => break,
            },
            _ = ticks.tick() => progress(&tally.progress(start)),
        }
    }
    let last = tally.progress(start);
    progress(&last);
    Ok(Run { samples, dropped: last.dropped, elapsed: last.elapsed })
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    ended: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Tally {
    fn progress(&self, start: Instant) -> Progress {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            elapsed: start.elapsed(),
            sent: load(&self.sent),
            ended: load(&self.ended),
            refused: load(&self.refused),
            failed: load(&self.failed),
            dropped: load(&self.dropped),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What all exchanges of a run share.
struct Crew {
    plan: Plan,
    client: Client,
    start: Instant,
    tally: Arc<Tally>,
    outstanding: Semaphore,
    results: mpsc::UnboundedSender<Sample>,
}

impl Crew {
    fn new(
        plan: Plan,
        start: Instant,
        tally: Arc<Tally>,
        results: mpsc::UnboundedSender<Sample>,
    ) -> Result<Self, String> {
        if !(plan.rate.is_finite() && plan.rate > 0.0) {
            return Err(format!("the rate must be positive: {}", plan.rate));
        }
        if let Err(error) = plan.target.parse::<http::Uri>() {
            return Err(format!("{:?} is no URL: {error}", plan.target));
        }
        let mut headers: HeaderMap = plan.headers.iter().cloned().collect();
        if let Some(credential) = &plan.credential {
            let value = HeaderValue::from_str(&format!("Bearer {credential}"));
            headers.insert(AUTHORIZATION, value.map_err(|_| "the credential is no header value".to_owned())?);
        }
        let client = Client::new(&plan.target, headers, plan.h2c, plan.within);
        let outstanding = Semaphore::new(plan.outstanding_max.min(Semaphore::MAX_PERMITS));
        Ok(Crew { plan, client, start, tally, outstanding, results })
    }

    /// One exchange, from its due time to its sample; `None` if too many were outstanding.
    async fn exchange(&self, recipe: Recipe, due: Instant, born: Option<oneshot::Sender<Born>>) {
        let Ok(_permit) = self.outstanding.try_acquire() else {
            count(&self.tally.dropped);
            return;
        };
        count(&self.tally.sent);
        let measured = self.client.exchange(&recipe, due, born).await;
        count(&self.tally.ended);
        match measured.verdict {
            Verdict::Whole => {}
            Verdict::Refused => count(&self.tally.refused),
            _ => count(&self.tally.failed),
        }
        let client::Measured { first_byte, duration, gap_max, status, riparian, answer_bytes, verdict } =
            measured;
        let due = due.saturating_duration_since(self.start);
        let sample =
            Sample { recipe, due, first_byte, duration, gap_max, status, riparian, answer_bytes, verdict };
        let _ = self.results.send(sample); // the run was abandoned: nobody wants to know
    }
}

/// Starts a journey at each arrival, and none after the plan's end.
async fn arrive(crew: Arc<Crew>) {
    let mut dice = Dice::new(crew.plan.seed);
    let mut journeys = JoinSet::new();
    let mut due = crew.start;
    loop {
        due += Duration::from_secs_f64(dice.gap_seconds(crew.plan.rate));
        if due.saturating_duration_since(crew.start) >= crew.plan.duration {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let shape = crew.plan.mix.draw(&mut dice);
        journeys.spawn(journey(Arc::clone(&crew), shape, due, dice.next()));
        while journeys.try_join_next().is_some() {} // else the ended ones pile up
    }
    while journeys.join_next().await.is_some() {}
}

/// One arrival, with its follow-ups.
async fn journey(crew: Arc<Crew>, shape: Shape, due: Instant, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut recipe = |turn: u32, step: Step| {
        let model = match step {
            Step::NewConversation => None,
            Step::Embeddings => Some(crew.plan.embedding_model.clone()),
            Step::Chat { .. } | Step::Response { .. } => Some(crew.plan.model.clone()),
        };
        let nonce = format!("{NONCE_PREFIX}{:016x}", dice.next());
        Recipe { shape, step, turn, nonce, model, padding_bytes: crew.plan.padding_bytes }
    };
    let stream = shape == Shape::ChainStream;
    match shape {
        Shape::Chat => crew.exchange(recipe(1, Step::Chat { stream: false }), due, None).await,
        Shape::ChatStream => crew.exchange(recipe(1, Step::Chat { stream: true }), due, None).await,
        Shape::Embeddings => crew.exchange(recipe(1, Step::Embeddings), due, None).await,
        Shape::Response => {
            let step = Step::Response { stream: false, store: false, previous: None, conversation: None };
            crew.exchange(recipe(1, step), due, None).await;
        }
        Shape::Chain | Shape::ChainStream => {
            let step = |_, previous| Step::Response { stream, store: true, previous, conversation: None };
            follow(&crew, due, |turn, born| recipe(turn, step(turn, born))).await;
        }
        Shape::Conversation => {
            let mut conversation = None;
            let step = |turn: u32, born: Option<String>| {
                if turn == 1 {
                    return recipe(turn, Step::NewConversation);
                }
                // The first answer's id is the conversation's; those after it are responses' and are not cited.
                let conversation = conversation.get_or_insert(born.unwrap_or_default()).clone();
                let step =
                    Step::Response { stream, store: true, previous: None, conversation: Some(conversation) };
                recipe(turn, step)
            };
            follow(&crew, due, step).await;
        }
    }
}

/// Sends turn after turn, each the moment the id of the one before has been read, even if that is still streaming.
async fn follow(crew: &Arc<Crew>, due: Instant, mut step: impl FnMut(u32, Option<String>) -> Recipe) {
    let mut turns = JoinSet::new();
    let (mut due, mut born) = (due, None);
    for turn in 1..=crew.plan.turns.max(1) {
        let (tell, told) = oneshot::channel();
        let (crew, recipe) = (Arc::clone(crew), step(turn, born));
        turns.spawn(async move { crew.exchange(recipe, due, Some(tell)).await });
        match told.await {
            Ok((id, at)) => (due, born) = (at, Some(id)),
            Err(_) => break, // the turn gave no id: refused, or failed
        }
    }
    while turns.join_next().await.is_some() {}
}
