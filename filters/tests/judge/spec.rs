//! Random contracts and random requests as plain data. The contract is also the text of a configuration.
//!
//! The plain data is what the naive judge reads; only the text goes through the code under test.

mod random;
mod text;

pub(crate) use random::{contract, request};
use std::collections::BTreeSet;

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

/// The place of a signal, and its grade.
pub(crate) type Signal = (&'static str, usize);

/// Of some operations: the grade without any signal, and the places of signals with the grade of each, after the taxonomy.
pub(crate) const SIGNALS: [(&str, usize, &[Signal]); 3] = [
    ("openai.chat.create", 0, &[("/prompt_cache_key", 1), ("/store", 3), ("/messages/*/audio/id", 4)]),
    (
        "openai.responses.create",
        0,
        &[
            ("/prompt_cache_key", 1),
            ("/input/*/encrypted_content", 2),
            ("/store", 3),
            ("/tools/*/container", 3),
            ("/tools/*/container", 4),
            ("/previous_response_id", 4),
            ("/agent_reference", 6),
        ],
    ),
    ("openai.conversations.create", 3, &[("/items/*/encrypted_content", 2), ("/items/*", 4)]),
];

pub(crate) const MODELS: [&str; 9] =
    ["gpt-5.5", "gpt-5.5-mini", "gpt-5", "gpt-", "g", "claude-sonnet-5", "acme-1", "prod", "o3"];

/// What the built-in file says of [`MODELS`], and what the operator may add for `acme`.
pub(crate) const VENDORS: [(&str, &[&str]); 2] =
    [("openai", &["gpt-*", "o3*"]), ("anthropic", &["claude-*"])];
pub(crate) const VENDOR_NAMES: [&str; 3] = ["openai", "anthropic", "acme"];

/// Callers that have a name, and where their data must stay.
pub(crate) const TENANTS: [(&str, Option<&str>); 4] =
    [("bank", Some("us")), ("club", Some("eu")), ("lab", None), ("shop", Some("eu"))];

/// In the order from the mildest to the strictest.
pub(crate) const ON_EXPIRY: [&str; 3] = ["grandfather", "drain", "cut"];

/// Seconds since the epoch of the clock; boundaries lie within the half minute behind it.
pub(crate) const BASE: i64 = 1_772_150_400;
pub(crate) const NANOS: i64 = 1_000_000_000;
pub(crate) const ENDPOINTS_MAX: usize = 15;
/// What a session may rest before it is drained, in seconds.
pub(crate) const IDLE: i64 = 60;

#[derive(Clone, Debug)]
pub(crate) struct Contract {
    pub(crate) clouds: Vec<Vec<Endpoint>>,
    pub(crate) readings: Vec<Reading>,
    /// Index in `readings`.
    pub(crate) enforced: usize,
    pub(crate) band: &'static str,
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

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Index in [`GRADES`]; `None` is never.
    pub(crate) stateful_from: Option<usize>,
    pub(crate) inherits: bool,
    /// Patterns of operations, and whether those are stateful; the first that matches counts.
    pub(crate) surfaces: Vec<(&'static str, bool)>,
    /// Places of signals, and whether those make a request stateful, or do not count.
    pub(crate) signals: Vec<(&'static str, bool)>,
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
    pub(crate) tenants: Vec<&'static str>,
    pub(crate) regions: Vec<&'static str>,
    pub(crate) only: Option<Vec<usize>>,
    pub(crate) never: Vec<usize>,
    pub(crate) prefer: Vec<usize>,
    /// Index in [`ON_EXPIRY`]; `None` where it is not written.
    pub(crate) on_expiry: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Nanoseconds after [`BASE`].
    pub(crate) now: i64,
    pub(crate) surface: Option<usize>,
    pub(crate) grade: usize,
    /// Those of [`SIGNALS`] that were found; where there are some, `grade` is what they make of the operation.
    pub(crate) signals: Vec<Signal>,
    /// The grade of the session in the course of which it is made.
    pub(crate) inner: Option<usize>,
    pub(crate) model: Option<&'static str>,
    /// Index in [`TENANTS`].
    pub(crate) caller: Option<usize>,
    pub(crate) narrow: Option<BTreeSet<usize>>,
    /// For each handle where it lives, and when the terms last allowed it to, in nanoseconds after [`BASE`].
    pub(crate) owners: Vec<(Owner, i64)>,
    /// In nanoseconds.
    pub(crate) rested: i64,
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

pub(crate) fn cloud_name(cloud: usize) -> String {
    format!("c{cloud}")
}

impl Contract {
    /// Every endpoint in its order, with its cloud.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.clouds
            .iter()
            .enumerate()
            .flat_map(|(cloud, endpoints)| endpoints.iter().map(move |endpoint| (cloud, endpoint)))
    }
}

impl Request {
    /// Takes the numbers of endpoints and clouds down to those that there are.
    pub(crate) fn fit(&mut self, contract: &Contract) {
        let (clouds, endpoints) = (contract.clouds.len(), contract.endpoints().count());
        for (owner, _) in &mut self.owners {
            if let Owner::Endpoint(at) = owner {
                *at %= endpoints;
            }
        }
        let narrow = self.narrow.take();
        self.narrow = narrow.map(|named| named.into_iter().map(|cloud| cloud % clouds).collect());
    }
}
