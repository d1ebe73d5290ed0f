//! Stage 11, **observe**: the handles that an answer gives birth to become pins, before the bytes that tell of them go out, and those
//! that it ends are forgotten. What the answer costs is read in the same pass, and stands in the record from the piece on that says it.

mod late;

use crate::house::House;
use crate::pins::Born;
use crate::recall::{life, pin};
use crate::record::Record;
use crate::relay::head::AnswerHead;
use crate::seals::Sealing;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use riparian_config::{Grade, Namespace, Timestamp};
use riparian_filters::eventstream::Rewriter;
use riparian_filters::identify::{PinKey, Tenant};
use riparian_filters::learn::{self, Answer, Learned, Learner};
use riparian_filters::meter::Usage;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Births of one piece of an answer.
type Births = SmallVec<[Born; 4]>;

/// What watches one answer.
#[derive(Debug)]
pub(crate) struct Observer {
    learner: Learner,
    /// Whether handles are due.
    handles: bool,
    /// Pins of this answer, should it say at its end that it was not stored.
    born: SmallVec<[PinKey; 2]>,
    not_stored: bool,
    /// What was born on a socket is good on it, stored or not.
    own: Option<Own>,
}

/// The newest handles that were born on one socket.
#[derive(Debug, Default)]
pub(crate) struct Own(VecDeque<PinKey>);

/// Handles that a socket remembers; 16 bytes each. Endpoints keep the newest response of each of 32 lanes.
const OWN_MAX: usize = 256;

impl Own {
    /// Whether it is one of them.
    pub(crate) fn has(&self, key: PinKey) -> bool {
        self.0.iter().rev().any(|own| *own == key)
    }

    fn add(&mut self, key: PinKey) {
        if self.has(key) {
            return;
        }
        if self.0.len() == OWN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(key);
    }
}

/// Begins to watch what a socket's endpoint says, if handles or tokens are told there.
pub(crate) fn observe_socket(record: &Record) -> Option<Observer> {
    let answer = record.snapshot.policy.answer(record.surface?).filter(|answer| answer.has_socket())?;
    let not_stored = keeps_nothing(record);
    let own = Some(Own::default());
    let (learner, handles) = (Learner::socket(answer), answer.has_births());
    Some(Observer { learner, handles, born: SmallVec::new(), not_stored, own })
}

/// Begins to watch an answer, if it succeeded and something is due in it: what it costs; or handles, when its surface has births and the
/// request leaves or cites state or something is always born. What the head tells is learned at once; of an answer without a body
/// nothing more is due.
pub(crate) async fn observe(
    house: &Arc<House>,
    record: &mut Record,
    response: &AnswerHead,
    without_body: bool,
    seals: Option<&mut Sealing>,
) -> Option<Observer> {
    let (metered, observer, usage) = begin(house, record, response, without_body, seals).await?;
    record.metered = metered;
    record.usage = usage.map(so_far);
    observer
}

/// What is known before the answer has ended.
fn so_far(usage: Usage) -> Usage {
    Usage { partial: true, ..usage }
}

