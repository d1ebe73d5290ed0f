//! Stage 11 for a socket: handles that the server's messages give birth to become pins, before the bytes that tell of them go out.
//!
//! What was born here is good here, stored or not: an endpoint keeps the newest responses of a socket in the socket. What it says that it did
//! not store leads nowhere else, so that its pin is forgotten at the message's end.

use crate::house::House;
use crate::pins::Pin;
use crate::record::Record;
use riparian_filters::identify::PinKey;
use riparian_filters::learn::{Answer, Learned, Learner};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::time::Instant;

/// Handles of its own that a socket remembers, the newest; 16 bytes each. An endpoint keeps one a lane, of which there are 32.
const OWN_MAX: usize = 256;

/// What was born on one socket.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// Reads the message that is being sent.
    learner: Option<Learner>,
    /// It cannot be read, which was counted.
    unread: bool,
    own: VecDeque<PinKey>,
    /// Pins of this message.
    born: SmallVec<[PinKey; 2]>,
    not_stored: bool,
}

impl Births {
    /// Whether this handle was born here.
    pub(super) fn knows(&self, key: PinKey) -> bool {
        self.own.iter().rev().any(|own| *own == key)
    }

    /// Reads a piece of a message; when it returns, every handle in it is pinned.
    pub(super) fn feed(&mut self, house: &House, record: &Record, payload: &[u8]) {
        let policy = &record.snapshot.policy;
        let (Some(decision), Some(endpoint)) = (&record.decision, record.endpoint) else { return };
        let Some(answer) = record.surface.and_then(|surface| policy.answer(surface)) else { return };
        if self.unread {
            return;
        }
        let Some(session) = decision.session else { return };
        let learner = match &mut self.learner {
            Some(learner) => learner,
            none => match begin(answer) {
                Some(learner) => none.insert(learner),
                None => return,
            },
        };
        let place = policy.place(endpoint);
        let (own, born, not_stored) = (&mut self.own, &mut self.born, &mut self.not_stored);
        let fed = learner.feed(payload, |learned| match learned {
            Learned::NotStored => *not_stored = true,
            Learned::Born(slot, handle) => {
                let key = policy.keys.pin(decision.tenant, answer.namespace(slot).as_str(), handle);
                if !own.iter().rev().any(|known| *known == key) {
                    if own.len() == OWN_MAX {
                        own.pop_front();
                    }
                    own.push_back(key);
                }
                let pin = Pin {
                    endpoint: place.endpoint.name.clone(),
                    cloud: place.cloud_name.clone(),
                    session: session.id,
                    epoch: decision.epoch,
                    expires: Instant::now() + house.pins.ttl(),
                };
                if house.pins.learn(key, decision.tenant, pin) {
                    house.metrics.handles_learned.increment(1);
                    born.push(key);
                }
            }
        });
        if fed.is_err() {
            self.unread = true;
            house.metrics.answers_unread.increment(1);
        }
    }

    /// The message is over.
    pub(super) fn message_end(&mut self, house: &House) {
        if std::mem::take(&mut self.not_stored) {
            self.born.iter().for_each(|key| house.pins.forget(*key));
        }
        self.born.clear();
        self.learner = None;
        self.unread = false;
    }
}

fn begin(answer: &Answer) -> Option<Learner> {
    Learner::new(answer, "application/json")
}
