//! Random contracts and random requests as plain data, and the contract as the text of a configuration.
//!
//! The plain data is what the naive judge reads; only the text goes through the code under test.

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

pub(crate) const GRADES: [&str; 8] =
    ["pure", "cached", "sealed", "creates", "continues", "connection", "runtime", "unknown"];
pub(crate) const UNKNOWN: usize = 7;
pub(crate) const DIALECTS: [&str; 3] = ["openai", "azure-openai", "bedrock-openai"];

/// Operations, with the dialects that have them as the vendors' documents say; all are OpenAI's.
pub(crate) const SURFACES: [(&str, &[&str]); 7] = [
    ("openai.chat.create", &DIALECTS),
    ("openai.completions.create", &["openai", "azure-openai"]),
    ("openai.moderations.create", &["openai"]),
    ("openai.models.list", &DIALECTS),
    ("openai.responses.create", &DIALECTS),
    ("openai.responses.get", &DIALECTS),
    ("openai.conversations.create", &["openai", "azure-openai"]),
];
const SURFACE_PATTERNS: [&str; 8] = [
    "*",
    "openai.*",
    "openai.responses.*",
    "openai.responses.create",
    "openai.chat.create",
    "openai.conversations.*",
    "openai.mod*",
    "openai.completions.create",
];

pub(crate) const MODELS: [&str; 9] =
    ["gpt-5.5", "gpt-5.5-mini", "gpt-5", "gpt-", "g", "claude-sonnet-5", "acme-1", "prod", "o3"];
const MODEL_PATTERNS: [&str; 10] =
    ["*", "g*", "gpt-5*", "gpt-5.5", "gpt-5.5*", "gpt-5.5-mini", "claude-*", "prod", "acme*", "a*"];

/// What the built-in file says of [`MODELS`], and what the operator may add for `acme`.
pub(crate) const VENDORS: [(&str, &[&str]); 2] =
    [("openai", &["gpt-*", "o3*"]), ("anthropic", &["claude-*"])];
const ACME_PATTERNS: [&str; 5] = ["acme-*", "prod", "gpt-5.5*", "gpt-5.5-mini", "p*"];
pub(crate) const VENDOR_NAMES: [&str; 3] = ["openai", "anthropic", "acme"];

/// Seconds since the epoch of the clock; boundaries lie within the half minute behind it.
pub(crate) const BASE: i64 = 1_772_150_400;
pub(crate) const ENDPOINTS_MAX: usize = 15;

#[derive(Clone, Debug)]
pub(crate) struct Contract {
    pub(crate) clouds: Vec<Vec<Endpoint>>,
    /// Index in [`GRADES`]; `None` is never.
    pub(crate) stateful_from: Option<usize>,
    pub(crate) skew_seconds: i64,
    pub(crate) products: Vec<Vec<&'static str>>,
    pub(crate) acme: Vec<&'static str>,
    pub(crate) terms: Vec<Term>,
}

#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) dialect: &'static str,
    pub(crate) models: Option<Vec<&'static str>>,
    pub(crate) weight: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Term {
    /// Seconds after [`BASE`].
    pub(crate) from: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) vendors: Vec<&'static str>,
    pub(crate) stateful: Option<bool>,
    pub(crate) grades: Vec<usize>,
    pub(crate) surfaces: Vec<&'static str>,
    pub(crate) models: Vec<&'static str>,
    pub(crate) products: Vec<usize>,
    pub(crate) only: Option<Vec<usize>>,
    pub(crate) never: Vec<usize>,
    pub(crate) prefer: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Nanoseconds after [`BASE`].
    pub(crate) now: i64,
    pub(crate) surface: Option<usize>,
    pub(crate) grade: usize,
    pub(crate) model: Option<&'static str>,
    pub(crate) owners: Vec<Owner>,
    /// Bits, by the endpoint's number.
    pub(crate) down: u64,
    pub(crate) affinity: Option<u64>,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Endpoint(usize),
    Removed,
    Unknown,
}

/// Whether `name` is meant by `pattern`, which may end in `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

pub(crate) fn is_stateful(stateful_from: Option<usize>, grade: usize) -> bool {
    stateful_from.is_some_and(|from| grade >= from)
}

