//! Which endpoints have an operation and a model: bit sets, so that a request asks 64 endpoints at once.

use crate::patterns::NameMap;
use crate::policy::Place;
use riparian_config::Surface;
use std::ops::Range;

/// A set of endpoints by their ids, in words of 64.
type Set = Box<[u64]>;

/// What each endpoint serves, compiled.
#[derive(Debug)]
pub(crate) struct Serving {
    all: Set,
    /// By the number of the surface.
    surfaces: Vec<Set>,
    /// By every model that an endpoint names.
    models: NameMap<Set>,
    /// Of any other model.
    other_models: Set,
    /// By the cloud: endpoints are numbered cloud by cloud.
    clouds: Vec<Range<usize>>,
}

impl Serving {
    pub(crate) fn compile(places: &[Place], surfaces: &[Surface], clouds: usize) -> Self {
        let set = |is_in: &dyn Fn(&Place) -> bool| {
            let mut set = vec![0_u64; places.len().div_ceil(64)];
            for (at, _) in places.iter().enumerate().filter(|(_, place)| is_in(place)) {
                set[at / 64] |= 1 << (at % 64);
            }
            set.into_boxed_slice()
        };
        let named = places.iter().filter_map(|place| place.endpoint.models.as_ref()).flatten();
        let mut models = NameMap::default();
        for (model, _) in named {
            if !models.contains_key(model.as_str()) {
                models.insert(model.clone(), set(&|place| place.model(model).is_some()));
            }
        }
        Self {
            all: set(&|_| true),
            surfaces: surfaces
                .iter()
                .map(|surface| set(&|place| place.serves(Some(surface), None)))
                .collect(),
            models,
            other_models: set(&|place| place.endpoint.models.is_none()),
            clouds: (0..clouds)
                .map(|cloud| {
                    let before = |limit: usize| places.partition_point(|place| place.cloud < limit);
                    before(cloud)..before(cloud + 1)
                })
                .collect(),
        }
    }

    /// The endpoints that [serve](Place::serves) a surface and a model.
    #[inline]
    pub(crate) fn of<'s>(&'s self, surface: Option<usize>, model: Option<&str>) -> Served<'s> {
        Served {
            surface: surface.map_or(&self.all, |surface| &self.surfaces[surface]),
            model: model.map_or(&self.all, |model| self.models.get(model).unwrap_or(&self.other_models)),
            clouds: &self.clouds,
        }
    }
}

/// The endpoints that serve one request.
#[derive(Clone, Copy)]
pub(crate) struct Served<'s> {
    surface: &'s [u64],
    model: &'s [u64],
    clouds: &'s [Range<usize>],
}

impl<'s> Served<'s> {
    /// Those of a cloud, in words that are not empty, each with its number.
    #[inline]
    pub(crate) fn in_cloud(self, cloud: usize) -> impl Iterator<Item = (usize, u64)> + 's {
        let Range { start, end } = self.clouds[cloud];
        (start / 64..end.div_ceil(64)).filter_map(move |word| {
            let first = word * 64;
            let from = u64::MAX << start.saturating_sub(first);
            let until = u64::MAX >> (first + 64).saturating_sub(end).min(63);
            let bits = self.surface[word] & self.model[word] & from & until;
            (bits != 0).then_some((word, bits))
        })
    }
}
