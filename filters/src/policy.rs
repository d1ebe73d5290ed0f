//! The whole configuration, compiled for the hot path: what a request needs is an index or one hash away.

use crate::decision::Reason;
use crate::head::Head;
use crate::identify::{CallerNumber, Callers, Identity, Keys, LastTenant, Tenant, Who};
use crate::patterns::{NameMap, PatternMap};
use crate::readings::{Classes, Readings};
use crate::scan::Watch;
use crate::select::Draw;
use crate::serving::{Served, Serving};
use crate::surface::{Recognised, Router};
use crate::table::{CloudSet, ENTRIES_MAX, Table};
use http::{HeaderMap, HeaderName};
use riparian_config::{
    CloudName, Config, Dialect, Endpoint, EndpointName, Grade, HandleKind, ModelAt, Namespace, Surface,
    Timeouts,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A request may name here the clouds that it wants to go to: `azure, aws`. It can only take away from what the contract allows.
pub const NARROW: HeaderName = HeaderName::from_static("x-riparian-clouds");

/// A surface's index in the table.
pub type SurfaceNumber = usize;

/// An endpoint's index in the configuration, clouds in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u16);

/// An endpoint as the decision sees it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its own part of the configuration.
    pub endpoint: Endpoint,
    /// The index of its cloud.
    pub cloud: usize,
    /// Its cloud's name.
    pub cloud_name: CloudName,
    /// What stands in the `Host` header.
    pub authority: String,
    models: Option<NameMap<String>>,
    /// What its chances are drawn by.
    pub(crate) draw: Draw,
}

/// A compiled configuration. Immutable; one is shared by all requests that began under it.
#[derive(Debug)]
pub struct Policy {
    /// The configuration it was compiled from.
    pub config: Config,
    /// The compiled contract.
    pub table: Table,
    /// The key of all digests.
    pub keys: Keys,
    router: Router,
    watches: Vec<Arc<Watch>>,
    answers: Vec<Option<crate::learn::Answer>>,
    vendors: PatternMap<usize>,
    /// By the number of the surface.
    surface_vendors: Vec<Option<usize>>,
    /// By the number of the surface: the signals that do not stand in a JSON body.
    outside: Vec<Vec<usize>>,
    /// By the number of the surface: whether any endpoint that has it keeps what it is asked to keep.
    retains: Vec<bool>,
    kinds: HashMap<Namespace, HandleKind>,
    callers: Callers,
    /// The index of the home cloud.
    home: Option<usize>,
    /// The same, of the tenants that have their own.
    homes: HashMap<Tenant, usize>,
    readings: Readings,
    serving: Serving,
    places: Vec<Place>,
    names: HashMap<EndpointName, EndpointId>,
}

