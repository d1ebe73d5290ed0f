//! What each reading makes of a request: stateful or not.
//!
//! | asked in this order | the request is |
//! |---|---|
//! | the reading judges inner calls as part of their session, and the request is made in the course of one that is stateful under it | stateful |
//! | the reading gives the surface a class | of that class |
//! | a signal that was found counts as stateful under the reading | stateful |
//! | the highest of the surface's grade and of the signals that count reaches `stateful_from` | stateful |
//! | anything else | stateless |

use riparian_config::{Class, Contract, Grade, InnerCalls, READINGS_MAX, Reading, Surface};

/// What each reading makes of a request, by the readings' numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(u16);

const _: () = assert!(READINGS_MAX == 16, "one bit each");

impl Classes {
    /// Under the reading of this number.
    #[must_use]
    pub fn of(self, reading: usize) -> Class {
        if self.0 >> reading & 1 == 1 { Class::Stateful } else { Class::Stateless }
    }

    /// Whether the first `count` readings make different things of it.
    #[must_use]
    pub fn differ(self, count: usize) -> bool {
        let all = u16::MAX >> (READINGS_MAX - count);
        self.0 & all != 0 && self.0 & all != all
    }

    fn set(&mut self, reading: usize, class: Class) {
        self.0 |= u16::from(class == Class::Stateful) << reading;
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        let mut set = Self::default();
        classes.into_iter().enumerate().for_each(|(reading, class)| set.set(reading, class));
        set
    }
}

/// A contract's readings, compiled.
#[derive(Debug)]
pub(crate) struct Readings {
    /// By the grade, where no reading has more to say.
    plain: [Classes; Grade::ALL.len()],
    /// Those that say more than from which grade on: the reading, what it gives each surface, and the signals that it raises and drops.
    particular: Vec<Particular>,
}

#[derive(Debug)]
struct Particular {
    reading: usize,
    stateful_from: Option<Grade>,
    inherits: bool,
    /// By the number of the surface.
    surfaces: Vec<Option<Class>>,
    raised: Vec<u64>,
    dropped: Vec<u64>,
}

impl Readings {
    pub(crate) fn compile(contract: &Contract, surfaces: &[Surface]) -> Self {
        let plain =
            Grade::ALL.map(|grade| contract.readings.iter().map(|reading| reading.class(grade)).collect());
        let particular = contract.readings.iter().enumerate().filter_map(|(number, reading)| {
            let inherits = reading.inner_calls == InnerCalls::Inherit;
            (inherits || !reading.surfaces.is_empty() || !reading.signals.is_empty()).then(|| Particular {
                reading: number,
                stateful_from: reading.stateful_from,
                inherits,
                surfaces: surfaces.iter().map(|surface| reading.of_surface(surface.id.as_str())).collect(),
                raised: surfaces.iter().map(|surface| slots(reading, surface, Class::Stateful)).collect(),
                dropped: surfaces.iter().map(|surface| slots(reading, surface, Class::Stateless)).collect(),
            })
        });
        Self { plain, particular: particular.collect() }
    }

    /// What each reading makes of a request. `fired` are the slots of the signals that were found in it, `inner` is the grade of the
    /// session in the course of which it is made.
    pub(crate) fn classes(
        &self,
        surface: Option<(usize, &Surface)>,
        grade: Grade,
        fired: u64,
        inner: Option<Grade>,
    ) -> Classes {
        let mut classes = self.plain[grade as usize];
        for particular in &self.particular {
            let class = particular.class(surface, grade, fired, inner);
            classes.0 &= !(1 << particular.reading);
            classes.set(particular.reading, class);
        }
        classes
    }
}

impl Particular {
    fn class(
        &self,
        surface: Option<(usize, &Surface)>,
        grade: Grade,
        fired: u64,
        inner: Option<Grade>,
    ) -> Class {
        let of = |grade: Grade| match self.stateful_from {
            Some(from) if grade >= from => Class::Stateful,
            _ => Class::Stateless,
        };
        if self.inherits && inner.is_some_and(|session| of(session) == Class::Stateful) {
            return Class::Stateful;
        }
        let Some((number, surface)) = surface else { return of(grade) };
        if let Some(class) = self.surfaces[number] {
            return class;
        }
        if fired & self.raised[number] != 0 {
            return Class::Stateful;
        }
        if fired & self.dropped[number] == 0 {
            return of(grade);
        }
        let counts = |slot: usize| fired & !self.dropped[number] & (1 << slot) != 0;
        let counted = surface.signals.iter().enumerate().filter(|(slot, _)| counts(*slot));
        of(counted.map(|(_, signal)| signal.grade).fold(surface.grade, Grade::max))
    }
}

