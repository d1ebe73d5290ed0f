//! Arrivals and their exchanges: who starts when, and what follows what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::check::{NONCE_PREFIX, Verdict};
use super::client::{Born, Client};
use super::dial::Dial;
use super::dice::Dice;
use super::mix::Arrival;
use super::pool::Pool;
use super::recipe::{Recipe, Step};
use super::shape::{Manners, Shape};
use super::{Plan, Sample};

/// What is counted while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What all exchanges of a run share.
pub(crate) struct Crew {
    plan: Plan,
    client: Client,
    start: Instant,
    tally: Arc<Tally>,
    outstanding: Semaphore,
    results: mpsc::UnboundedSender<Sample>,
}

impl Crew {
    pub(crate) fn new(
        plan: Plan,
        start: Instant,
        tally: Arc<Tally>,
        results: mpsc::UnboundedSender<Sample>,
    ) -> Result<Self, String> {
        if !(plan.rate.is_finite() && plan.rate > 0.0) {
            return Err(format!("the rate must be positive: {}", plan.rate));
        }
        let mut headers: HeaderMap = plan.headers.iter().cloned().collect();
        if let Some(credential) = &plan.credential {
            let value = HeaderValue::from_str(&format!("Bearer {credential}"));
            headers.insert(AUTHORIZATION, value.map_err(|_| "the credential is no header value".to_owned())?);
        }
        let dial = Dial::new(&plan.target, plan.http, plan.ca_pem.as_deref())?;
        let pool = Pool::new(dial, plan.http, plan.connections);
        let path = plan.target.parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
        let client = Client::new(pool, &path, headers, plan.within, plan.digest);
        let outstanding = Semaphore::new(plan.outstanding_max.min(Semaphore::MAX_PERMITS));
        Ok(Crew { plan, client, start, tally, outstanding, results })
    }

    /// One exchange, from its due time to its sample; counted as dropped if too many are outstanding.
    async fn exchange(&self, recipe: Recipe, due: Instant, born: Option<oneshot::Sender<Born>>) {
        let Ok(_permit) = self.outstanding.try_acquire() else {
            count(&self.tally.dropped);
            return;
        };
        count(&self.tally.sent);
        let measured = self.client.exchange(&recipe, due, born).await;
        count(&self.tally.ended);
        match measured.verdict {
            Verdict::Whole | Verdict::Left => {}
            Verdict::Cut(_) | Verdict::Unanswered(_) if recipe.excuses() => {}
            Verdict::Refused => count(&self.tally.refused),
            _ => count(&self.tally.failed),
        }
        let sample = Sample {
            recipe,
            due: due.saturating_duration_since(self.start),
            first_byte: measured.first_byte,
            duration: measured.duration,
            gap_max: measured.gap_max,
            status: measured.status,
            riparian: measured.riparian,
            answer_bytes: measured.answer_bytes,
            answer_sha256: measured.answer_sha256,
            verdict: measured.verdict,
        };
        let _ = self.results.send(sample); // the run was abandoned: nobody wants to know
    }
}

/// Starts a journey at each arrival, and none after the plan's end.
pub(crate) async fn arrive(crew: Arc<Crew>) {
    let mut dice = Dice::new(crew.plan.seed);
    let mut journeys = JoinSet::new();
    let mut due = crew.start;
    loop {
        due += Duration::from_secs_f64(dice.gap_seconds(crew.plan.rate));
        if due.saturating_duration_since(crew.start) >= crew.plan.duration {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let arrival = crew.plan.mix.draw(&mut dice);
        journeys.spawn(journey(Arc::clone(&crew), arrival, due, dice.next()));
        while journeys.try_join_next().is_some() {} // else the ended ones pile up
    }
    while journeys.join_next().await.is_some() {}
}

/// One arrival, with its follow-ups.
async fn journey(crew: Arc<Crew>, arrival: Arrival, due: Instant, seed: u64) {
    let mut dice = Dice::new(seed);
    let Arrival { shape, body_bytes, script, .. } = arrival;
    let turns = match shape {
        Shape::Chain | Shape::ChainStream | Shape::Conversation => crew.plan.turns.max(1),
        Shape::Chat | Shape::ChatStream | Shape::Embeddings | Shape::Response => 1,
    };
    let special = 1 + u32::try_from(dice.next() % u64::from(turns)).expect("below a u32");
    let mut recipe = |turn: u32, step: Step| {
        let model = match step {
            Step::NewConversation => None,
            Step::Embeddings => Some(crew.plan.embedding_model.clone()),
            Step::Chat { .. } | Step::Response { .. } => Some(crew.plan.model.clone()),
        };
        let nonce = format!("{NONCE_PREFIX}{:016x}", dice.next());
        let (manners, fault) =
            if turn == special { (arrival.manners, arrival.fault) } else { (Manners::Good, None) };
        let padding_bytes = crew.plan.padding_bytes;
        Recipe { shape, step, turn, nonce, model, padding_bytes, body_bytes, script, manners, fault }
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
