//! Readings, with what a line cannot say: classes of surfaces and of signals.

use crate::decode::naming::{name, unknown};
use crate::fault::{Found, Place};
use crate::read::{Fields, Spot, text, value_at};
use crate::sections::CLASSES;
use crate::suggest::nearest;
use crate::table::Kind;
use crate::{Class, Grade, InnerCalls, Pattern, Reading, ReadingName, Source, Surfaces};

/// With the places of their names.
pub(super) fn readings_of(
    fields: &Fields<'_>,
    surfaces: &Surfaces,
    found: &mut Found,
) -> Vec<(Place, Reading)> {
    let named = fields.named("readings", found);
    let read = |(spot, fields): (Spot<'_>, Option<Fields<'_>>)| {
        let at = spot.at;
        let name = name(spot, ReadingName::new, found);
        let fields = fields?;
        let word = fields.word("stateful_from", found);
        let inner_calls = fields.word("inner_calls", found);
        let surface_classes = of_surfaces(&fields, surfaces, found);
        let signals = of_signals(&fields, surfaces, found);
        let inner_calls = match inner_calls? {
            "inherit" => InnerCalls::Inherit,
            _ => InnerCalls::Own,
        };
        let stateful_from = Grade::parse(word?);
        Some((at, Reading { name: name?, stateful_from, inner_calls, surfaces: surface_classes, signals }))
    };
    named.into_iter().filter_map(read).collect()
}

/// The class that each entry of a map gives what its key names.
fn classes<'t>(fields: &Fields<'t>, key: &str, found: &mut Found) -> Vec<(Spot<'t>, Class)> {
    let mut classes = Vec::new();
    if !fields.has(key) {
        return classes;
    }
    for entry in fields.pairs(key, found) {
        let Some(word) = text(&entry.node, value_at(entry), &entry.key, &Kind::Word(CLASSES), found) else {
            continue;
        };
        match Class::parse(word.text) {
            Some(class) => classes.push((Spot { text: &entry.key, at: entry.key_at }, class)),
            None => unknown(word, CLASSES, "class", found),
        }
    }
    classes
}

fn of_surfaces(fields: &Fields<'_>, surfaces: &Surfaces, found: &mut Found) -> Vec<(Pattern, Class)> {
    let mut kept = Vec::new();
    for (spot, class) in classes(fields, "surfaces", found) {
        let ids: Vec<_> = surfaces.surfaces.iter().map(|surface| surface.id.as_str()).collect();
        match Pattern::parse(spot.text).filter(|pattern| ids.iter().any(|id| pattern.matches(id))) {
            Some(pattern) => kept.push((pattern, class)),
            None => {
                let instead = nearest(spot.text, ids.iter().copied())
                    .map_or("a surface that there is".to_owned(), |id| format!("`{id}`"));
                let what = format!("`{}` is no surface", spot.text);
                found.fault(spot.at, what, "`riparian surfaces` lists them", instead);
            }
        }
    }
    kept
}

fn of_signals(fields: &Fields<'_>, surfaces: &Surfaces, found: &mut Found) -> Vec<(Source, Class)> {
    let mut kept = Vec::new();
    let signals = || surfaces.surfaces.iter().flat_map(|surface| &surface.signals);
    for (spot, class) in classes(fields, "signals", found) {
        match Source::parse(spot.text).filter(|at| signals().any(|signal| signal.at == *at)) {
            Some(at) => kept.push((at, class)),
            None => {
                let known: Vec<String> = signals().map(|signal| signal.at.to_string()).collect();
                let instead = nearest(spot.text, known.iter().map(String::as_str))
                    .map_or("the place of a signal".to_owned(), |at| format!("`{at}`"));
                let what = format!("`{}` is the place of no signal", spot.text);
                found.fault(spot.at, what, "`riparian surfaces` lists them", instead);
            }
        }
    }
    kept
}