/// The slots of the signals of a surface to which a reading gives this class.
fn slots(reading: &Reading, surface: &Surface, class: Class) -> u64 {
    let given = |at: &riparian_config::Source| {
        reading.signals.iter().find(|(signal, _)| signal == at).is_some_and(|(_, given)| *given == class)
    };
    let slots = surface.signals.iter().enumerate().filter(|(_, signal)| given(&signal.at));
    slots.map(|(slot, _)| 1 << slot).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::Keys;
    use crate::policy::Policy;
    use riparian_config::Config;

    const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds: { a: { endpoints: [{ name: e, dialect: openai, url: "http://127.0.0.1:9000", credential: none }] } }
contract:
  enforce: plain
  terms: [{ id: t, only: a }]
  readings:
    plain: { stateful_from: continues }
    never: { stateful_from: never }
    inherits: { stateful_from: continues, inner_calls: inherit, surfaces: { openai.chat.*: stateless } }
    surfaces: { stateful_from: continues, surfaces: { openai.responses.create: stateless, "openai.responses.*": stateful, "openai.embeddings.*": stateful }, signals: { /store: stateful } }
    signals: { stateful_from: creates, signals: { /prompt_cache_key: stateful, /store: stateless, /previous_response_id: stateless } }
"#;

    /// Operation, signals, the session's grade, those readings under which it is stateful.
    type Row<'r> = (&'r str, &'r [&'r str], Option<Grade>, &'r [&'r str]);

    #[test]
    fn what_each_reading_makes_of_a_request() {
        let config = Config::parse(CONFIG, "test").unwrap_or_else(|faults| panic!("{faults}"));
        let count = config.contract.readings.len();
        let policy = Policy::compile(config, Keys::derive(b"test")).unwrap();
        let (chat, respond, get, embed) = (
            "openai.chat.create",
            "openai.responses.create",
            "openai.responses.get",
            "openai.embeddings.create",
        );
        let (continues, runtime) = (Some(Grade::Continues), Some(Grade::Runtime));
        let (cache, store, previous, seal) =
            ("/prompt_cache_key", "/store", "/previous_response_id", "/input/*/encrypted_content");
        let rows: &[Row<'_>] = &[
            // An inner call inherits from a session that is stateful, whatever is said of its surface, and from no other.
            (chat, &[], runtime, &["inherits"]),
            (chat, &[], continues, &["inherits"]),
            (chat, &[], Some(Grade::Creates), &[]),
            (embed, &[], runtime, &["inherits", "surfaces"]),
            // The surface's class counts before its signals and its grade; the first that matches decides.
            (chat, &["/messages/*/audio/id"], None, &["plain", "surfaces", "signals"]),
            (respond, &[store], None, &[]),
            (respond, &[previous], None, &["plain", "inherits"]),
            (get, &[], None, &["plain", "inherits", "surfaces", "signals"]),
            (embed, &[], None, &["surfaces"]),
            // A signal that counts as stateful, beside others that do not count.
            (respond, &[cache], None, &["signals"]),
            (respond, &[cache, store], None, &["signals"]),
            (chat, &[store], None, &["surfaces"]),
            // The highest of what counts.
            (respond, &[store, previous], None, &["plain", "inherits"]),
            (respond, &[previous, seal], None, &["plain", "inherits"]),
            (respond, &[previous, "/background"], None, &["plain", "inherits", "signals"]),
            // Anything else.
            (chat, &[], None, &[]),
            (respond, &[], None, &[]),
        ];
        let names = |classes: Classes| {
            let readings = policy.config.contract.readings.iter().enumerate();
            let stateful = readings.filter(|(at, _)| classes.of(*at) == Class::Stateful);
            stateful.map(|(_, reading)| reading.name.as_str()).collect::<Vec<_>>()
        };
        for (id, places, inner, expected) in rows {
            let mut surfaces = policy.config.surfaces.surfaces.iter();
            let number = surfaces.position(|surface| surface.id.as_str() == *id).expect("a built-in surface");
            let surface = policy.surface(number);
            let found = |(_, signal): &(usize, &riparian_config::Signal)| {
                places.contains(&signal.at.to_string().as_str())
            };
            let found: Vec<_> = surface.signals.iter().enumerate().filter(found).collect();
            assert!(found.len() >= places.len(), "{id} has {places:?}");
            let grade = found.iter().map(|(_, signal)| signal.grade).fold(surface.grade, Grade::max);
            let fired = found.iter().fold(0, |all, (slot, _)| all | 1 << slot);
            let classes = policy.classes(Some(number), grade, fired, *inner);
            assert_eq!(names(classes), *expected, "{id} with {places:?} in {inner:?}");
            assert_eq!(classes.differ(count), !expected.is_empty() && expected.len() < count);
        }
        // What is in no table has no surface and no signals to speak of.
        assert_eq!(
            names(policy.classes(None, Grade::Unknown, 0, None)),
            ["plain", "inherits", "surfaces", "signals"]
        );
    }

    #[test]
    fn as_many_readings_as_there_may_be_are_one_bit_each() {
        let class = |stateful| if stateful { Class::Stateful } else { Class::Stateless };
        let last: Classes = (0..READINGS_MAX).map(|at| class(at + 1 == READINGS_MAX)).collect();
        assert_eq!(last.of(READINGS_MAX - 1), Class::Stateful);
        assert!(last.differ(READINGS_MAX) && !last.differ(READINGS_MAX - 1));
        let all: Classes = (0..READINGS_MAX).map(|_| Class::Stateful).collect();
        assert!(!all.differ(READINGS_MAX) && !all.differ(1));
    }
}
