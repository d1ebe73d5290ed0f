//! What each reading makes of a request, why, and what becomes of those that the readings disagree about.

use super::Subject;
use super::endpoints::names;
use super::terms::{Cells, ids};
use riparian_config::{Band, Class, Grade, InnerCalls, Reading, Surface};
use serde::Serialize;

/// What a reading makes of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReadingTold {
    pub(crate) reading: String,
    pub(crate) enforced: bool,
    pub(crate) class: &'static str,
    pub(crate) why: String,
    /// Where the terms allow it under this reading alone.
    pub(crate) clouds: Vec<String>,
    /// Why nowhere.
    pub(crate) refusal: Option<&'static str>,
    pub(crate) terms: Vec<String>,
}

/// Whether the readings disagree about where a request may go, and what then.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BandTold {
    /// As the contract has it.
    pub(crate) band: &'static str,
    pub(crate) in_band: bool,
    /// In words, where they disagree.
    pub(crate) does: Option<String>,
}

/// Every reading, in the contract's order.
pub(super) fn told(subject: &Subject<'_, '_>, cells: &Cells<'_>) -> Vec<ReadingTold> {
    let Subject { policy, decision, classified, asker, .. } = *subject;
    let contract = &policy.config.contract;
    let surface = classified.surface.map(|number| policy.surface(number));
    let readings = contract.readings.iter().enumerate();
    readings
        .map(|(number, reading)| {
            let class = decision.classes.of(number);
            let cell = cells.of_class(class);
            ReadingTold {
                reading: reading.name.to_string(),
                enforced: number == contract.enforced,
                class: class.as_str(),
                why: why(reading, surface, classified.grade, classified.fired, asker.inner),
                clouds: names(policy, cell.clouds),
                refusal: cell.refusal.map(riparian_filters::decision::Reason::as_str),
                terms: ids(policy, &cell.terms),
            }
        })
        .collect()
}

/// Why a reading gives a request its class; asked in the order of [`riparian_filters::readings`].
fn why(
    reading: &Reading,
    surface: Option<&Surface>,
    grade: Grade,
    fired: u64,
    inner: Option<Grade>,
) -> String {
    if let Some(session) = inner.filter(|_| reading.inner_calls == InnerCalls::Inherit)
        && reading.class(session) == Class::Stateful
    {
        return format!("it is made in the course of a session that is stateful ({session})");
    }
    let Some(surface) = surface else { return line(reading, grade) };
    let of_surface = reading.surfaces.iter().find(|(pattern, _)| pattern.matches(surface.id.as_str()));
    if let Some((pattern, class)) = of_surface {
        return format!("the reading says that {pattern} is {class}");
    }
    let given = |slot: usize| {
        let at = &surface.signals[slot].at;
        reading.signals.iter().find(|(signal, _)| signal == at).map(|(_, class)| *class)
    };
    let found: Vec<usize> = (0..surface.signals.len()).filter(|slot| fired & (1 << slot) != 0).collect();
    if let Some(slot) = found.iter().find(|slot| given(**slot) == Some(Class::Stateful)) {
        return format!("the reading says that {} makes it stateful", surface.signals[*slot].at);
    }
    let (dropped, counted): (Vec<usize>, Vec<usize>) =
        found.into_iter().partition(|slot| given(*slot) == Some(Class::Stateless));
    let Some(slot) = dropped.first() else { return line(reading, grade) };
    let grade = counted.iter().map(|slot| surface.signals[*slot].grade).fold(surface.grade, Grade::max);
    format!("without {}, which does not count, {}", surface.signals[*slot].at, line(reading, grade))
}

fn line(reading: &Reading, grade: Grade) -> String {
    match reading.stateful_from {
        None => "nothing is stateful".to_owned(),
        Some(from) if grade >= from => format!("it is stateful from {from} on, and this is {grade}"),
        Some(from) => format!("it is stateful from {from} on, and this is only {grade}"),
    }
}

impl BandTold {
    /// Of a request that was not judged.
    pub(super) fn unread(band: Band) -> Self {
        Self { band: band.as_str(), in_band: false, does: None }
    }

    pub(super) fn of(subject: &Subject<'_, '_>, cells: &Cells<'_>) -> Self {
        let Subject { policy, decision, .. } = *subject;
        let band = policy.config.contract.band;
        let both = cells.other.map(|other| cells.own.clouds.and(other.clouds));
        let does = both.filter(|_| decision.in_band).map(|both| match band {
            Band::Conservative if both.is_empty() => {
                "no cloud is allowed under every reading, so it is refused".to_owned()
            }
            Band::Conservative => {
                format!("only what every reading allows: {}", names(policy, both).join(", "))
            }
            Band::Enforced => "the enforced reading decides alone".to_owned(),
            Band::Refuse => "it is refused because they disagree".to_owned(),
        });
        Self { band: band.as_str(), in_band: decision.in_band, does }
    }
}