impl Policy {
    /// Compiles a checked configuration.
    ///
    /// # Errors
    /// For a contract whose table would not fit in memory; else only for a surface table that the built-in one is tested not
    /// to be: colliding paths, or too many pointers.
    pub fn compile(config: Config, keys: Keys) -> Result<Self, String> {
        let surfaces = &config.surfaces;
        let router = Router::compile(surfaces)?;
        let watches = surfaces
            .surfaces
            .iter()
            .map(|surface| {
                Watch::compile(surface, surfaces)
                    .map(Arc::new)
                    .map_err(|error| format!("{}: {error}", surface.id))
            })
            .collect::<Result<_, _>>()?;
        let answers = surfaces
            .surfaces
            .iter()
            .map(|surface| crate::learn::Answer::compile(surface, surfaces))
            .collect::<Result<_, _>>()?;
        let outside = |surface: &Surface| {
            let slots =
                surface.signals.iter().enumerate().filter(|(_, signal)| signal.at.pointer().is_none());
            slots.map(|(slot, _)| slot).collect()
        };
        let outside = surfaces.surfaces.iter().map(outside).collect();
        let kinds = surfaces.kinds.iter().map(|kind| (kind.name.clone(), kind.clone())).collect();
        let cloud = |name: &CloudName| config.clouds.iter().position(|cloud| cloud.name == *name);
        let home = config.sessions.home.as_ref().and_then(cloud);
        let callers = Callers::new(&config.tenants, &keys);
        let homes = config.tenants.named.iter().zip(callers.tenants());
        let homes =
            homes.filter_map(|(named, tenant)| Some((*tenant, cloud(named.home.as_ref()?)?))).collect();
        let vendors = PatternMap::new(
            surfaces
                .vendors
                .iter()
                .enumerate()
                .flat_map(|(number, vendor)| vendor.models.iter().map(move |pattern| (pattern, number))),
        );
        let places: Vec<Place> = config
            .clouds
            .iter()
            .enumerate()
            .flat_map(|(cloud, owner)| {
                owner.endpoints.iter().map(move |endpoint| Place {
                    endpoint: endpoint.clone(),
                    cloud,
                    cloud_name: owner.name.clone(),
                    authority: endpoint.url.authority(),
                    models: endpoint.models.as_ref().map(|models| models.iter().cloned().collect()),
                    draw: Draw::new(endpoint.name.as_str(), endpoint.weight),
                })
            })
            .collect();
        let names = places
            .iter()
            .enumerate()
            .map(|(at, place)| {
                Ok((
                    place.endpoint.name.clone(),
                    EndpointId(u16::try_from(at).map_err(|_| "over 65,536 endpoints")?),
                ))
            })
            .collect::<Result<_, &str>>()?;
        let entries = Table::entries(&config);
        if entries > ENTRIES_MAX {
            return Err(format!(
                "the contract's table would have {entries} entries, over {ENTRIES_MAX}: name fewer models, or fewer dates"
            ));
        }
        let surface_vendors = surfaces
            .surfaces
            .iter()
            .map(|surface| surfaces.vendors.iter().position(|vendor| vendor.name == surface.vendor))
            .collect();
        let retains = |surface: &Surface| {
            let mut having = places.iter().filter(|place| place.serves(Some(surface), None)).peekable();
            having.peek().is_none() || having.any(|place| !place.endpoint.zero_retention)
        };
        let retains = surfaces.surfaces.iter().map(retains).collect();
        let readings = Readings::compile(&config.contract, &surfaces.surfaces);
        let serving = Serving::compile(&places, &surfaces.surfaces, config.clouds.len());
        let table = Table::compile(&config);
        Ok(Self {
            router,
            watches,
            answers,
            vendors,
            surface_vendors,
            outside,
            retains,
            kinds,
            callers,
            home,
            homes,
            readings,
            serving,
            places,
            names,
            table,
            keys,
            config,
        })
    }

    /// The operation that a head names, if any.
    #[must_use]
    pub fn recognise<'a>(&'a self, head: &Head<'a>) -> Option<Recognised<'a>> {
        self.router.recognise(head)
    }

    /// The operation that `method` and `path` name when nothing else in the head tells families apart.
    #[must_use]
    pub fn named<'a>(&'a self, method: &str, path: &'a str) -> Option<Recognised<'a>> {
        self.router.named(method, path)
    }

    /// A kind of handle, which every surface that speaks of it was checked to have.
    ///
    /// # Panics
    /// For a name that is of no surface of this policy.
    #[must_use]
    pub fn kind(&self, name: &Namespace) -> &HandleKind {
        self.kinds.get(name).expect("the surfaces were checked to speak of known kinds only")
    }

    /// The signals of a surface that do not stand in a JSON body.
    pub(crate) fn outside_the_body(&self, surface: SurfaceNumber) -> &[usize] {
        &self.outside[surface]
    }

    /// Whether an account that has this operation keeps what it is asked to keep.
    #[must_use]
    pub fn retains(&self, surface: SurfaceNumber) -> bool {
        self.retains[surface]
    }

    /// The index of the cloud where unknown handles of `tenant` are believed to live, and where its LISTs are answered.
    #[must_use]
    pub fn home(&self, tenant: Tenant) -> Option<usize> {
        // Most configurations give nobody a home of its own.
        let own = if self.homes.is_empty() { None } else { self.homes.get(&tenant) };
        own.copied().or(self.home)
    }

    /// Makes `credential` one of a named caller's: secrets are read by whoever compiles this.
    ///
    /// # Errors
    /// The other caller, when it is somebody else's already.
    pub fn know(&mut self, caller: CallerNumber, credential: &str) -> Result<(), CallerNumber> {
        self.callers.know(&self.keys, caller, credential.as_bytes())
    }

    /// The callers that have a name.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Who asks.
    #[must_use]
    pub fn who(&self, last: &mut LastTenant, head: &Head<'_>) -> Who {
        self.keys.who(&self.callers, last, head)
    }

    /// Who asks, and in which session.
    #[must_use]
    pub fn identify(&self, last: &mut LastTenant, head: &Head<'_>) -> Identity {
        self.keys.identify(&self.callers, last, head, &self.config.sessions.header)
    }