async fn begin(
    house: &Arc<House>,
    record: &Record,
    response: &AnswerHead,
    without_body: bool,
    mut seals: Option<&mut Sealing>,
) -> Option<(bool, Option<Observer>, Option<Usage>)> {
    let policy = &record.snapshot.policy;
    if !response.status.is_success() {
        return None;
    }
    if !record.ends.is_empty() {
        forget(house, record, &record.ends).await;
    }
    let answer = policy.answer(record.surface?)?;
    let handles = answer.has_births() && (record.grade() >= Grade::Creates || answer.is_always_due());
    if !handles && !answer.tells_usage() {
        return None;
    }
    let text = |name: &str| response.lines.named(name).and_then(|value| value.to_str().ok());
    let mut births = Births::new();
    if handles {
        for (born, value) in answer.in_head(text) {
            births.extend(birth(record, &born.kind, value));
            if let Some(seals) = &mut seals {
                seals.born(record, born, value, None);
            }
        }
        learn(house, record, &births).await;
    }
    if without_body || !answer.has_body(handles) {
        return None;
    }
    let plain =
        text(CONTENT_ENCODING.as_str()).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    let frames = text(CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/vnd.amazon.eventstream"));
    let learner = match seals.filter(|_| plain && frames && handles) {
        Some(seals) => {
            seals.frames = Some(Rewriter::default());
            Some(Learner::payloads(answer))
        }
        None => {
            let read = if handles { Learner::new } else { Learner::of_usage };
            plain.then(|| read(answer, text(CONTENT_TYPE.as_str())?)).flatten()
        }
    };
    if learner.is_none() && births.is_empty() && handles && record.grade() >= Grade::Creates {
        house.metrics.answers_unread.increment(1);
        tracing::warn!(decision = %record.id, "an answer in which handles are due is encoded, or of a type that is not read");
    }
    let not_stored = keeps_nothing(record);
    let metered = answer.tells_usage();
    let Some(mut learner) = learner else { return Some((metered, None, None)) };
    learner.read_head(answer, text);
    let usage = learner.usage(answer);
    let observer = Observer { learner, handles, born: SmallVec::new(), not_stored, own: None };
    Some((metered, Some(observer), usage))
}

/// Whether the endpoint's account keeps nothing.
fn keeps_nothing(record: &Record) -> bool {
    record.endpoint.is_some_and(|endpoint| record.snapshot.policy.place(endpoint).endpoint.zero_retention)
}

impl Observer {
    /// Reads a piece of the answer; when it returns, every handle in it is pinned, and what it says of tokens is in the record.
    pub(crate) async fn feed(
        &mut self,
        house: &Arc<House>,
        record: &mut Record,
        bytes: &[u8],
        seals: Option<&mut Sealing>,
    ) {
        let policy = &record.snapshot.policy;
        let Some(answer) = record.surface.and_then(|surface| policy.answer(surface)) else { return };
        let births = self.read(house, record, answer, bytes, seals);
        let usage = self.learner.usage(answer);
        // Before anything is waited for: whoever goes away meanwhile has caused it all the same.
        record.usage = usage.map(so_far);
        if !births.is_empty() {
            learn(house, record, &births).await;
        }
    }

    /// What the next bytes of an AWS event stream become with their seals.
    pub(crate) fn rewrite(
        &mut self,
        house: &Arc<House>,
        record: &mut Record,
        bytes: &[u8],
        seals: &mut Sealing,
    ) -> Vec<u8> {
        let policy = &record.snapshot.policy;
        let answer = record.surface.and_then(|surface| policy.answer(surface));
        let answer = answer.expect("what is observed has births");
        let mut frames = seals.frames.take().unwrap_or_default();
        let mut out = Vec::with_capacity(bytes.len() + 256);
        frames.feed(bytes, &mut out, |payload| {
            let births = self.read(house, record, answer, payload, Some(seals));
            house.metrics.handles_learned.increment(births.len() as u64);
            let sealed = seals.apply(payload);
            self.learner.end_of_message(answer);
            seals.end_of_message();
            sealed
        });
        seals.frames = Some(frames);
        record.usage = self.learner.usage(answer).map(so_far);
        out
    }

    fn read(
        &mut self,
        house: &Arc<House>,
        record: &Record,
        answer: &Answer,
        bytes: &[u8],
        mut seals: Option<&mut Sealing>,
    ) -> Births {
        let mut births = Births::new();
        let grade = record.grade();
        let (born, not_stored, own) = (&mut self.born, &mut self.not_stored, &mut self.own);
        let keeps_nothing = *not_stored;
        let lives = |due: &learn::Born| due.always || !(keeps_nothing || grade < Grade::Creates);
        let mut kinds: SmallVec<[Namespace; 4]> = SmallVec::new();
        let mut until: SmallVec<[(Namespace, Duration); 1]> = SmallVec::new();
        let fed = self.learner.feed(answer, bytes, |learned| match learned {
            Learned::NotStored => *not_stored = true,
            Learned::Expires(kind, text) => until.extend(left(text).map(|left| (kind.clone(), left))),
            Learned::Ends(due, handle, quote) => {
                if let Some(seals) = seals.as_mut().filter(|_| lives(due)) {
                    seals.born(record, due, handle, Some(quote));
                }
            }
            Learned::Born(due, handle) => {
                let lives = lives(due);
                if !lives && own.is_none() {
                    return;
                }
                let Some(one) = birth(record, &due.kind, handle) else { return };
                if let Some(own) = own {
                    own.add(one.key);
                }
                if !lives {
                    return;
                }
                // What the request cites was there before: an answer that echoes it and keeps nothing takes nothing away.
                if !due.always && !record.cites.contains(&one.key) {
                    born.push(one.key);
                }
                births.push(one);
                kinds.push(due.kind.clone());
            }
        });
        for (one, kind) in births.iter_mut().zip(&kinds) {
            if let Some((_, left)) = until.iter().find(|(expiring, _)| expiring == kind) {
                one.life.lives = Some(one.life.lives.map_or(*left, |lives| lives.min(*left)));
            }
        }
        if let Err(error) = fed
            && self.handles
        {
            house.metrics.answers_unread.increment(1);
            tracing::warn!(decision = %record.id, %error, "an answer in which handles are due cannot be read");
        }
        births
    }

    /// Whether handles are due, and not the answer's cost alone.
    pub(crate) fn reads_handles(&self) -> bool {
        self.handles
    }

    /// Whether a handle was born on this socket.
    pub(crate) fn owns(&self, key: PinKey) -> bool {
        self.own.as_ref().is_some_and(|own| own.has(key))
    }

    /// A message of a socket is over. What it did not store leads nowhere but to the socket itself.
    pub(crate) async fn end_of_message(&mut self, house: &Arc<House>, record: &mut Record) {
        if let Some(answer) = record.surface.and_then(|surface| record.snapshot.policy.answer(surface)) {
            self.learner.end_of_message(answer);
            let usage = self.learner.usage(answer);
            record.usage = usage.map(so_far);
        }
        let keeps_nothing = keeps_nothing(record);
        if std::mem::replace(&mut self.not_stored, keeps_nothing) && !self.born.is_empty() {
            forget(house, record, &self.born).await;
        }
        self.born.clear();
    }

    /// The answer is over. What it did not store leads nowhere.
    pub(crate) async fn end(self, house: &Arc<House>, record: &mut Record) {
        record.usage_is_whole();
        if self.not_stored && !self.born.is_empty() {
            forget(house, record, &self.born).await;
        }
    }
}

/// A handle that this request's endpoint has made for its tenant.
pub(crate) fn birth(record: &Record, kind: &Namespace, handle: &str) -> Option<Born> {
    let (decision, endpoint) = (record.decision.as_ref()?, record.endpoint?);
    let policy = &record.snapshot.policy;
    // What a request of no session leaves behind is a session of its own.
    let session = decision
        .session
        .map_or_else(|| policy.keys.session_of(decision.tenant, record.id.0), |session| session.id);
    let key = policy.keys.pin(decision.tenant, kind.as_str(), handle);
    Some(Born { key, pin: pin(policy, endpoint, session, decision.since), life: life(policy.kind(kind)) })
}

/// How long it is until then.
fn left(text: &str) -> Option<Duration> {
    let until: Timestamp = text.parse().ok()?;
    Duration::try_from(until.duration_since(Timestamp::now())).ok()
}

async fn learn(house: &Arc<House>, record: &Record, births: &[Born]) {
    let Some(tenant) = tenant(record).filter(|_| !births.is_empty()) else { return };
    match house.pins.learn(tenant, births).await {
        Ok(new) => {
            house.metrics.handles_learned.increment(new);
            if let Some(session) = record.decision.as_ref().and_then(|decision| decision.session) {
                house.sessions.bore(session.id, new);
            }
        }
        Err(fault) => {
            tracing::warn!(decision = %record.id, %fault, "handles that were born are not pinned yet");
            late::learn(Arc::clone(house), tenant, births.to_vec());
        }
    }
}

async fn forget(house: &House, record: &Record, keys: &[PinKey]) {
    if let Err(fault) = house.pins.forget(keys).await {
        tracing::warn!(decision = %record.id, %fault, "handles that lead nowhere could not be forgotten");
    }
}

fn tenant(record: &Record) -> Option<Tenant> {
    record.decision.as_ref().map(|decision| decision.tenant)
}
