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