    /// The endpoints that hold a resource which was not made through the proxy: those whose configuration says so, and for an ARN of
    /// a region, Bedrock's endpoints there.
    #[must_use]
    pub fn holders(&self, resource: &str) -> Vec<u64> {
        let region = arn_region(resource);
        let holds = |place: &Place| {
            place.endpoint.resources.iter().any(|pattern| pattern.matches(resource))
                || (is_aws(place.dialect()) && region.is_some() && region == place.endpoint.region.as_deref())
        };
        let mut set = vec![0; self.places.len().div_ceil(64)];
        for (at, _) in self.places.iter().enumerate().filter(|(_, place)| holds(place)) {
            set[at / 64] |= 1 << (at % 64);
        }
        set
    }

    /// A surface by its number.
    #[must_use]
    pub fn surface(&self, number: SurfaceNumber) -> &Surface {
        &self.config.surfaces.surfaces[number]
    }

    /// What to look for in a surface's request body.
    #[must_use]
    pub fn watch(&self, number: SurfaceNumber) -> &Watch {
        &self.watches[number]
    }

    /// The same, for a scanner that outlives the borrow.
    #[must_use]
    pub fn shared_watch(&self, number: SurfaceNumber) -> Arc<Watch> {
        Arc::clone(&self.watches[number])
    }

    /// What to look for in a surface's answers, if they give birth to handles.
    #[must_use]
    pub fn answer(&self, number: SurfaceNumber) -> Option<&crate::learn::Answer> {
        self.answers[number].as_ref()
    }

    /// Whose model it is: the vendor that claims its name, else the surface's own; none without a surface.
    #[must_use]
    pub fn vendor(&self, surface: Option<SurfaceNumber>, model: Option<&str>) -> Option<usize> {
        let claimed = model.and_then(|model| self.vendors.lookup(model));
        claimed.or_else(|| self.surface_vendors[surface?])
    }

    /// What each reading makes of a request. `fired` are the slots of the signals that were found in it, `inner` is the grade of the
    /// session in the course of which it is made.
    #[must_use]
    pub fn classes(
        &self,
        surface: Option<SurfaceNumber>,
        grade: Grade,
        fired: u64,
        inner: Option<Grade>,
    ) -> Classes {
        self.readings.classes(surface.map(|number| (number, self.surface(number))), grade, fired, inner)
    }

    /// The clouds to which a request's own header narrows it, if it has one: what is named there is taken from what the contract allows,
    /// and nothing is added.
    ///
    /// # Errors
    /// When it comes twice, or names what is no cloud here.
    pub fn narrow(&self, headers: &HeaderMap) -> Result<Option<CloudSet>, Reason> {
        let mut lines = headers.get_all(NARROW).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(Reason::NarrowingMalformed);
        }
        let names = line.to_str().map_err(|_| Reason::NarrowingMalformed)?;
        let number = |name: &str| {
            let known = self.config.clouds.iter().position(|cloud| cloud.name.as_str() == name.trim());
            known.ok_or(Reason::NarrowingMalformed)
        };
        names.split(',').map(number).collect::<Result<CloudSet, _>>().map(Some)
    }

    /// Every endpoint, by its id's order.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// An endpoint by its id.
    #[must_use]
    pub fn place(&self, id: EndpointId) -> &Place {
        &self.places[usize::from(id.0)]
    }

    /// An endpoint by its name.
    #[must_use]
    pub fn endpoint_named(&self, name: &EndpointName) -> Option<EndpointId> {
        self.names.get(name).copied()
    }

    /// The endpoints that have an operation and a model.
    pub(crate) fn serving(&self, surface: Option<SurfaceNumber>, model: Option<&str>) -> Served<'_> {
        self.serving.of(surface, model)
    }

    /// Every endpoint of `clouds`.
    pub fn endpoints_of(&self, clouds: CloudSet) -> impl Iterator<Item = (EndpointId, &Place)> {
        (0u16..).map(EndpointId).zip(&self.places).filter(move |(_, place)| clouds.contains(place.cloud))
    }
}

impl Place {
    /// Whether this endpoint has the operation and the model. An operation that is not recognised can only be tried.
    #[must_use]
    pub fn serves(&self, surface: Option<&Surface>, model: Option<&str>) -> bool {
        surface.is_none_or(|surface| surface.served_by.contains(&self.endpoint.dialect))
            && model.is_none_or(|model| self.model(model).is_some())
    }

    /// What this endpoint calls `model`; `None` when it does not serve it.
    #[must_use]
    pub fn model<'a>(&'a self, model: &'a str) -> Option<&'a str> {
        match &self.models {
            Some(models) => models.get(model).map(String::as_str),
            None => Some(model),
        }
    }

