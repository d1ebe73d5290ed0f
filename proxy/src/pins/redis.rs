//! The store `redis`: pins that replicas share, in a Redis or what speaks like one (not a cluster: a question names several
//! keys).
//!
//! A question is one round trip with a deadline; the pins of a request are asked for, and renewed, by one script. Values are
//! authenticated ([`super::value`]): what is there and was not written by us under that key is a fault, never a pin. One
//! connection carries all, driven by a thread with a runtime of its own, since a request's thread may end before the next
//! one asks. When the Redis fails several times in a row nobody asks it for a moment ([`super::breaker`]).

mod link;

use super::breaker::Breaker;
use super::table::wall;
use super::value::{Stored, Times};
use super::{Born, OpenFault, Pin, Recalled, StoreFault};
use crate::credentials::Secrets;
use crate::metrics::{Operation, PinMetrics};
use link::Link;
use redis::{Pipeline, Value};
use riparian_filters::identify::{Keys, PinKey, Tenant};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Redis {
    link: Link,
    breaker: Breaker,
    keys: Keys,
    prefix: String,
    within: Duration,
    ttl: Duration,
    metrics: PinMetrics,
}

/// Of each key its value, and a use of it: a pin that ends without use (the second number of its value) is given that time anew, but
/// not beyond its end (the first). Whether the numbers are ours is not known here, so no nonsense is done with them: 1e12
/// milliseconds are thirty years.
const RECALL: &str = "\
local found = redis.call('MGET', unpack(KEYS))
for i, value in ipairs(found) do
  if value and #value > 17 then
    local hard, idle = struct.unpack('>I8I8', value, 2)
    if idle > 0 then
      local left = idle
      if hard > 0 then
        local now = redis.call('TIME')
        left = math.min(idle, hard - (now[1] * 1000 + math.floor(now[2] / 1000)))
      end
      if left > 0 and left < 1e12 then redis.call('PEXPIRE', KEYS[i], string.format('%d', left)) end
    end
  end
end
return found";

/// The value that is there, used; or nothing, and then it is the given one.
const BIND: &str = "\
local value = redis.call('GET', KEYS[1])
if not value then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return false
end
if #value > 17 then
  local hard, idle = struct.unpack('>I8I8', value, 2)
  if idle > 0 then
    local left = idle
    if hard > 0 then
      local now = redis.call('TIME')
      left = math.min(idle, hard - (now[1] * 1000 + math.floor(now[2] / 1000)))
    end
    if left > 0 and left < 1e12 then redis.call('PEXPIRE', KEYS[1], string.format('%d', left)) end
  end
end
return value";

impl Redis {
    /// Connects, and goes on trying when that fails: a proxy starts without its Redis, and refuses what needs it.
    pub(super) async fn open(
        config: &riparian_config::Redis,
        ttl: Duration,
        keys: &Keys,
        secrets: &Secrets,
        metrics: PinMetrics,
    ) -> Result<Self, OpenFault> {
        Ok(Self {
            link: Link::open(config, secrets).await?,
            breaker: Breaker::default(),
            keys: keys.clone(),
            prefix: config.prefix.clone(),
            within: config.within,
            ttl,
            metrics,
        })
    }

    pub(super) async fn recall(&self, keys: &[PinKey]) -> Result<Recalled, StoreFault> {
        if keys.is_empty() {
            return Ok(Recalled::new());
        }
        let mut question = Pipeline::with_capacity(1);
        question.cmd("EVAL").arg(RECALL).arg(keys.len());
        keys.iter().for_each(|key| {
            question.arg(self.name(*key));
        });
        self.pins(keys, self.ask(Operation::Recall, &question).await?)
    }

    /// The pins in the one answer to a question after `keys`.
    fn pins(&self, keys: &[PinKey], answers: Vec<Value>) -> Result<Recalled, StoreFault> {
        let Value::Array(values) = only(answers)? else { return Err(StoreFault::Refused) };
        if values.len() != keys.len() {
            return Err(StoreFault::Refused);
        }
        let now = wall();
        keys.iter().zip(values).map(|(key, value)| self.pin(*key, &value, now)).collect()
    }