pub(crate) fn contract() -> impl Strategy<Value = Contract> {
    let endpoint = (select(&DIALECTS[..]), weighted(0.4, subsequence(&MODELS[..], 1..4)), 1..1000u32)
        .prop_map(|(dialect, models, weight)| Endpoint { dialect, models, weight });
    let clouds = vec(vec(endpoint, 1..=3), 1..=5);
    let products = vec(subsequence(&SURFACE_PATTERNS[..], 1..=2), 1..=2);
    let acme = subsequence(&ACME_PATTERNS[..], 1..=3);
    (clouds, of(0..UNKNOWN), select(&[0, 1, 3, 5, 8][..]), products, acme).prop_flat_map(
        |(clouds, stateful_from, skew_seconds, products, acme)| {
            let terms = vec(term(clouds.len(), products.len()), 1..=5);
            (terms, handover(clouds.len())).prop_map(move |(terms, handover)| {
                let terms = terms.into_iter().map(|term| tidy(term, stateful_from, &products));
                let terms = terms.chain(handover).collect();
                let (clouds, products, acme) = (clouds.clone(), products.clone(), acme.clone());
                Contract { clouds, stateful_from, skew_seconds, products, acme, terms }
            })
        },
    )
}

/// Clouds that follow each other, as exclusive terms do: at each boundary all of it passes from some to others.
fn handover(clouds: usize) -> impl Strategy<Value = Vec<Term>> {
    let set = subsequence((0..clouds).collect::<Vec<_>>(), 1..=clouds.min(2));
    let some = (subsequence((0..30).collect::<Vec<i64>>(), 1..=3), vec(set, 4)).prop_map(|(at, sets)| {
        let from = std::iter::once(None).chain(at.iter().copied().map(Some));
        let until = at.iter().copied().map(Some).chain([None]);
        let spans = from.zip(until).zip(sets);
        spans.map(|((from, until), only)| Term { from, until, only: Some(only), ..Term::default() }).collect()
    });
    prop_oneof![Just(Vec::new()), some]
}

fn term(clouds: usize, products: usize) -> impl Strategy<Value = Term> {
    let some = move || subsequence((0..clouds).collect::<Vec<_>>(), 1..=clouds).prop_shuffle();
    let sparse = |values: &'static [&'static str]| {
        prop_oneof![3 => Just(Vec::new()), 1 => subsequence(values, 1..=2)].boxed()
    };
    let span = (weighted(0.5, 0..30i64), weighted(0.5, 1..20i64));
    let grades = prop_oneof![5 => Just(Vec::new()), 2 => subsequence((0..8usize).collect::<Vec<_>>(), 1..=4)];
    let when = (
        sparse(&VENDOR_NAMES),
        weighted(0.4, any::<bool>()),
        grades,
        sparse(&SURFACE_PATTERNS),
        sparse(&MODEL_PATTERNS),
        prop_oneof![5 => Just(Vec::new()), 1 => subsequence((0..products).collect::<Vec<_>>(), 1..=1)],
    );
    let says = (
        weighted(0.7, some()),
        prop_oneof![3 => Just(Vec::new()), 1 => some().boxed()],
        prop_oneof![2 => Just(Vec::new()), 1 => some().boxed()],
    );
    (span, when, says).prop_map(|((from, lasts), when, (only, never, prefer))| {
        let (vendors, stateful, grades, surfaces, models, products) = when;
        let until = lasts.map(|lasts| from.unwrap_or(0) + lasts);
        Term { from, until, vendors, stateful, grades, surfaces, models, products, only, never, prefer }
    })
}