    /// How it is spoken to.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.endpoint.dialect
    }

    /// How long to wait for it.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.endpoint.timeouts
    }
}

/// The region in an ARN: `arn:partition:service:region:account:resource`.
fn arn_region(resource: &str) -> Option<&str> {
    resource.strip_prefix("arn:")?.split(':').nth(2).filter(|region| !region.is_empty())
}

fn is_aws(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::Bedrock | Dialect::BedrockAgents | Dialect::BedrockAgentCore | Dialect::BedrockOpenAi
    )
}

/// Whether a surface's body can name a model.
#[must_use]
pub fn takes_model(surface: &Surface) -> bool {
    matches!(surface.model, ModelAt::Required | ModelAt::Optional)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds:
  azure:
    endpoints:
      - { name: a, dialect: azure-openai, url: "http://127.0.0.1:9000", credential: none, models: { gpt-5.5: prod } }
      - { name: b, dialect: azure-openai, url: "http://127.0.0.1:9001", credential: none }
  aws:
    endpoints: [{ name: c, dialect: bedrock-openai, url: "http://127.0.0.1:9002", credential: none }]
vendors: { acme: { models: [acme-*, gpt-5.5-acme] } }
contract: { enforce: r, readings: { r: { stateful_from: creates } }, terms: [{ id: t, only: azure }] }
"#;

    fn policy() -> Policy {
        let config = Config::parse(CONFIG, "test").unwrap_or_else(|faults| panic!("{faults}"));
        Policy::compile(config, Keys::derive(b"test")).expect("the built-in surfaces")
    }

    #[test]
    fn a_vendor_is_the_models_and_else_the_surfaces() {
        let policy = policy();
        let name = |surface, model| {
            policy.vendor(surface, model).map(|at| policy.config.surfaces.vendors[at].name.to_string())
        };
        for (model, vendor) in [
            (Some("gpt-5.5"), "openai"),
            (Some("gpt-5.5-acme"), "acme"),
            (Some("acme-1"), "acme"),
            (Some("us.anthropic.claude-x"), "anthropic"),
            (Some("text-embedding-3-small"), "openai"),
            (Some("text-embedding-004"), "google"),
            (Some("prod"), "openai"),
            (None, "openai"),
        ] {
            assert_eq!(name(Some(0), model).as_deref(), Some(vendor), "{model:?}");
        }
        assert_eq!(name(None, Some("acme-1")).as_deref(), Some("acme"));
        assert_eq!(name(None, Some("prod")), None);
        assert_eq!(name(None, None), None);
    }

    #[test]
    fn an_endpoint_serves_what_its_dialect_and_its_map_have() {
        let policy = policy();
        let surface =
            |id: &str| policy.config.surfaces.surfaces.iter().find(|surface| surface.id.as_str() == id);
        let serving = |id: &str, model| -> Vec<&str> {
            let places = policy.places().iter().filter(|place| place.serves(surface(id), model));
            places.map(|place| place.endpoint.name.as_str()).collect()
        };
        assert_eq!(serving("openai.chat.create", Some("gpt-5.5")), ["a", "b", "c"]);
        assert_eq!(serving("openai.chat.create", Some("other")), ["b", "c"], "a map names all that there is");
        assert_eq!(serving("openai.responses.get", None), ["a", "b", "c"]);
        assert_eq!(serving("openai.embeddings.create", Some("gpt-5.5")), ["a", "b"]);
        assert_eq!(serving("openai.moderations.create", None), Vec::<&str>::new());
        assert_eq!(
            serving("", None),
            ["a", "b", "c"],
            "an operation that is not recognised can only be tried"
        );
    }

    #[test]
    fn endpoints_are_numbered_cloud_by_cloud() {
        let policy = policy();
        let names = |clouds: CloudSet| -> Vec<(u16, &str)> {
            let all = policy.endpoints_of(clouds);
            all.map(|(id, place)| (id.0, place.endpoint.name.as_str())).collect()
        };
        assert_eq!(names(CloudSet::first(2)), [(0, "a"), (1, "b"), (2, "c")]);
        assert_eq!(names([1].into_iter().collect()), [(2, "c")]);
        assert_eq!(names(CloudSet::NONE), []);
        for (id, place) in policy.endpoints_of(CloudSet::first(2)) {
            assert_eq!(policy.endpoint_named(&place.endpoint.name), Some(id));
            assert_eq!(policy.place(id).authority, place.endpoint.url.authority());
        }
    }
}
