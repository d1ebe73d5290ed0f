//! Stage 11, **observe**: the handles that an answer gives birth to become pins, before the bytes that tell of them go out.

use crate::house::House;
use crate::pins::{Born, Life, Pin};
use crate::record::Record;
use crate::relay::head::AnswerHead;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use riparian_config::Grade;
use riparian_filters::identify::PinKey;
use riparian_filters::learn::{Learned, Learner};
use smallvec::SmallVec;

/// What watches one answer.
#[derive(Debug)]
pub(crate) struct Observer {
    learner: Learner,
    /// Pins of this answer, should it say at its end that it was not stored.
    born: SmallVec<[PinKey; 2]>,
    not_stored: bool,
}

/// Begins to watch an answer, if handles are due in it: its surface has births, the request leaves or cites state, and it
/// succeeded.
pub(crate) fn observe(house: &House, record: &Record, response: &AnswerHead) -> Option<Observer> {
    let answer = record.snapshot.policy.answer(record.surface?)?;
    if record.grade() < Grade::Creates || !response.status.is_success() {
        return None;
    }
    let text = |name| response.lines.get(name).and_then(|value| value.to_str().ok());
    let plain = text(&CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    let learner = plain.then(|| Learner::new(answer, text(&CONTENT_TYPE)?)).flatten();
    if learner.is_none() {
        house.metrics.answers_unread.increment(1);
        tracing::warn!(decision = %record.id, "an answer in which handles are due is encoded, or of a type that is not read");
    }
    Some(Observer { learner: learner?, born: SmallVec::new(), not_stored: false })
}

impl Observer {
    /// Reads a piece of the answer; when it returns, every handle in it is pinned.
    pub(crate) async fn feed(&mut self, house: &House, record: &Record, bytes: &[u8]) {
        let (Some(decision), Some(endpoint)) = (&record.decision, record.endpoint) else { return };
        let policy = &record.snapshot.policy;
        let Some((answer, session)) =
            record.surface.and_then(|surface| policy.answer(surface)).zip(decision.session)
        else {
            return;
        };
        let place = policy.place(endpoint);
        let (mut born, not_stored) = (SmallVec::<[Born; 2]>::new(), &mut self.not_stored);
        let fed = self.learner.feed(bytes, |learned| match learned {
            Learned::NotStored => *not_stored = true,
            Learned::Born(slot, handle) => {
                let key = policy.keys.pin(decision.tenant, answer.namespace(slot).as_str(), handle);
                let pin = Pin {
                    endpoint: place.endpoint.name.clone(),
                    cloud: place.cloud_name.clone(),
                    session: session.id,
                    epoch: decision.epoch,
                };
                born.push(Born { key, pin, life: Life::default() });
            }
        });
        for born in born {
            // A conversation that the answer only echoes has its pin already, and keeps it.
            match house.pins.learn(decision.tenant, std::slice::from_ref(&born)).await {
                Ok(0) => {}
                Ok(_) => {
                    house.metrics.handles_learned.increment(1);
                    self.born.push(born.key);
                }
                Err(fault) => {
                    house.metrics.answers_unread.increment(1);
                    tracing::warn!(decision = %record.id, %fault, "a handle was born and its pin is not kept");
                }
            }
        }
        if let Err(error) = fed {
            house.metrics.answers_unread.increment(1);
            tracing::warn!(decision = %record.id, %error, "an answer in which handles are due cannot be read");
        }
    }

    /// The answer is over. What it did not store leads nowhere.
    pub(crate) async fn end(self, house: &House) {
        if self.not_stored
            && let Err(fault) = house.pins.forget(&self.born).await
        {
            tracing::warn!(%fault, "pins of an answer that was not stored are still kept");
        }
    }
}