    /// What is there, and no use of it.
    pub(super) async fn peek(&self, keys: &[PinKey]) -> Result<Recalled, StoreFault> {
        if keys.is_empty() {
            return Ok(Recalled::new());
        }
        let mut question = Pipeline::with_capacity(1);
        question.cmd("MGET");
        keys.iter().for_each(|key| {
            question.arg(self.name(*key));
        });
        self.pins(keys, self.ask(Operation::Recall, &question).await?)
    }

    pub(super) async fn learn(&self, tenant: Tenant, born: &[Born]) -> Result<u64, StoreFault> {
        let mut question = Pipeline::with_capacity(born.len());
        for born in born {
            let (value, left) = self.value(tenant, born);
            question.cmd("SET").arg(self.name(born.key)).arg(value).arg("NX").arg("PX").arg(left);
        }
        let answers = self.ask(Operation::Learn, &question).await?;
        // `nil` where one was there: that one stays.
        Ok(answers.iter().map(|answer| u64::from(*answer == Value::Okay)).sum())
    }

    pub(super) async fn bind(&self, tenant: Tenant, born: Born) -> Result<Pin, StoreFault> {
        let (value, left) = self.value(tenant, &born);
        let mut question = Pipeline::with_capacity(1);
        question.cmd("EVAL").arg(BIND).arg(1).arg(self.name(born.key)).arg(value).arg(left);
        let answer = only(self.ask(Operation::Bind, &question).await?)?;
        // What is there is in force, in its last millisecond too.
        Ok(self.pin(born.key, &answer, 0)?.unwrap_or(born.pin))
    }

    pub(super) async fn forget(&self, keys: &[PinKey]) -> Result<(), StoreFault> {
        let mut question = Pipeline::with_capacity(1);
        question.cmd("DEL");
        keys.iter().for_each(|key| {
            question.arg(self.name(*key));
        });
        self.ask(Operation::Forget, &question).await.map(drop)
    }

    fn name(&self, key: PinKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A pin as it is kept, and how many milliseconds it is.
    fn value(&self, tenant: Tenant, born: &Born) -> (Vec<u8>, u64) {
        let now = wall();
        let times = Times::of(born.life, self.ttl, now);
        let stored = Stored { tenant, pin: born.pin.clone(), times };
        (stored.encode(&self.keys, born.key), times.ends.saturating_sub(now).max(1))
    }

    /// What stands under `key`, unless it ended before `now`.
    fn pin(&self, key: PinKey, value: &Value, now: u64) -> Result<Option<Pin>, StoreFault> {
        let bytes = match value {
            Value::Nil => return Ok(None),
            Value::BulkString(bytes) => bytes,
            _ => return Err(StoreFault::Refused),
        };
        match Stored::decode(&self.keys, key, bytes) {
            Ok(stored) => Ok(stored.times.hard.is_none_or(|hard| hard > now).then_some(stored.pin)),
            Err(_) => {
                tracing::error!(
                    "a value in the pin store was not written there by this proxy's key; the request is refused"
                );
                Err(StoreFault::Forged)
            }
        }
    }

    /// One round trip, within the deadline, if the breaker allows it.
    async fn ask(&self, operation: Operation, question: &Pipeline) -> Result<Vec<Value>, StoreFault> {
        let begun = Instant::now();
        let Some(leave) = self.breaker.leave(begun) else {
            self.show(begun);
            return Err(StoreFault::Resting);
        };
        let asked = tokio::time::timeout(self.within, self.link.ask(question)).await;
        let now = Instant::now();
        self.metrics.took(operation, now.duration_since(begun).as_secs_f64());
        let answer = match asked {
            Ok(Ok(answer)) => {
                leave.succeeded();
                Ok(answer)
            }
            Ok(Err(error)) => {
                leave.failed(now);
                tracing::warn!(%error, "the pin store answered with an error");
                Err(StoreFault::Refused)
            }
            Err(_) => {
                leave.failed(now);
                Err(StoreFault::Late)
            }
        };
        self.show(now);
        answer
    }

    fn show(&self, now: Instant) {
        self.metrics.breaker.set(f64::from(self.breaker.state(now) as u8));
    }
}

/// The one answer to one question.
fn only(answers: Vec<Value>) -> Result<Value, StoreFault> {
    <[Value; 1]>::try_from(answers).map(|[answer]| answer).map_err(|_| StoreFault::Refused)
}
