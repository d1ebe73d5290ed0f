//! The ways in which one surface's answers tell of tokens, compiled: each count has a number, and each place in a form a slot.

use super::{Meter, Usage};
use riparian_config::{Pointer, Source, Step, Surface, Surfaces, UsageShape};

/// A form of answer, in which places are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Sse,
    Event,
    Socket,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Sse, Self::Event, Self::Socket];

    fn places(self, shape: &UsageShape) -> &[Pointer] {
        match self {
            Self::Json => &shape.json,
            Self::Sse => &shape.sse,
            Self::Event => &shape.event,
            Self::Socket => &shape.socket,
        }
    }
}

/// The shapes of one surface, in the order of preference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    /// How many counts there are.
    counts: usize,
    /// The number of the count that a slot, from the first one of these shapes on, tells.
    slots: Vec<usize>,
    /// Headers that tell a count.
    headers: Vec<(String, usize)>,
}

/// The numbers of the counts whose sums are a usage.
#[derive(Clone, Debug)]
struct Shape {
    adds: bool,
    input: Vec<usize>,
    cached: Vec<usize>,
    cache_write: Vec<usize>,
    output: Vec<usize>,
    reasoning: Vec<usize>,
}

impl Shapes {
    /// Compiles a surface's ways, and says for each form where its slots are: `None` for one that has no such place.
    pub(crate) fn compile(surface: &Surface, all: &Surfaces) -> (Self, [Vec<Option<Pointer>>; 4]) {
        let (mut shapes, mut places) = (Self::default(), [const { Vec::new() }; 4]);
        for shape in surface.usage.iter().filter_map(|name| all.usage(name)) {
            let mut sources: Vec<&Source> = Vec::new();
            let first = shapes.counts;
            let [input, cached, cache_write, output, reasoning] =
                [&shape.input, &shape.cached, &shape.cache_write, &shape.output, &shape.reasoning].map(
                    |list| {
                        list.iter()
                            .map(|source| {
                                let known = sources.iter().position(|known| *known == source);
                                first
                                    + known.unwrap_or_else(|| {
                                        sources.push(source);
                                        sources.len() - 1
                                    })
                            })
                            .collect()
                    },
                );
            shapes.shapes.push(Shape { adds: shape.adds, input, cached, cache_write, output, reasoning });
            shapes.counts += sources.len();
            for (number, source) in (first..).zip(sources) {
                match source {
                    Source::Header(name) => shapes.headers.push((name.clone(), number)),
                    Source::Body(inner) => shapes.place(shape, number, inner, &mut places),
                    // The reader of the files lets nothing else pass.
                    Source::Path(_) | Source::Query(_) | Source::Field(_) => {}
                }
            }
        }
        (shapes, places)
    }

    /// A slot for each place of the form that has most.
    fn place(
        &mut self,
        shape: &UsageShape,
        number: usize,
        inner: &Pointer,
        places: &mut [Vec<Option<Pointer>>; 4],
    ) {
        let most = Form::ALL.iter().map(|form| form.places(shape).len()).max().unwrap_or(0);
        for at in 0..most {
            self.slots.push(number);
            for (form, places) in Form::ALL.iter().zip(places.iter_mut()) {
                let base = form.places(shape).get(at);
                places.push(base.map(|base| Pointer([&base.0[..], &inner.0[..]].concat())));
            }
        }
    }

    /// The keys of the objects that the counts stand in: whatever has none of them in it tells nothing.
    pub(crate) fn keys(surface: &Surface, all: &Surfaces, form: Form) -> Vec<String> {
        let shapes = surface.usage.iter().filter_map(|name| all.usage(name));
        let keys = shapes.flat_map(|shape| form.places(shape)).filter_map(|place| match place.0.last() {
            Some(Step::Key(key)) => Some(key.clone()),
            _ => None,
        });
        keys.collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Whether with some of them events add up.
    pub(super) fn some_add(&self) -> bool {
        self.shapes.iter().any(|shape| shape.adds)
    }

    /// How many counts there are.
    pub(super) fn counts(&self) -> usize {
        self.counts
    }

    /// The number of the count that a slot tells, counted from the first one of these shapes.
    pub(crate) fn at_slot(&self, slot: usize) -> Option<usize> {
        self.slots.get(slot).copied()
    }

    /// Takes the counts of an answer's head; `header` looks one up.
    pub(crate) fn read_head<'h>(&self, meter: &mut Meter, header: impl Fn(&str) -> Option<&'h str>) {
        for (name, number) in &self.headers {
            if let Some(count) = header(name).and_then(|text| text.parse().ok()) {
                meter.count(self, *number, count);
            }
        }
    }

    /// The first shape that these counts show, as a usage, and whether it adds up from event to event.
    pub(super) fn usage(&self, newest: &[Option<u64>]) -> Option<(bool, Usage)> {
        let shown = |shape: &&Shape| {
            let told = |number: &usize| newest.get(*number).is_some_and(Option::is_some);
            shape.input.iter().chain(&shape.output).any(told)
        };
        let shape = self.shapes.iter().find(shown)?;
        let sum = |numbers: &[usize]| numbers.iter().filter_map(|number| newest[*number]).sum();
        let usage = Usage {
            input: sum(&shape.input),
            cached: sum(&shape.cached),
            cache_write: sum(&shape.cache_write),
            output: sum(&shape.output),
            reasoning: sum(&shape.reasoning),
            partial: false,
        };
        Some((shape.adds, usage))
    }
}