/// Takes out of a term what `check` would refuse: it says nothing, contradicts itself, or can never speak.
fn tidy(mut term: Term, stateful_from: Option<usize>, products: &[Vec<&'static str>]) -> Term {
    let named: Vec<usize> = term.only.iter().flatten().copied().collect();
    term.never.retain(|cloud| !named.contains(cloud));
    term.prefer.retain(|cloud| !term.never.contains(cloud));
    if term.only.is_none() && term.never.is_empty() && term.prefer.is_empty() {
        term.only = Some(vec![0]);
    }
    let of_class = |class| term.grades.iter().any(|grade| is_stateful(stateful_from, *grade) == class);
    if term.stateful.is_some_and(|class| !term.grades.is_empty() && !of_class(class)) {
        term.stateful = None;
    }
    if !term.products.is_empty() && !term.surfaces.is_empty() {
        // All surfaces that there are count for `check`, not only those of these tests: patterns of one operation each
        // would be dead beside the product of another.
        let product: Vec<_> = term.products.iter().flat_map(|product| &products[*product]).collect();
        let both = SURFACES.iter().any(|(id, _)| {
            term.surfaces.iter().any(|pattern| matches(pattern, id))
                && product.iter().any(|pattern| matches(pattern, id))
        });
        if !both {
            term.surfaces.clear();
        }
    }
    term
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    // Around every whole second there may be a boundary, or the edge of what the clock may be off.
    let now = (-10..60i64, select(&[-1, 0, 1, 500_000_000][..]))
        .prop_map(|(second, beside)| second * 1_000_000_000 + beside);
    let owner = prop_oneof![
        8 => (0..ENDPOINTS_MAX).prop_map(Owner::Endpoint),
        1 => Just(Owner::Removed),
        1 => Just(Owner::Unknown),
    ];
    let owners = prop_oneof![
        6 => Just(Vec::new()),
        4 => owner.clone().prop_map(|owner| vec![owner]),
        1 => owner.clone().prop_map(|owner| vec![owner; 3]),
        1 => vec(owner, 2..=3),
    ];
    let down = prop_oneof![2 => Just(0), 2 => any::<u64>(), 1 => Just(u64::MAX)];
    (
        now,
        weighted(0.9, 0..SURFACES.len()),
        0..GRADES.len(),
        weighted(0.85, select(&MODELS[..])),
        owners,
        down,
        of(any::<u64>()),
        any::<u64>(),
    )
        .prop_map(|(now, surface, grade, model, owners, down, affinity, seed)| Request {
            now,
            surface,
            grade,
            model,
            owners,
            down,
            affinity,
            seed,
        })
}

impl Contract {
    /// Every endpoint in its order, with its cloud.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.clouds
            .iter()
            .enumerate()
            .flat_map(|(cloud, endpoints)| endpoints.iter().map(move |endpoint| (cloud, endpoint)))
    }

    /// The configuration, in JSON, which is YAML.
    pub(crate) fn text(&self, balance: &str) -> String {
        let mut port = 9000;
        let clouds: serde_json::Map<String, Value> = (0..)
            .zip(&self.clouds)
            .map(|(cloud, endpoints)| {
                let endpoints = (0..).zip(endpoints).map(|(at, it): (u32, _)| {
                    port += 1;
                    let mut endpoint = json!({
                        "name": format!("e{cloud}-{at}"), "dialect": it.dialect, "weight": it.weight,
                        "url": format!("http://127.0.0.1:{port}"), "credential": "none",
                    });
                    if let Some(models) = &it.models {
                        endpoint["models"] = models
                            .iter()
                            .map(|name| ((*name).to_owned(), json!(format!("own-{name}"))))
                            .collect();
                    }
                    endpoint
                });
                (cloud_name(cloud), json!({ "endpoints": endpoints.collect::<Vec<_>>() }))
            })
            .collect();
        let products: serde_json::Map<String, Value> = (0..)
            .zip(&self.products)
            .map(|(number, surfaces)| (product_name(number), json!({ "surfaces": surfaces })))
            .collect();
        let terms: Vec<_> = (0..).zip(&self.terms).map(|(number, term)| term.json(number)).collect();
        let config = json!({
            "version": 1,
            "listeners": [{ "name": "l", "bind": "127.0.0.1:8080" }],
            "clouds": clouds,
            "products": products,
            "vendors": { "acme": { "models": self.acme } },
            "balance": balance,
            "contract": {
                "enforce": "r",
                "band": "enforced",
                "readings": {
                    "other": { "stateful_from": "pure" },
                    "r": { "stateful_from": self.stateful_from.map_or("never", |grade| GRADES[grade]) },
                },
                "clock_skew": if self.skew_seconds == 0 { json!(0) } else { json!(format!("{}s", self.skew_seconds)) },
                "terms": terms,
            },
        });
        serde_json::to_string_pretty(&config).expect("made of text")
    }
}

pub(crate) fn cloud_name(cloud: usize) -> String {
    format!("c{cloud}")
}

fn product_name(product: usize) -> String {
    format!("p{product}")
}

impl Term {
    fn json(&self, number: usize) -> Value {
        let names = |clouds: &[usize]| json!(clouds.iter().map(|at| cloud_name(*at)).collect::<Vec<_>>());
        let instant = |seconds: i64| {
            json!(riparian_config::Timestamp::from_second(BASE + seconds).unwrap().to_string())
        };
        let mut term = json!({ "id": format!("t{number}") });
        let mut put = |key: &str, value: Value| term[key] = value;
        self.from.into_iter().for_each(|from| put("from", instant(from)));
        self.until.into_iter().for_each(|until| put("until", instant(until)));
        self.only.iter().for_each(|only| put("only", names(only)));
        for (key, clouds) in [("never", &self.never), ("prefer", &self.prefer)] {
            if !clouds.is_empty() {
                put(key, names(clouds));
            }
        }
        let mut when = json!({});
        let texts = [("vendor", &self.vendors), ("surface", &self.surfaces), ("model", &self.models)];
        for (key, values) in texts.into_iter().filter(|(_, values)| !values.is_empty()) {
            when[key] = json!(values);
        }
        if let Some(stateful) = self.stateful {
            when["class"] = json!(if stateful { "stateful" } else { "stateless" });
        }
        if !self.grades.is_empty() {
            when["grade"] = self.grades.iter().map(|grade| json!(GRADES[*grade])).collect();
        }
        if !self.products.is_empty() {
            when["product"] = self.products.iter().map(|at| json!(product_name(*at))).collect();
        }
        if when != json!({}) {
            term["when"] = when;
        }
        term
    }
}
