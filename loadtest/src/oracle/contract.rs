//! A contract, read from the text of a configuration and judged by the oracle itself. It shares no code with the proxy that it
//! watches: the meaning of every word here was written from the prose of the contract model, so that a mistake in one of the
//! two shows as a difference. What it does not understand is an error that names the term, never a silent pass.
//!
//! Candidates = the intersection of the `only` sets of the terms in force that speak of a request, less every `never`. When
//! no term speaks there are none. Around each boundary, within `clock_skew` of it, only what both sides allow is allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Facts, Grade, matches};
use super::yaml::Node;

/// The default of `clock_skew`.
const SKEW: Duration = Duration::from_secs(5);

/// Readings, terms, and the names that they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contract {
    clouds: BTreeSet<String>,
    /// Of the enforced reading; none: nothing is stateful.
    stateful_from: Option<Grade>,
    skew: SignedDuration,
    terms: Vec<Term>,
    /// Products and their patterns of surfaces.
    products: Vec<(String, Vec<String>)>,
    /// Patterns of models and their vendors, in the file, beside those that the oracle knows.
    vendors: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    when: When,
    only: Option<BTreeSet<String>>,
    never: BTreeSet<String>,
}

/// Every condition that is there must hold; within one, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct When {
    vendor: Option<Vec<String>>,
    stateful: Option<bool>,
    grade: Option<Vec<Grade>>,
    surface: Option<Vec<String>>,
    model: Option<Vec<String>>,
    product: Option<Vec<String>>,
}

impl Contract {
    /// From the whole text of a configuration.
    pub(super) fn parse(text: &str) -> Result<Contract, String> {
        let file = Node::parse(text)?;
        if file.find("surfaces").is_some() {
            return Err(
                "`surfaces` changes what requests are graded as: the oracle cannot judge that".to_owned()
            );
        }
        let contract = file.find("contract").ok_or("there is no `contract`")?;
        let known =
            ["enforce", "readings", "terms", "otherwise", "clock_skew", "band", "approved_by", "prove"];
        if let Some(key) = contract.stranger(&known) {
            return Err(format!("the oracle cannot judge `contract.{key}`"));
        }
        if !matches!(contract.text("otherwise")?, None | Some("refuse")) {
            return Err("the oracle cannot judge an `otherwise` that is not `refuse`".to_owned());
        }
        if !matches!(contract.text("band")?, None | Some("enforced")) {
            return Err("the oracle cannot judge a `band` that is not `enforced`".to_owned());
        }
        let clouds: BTreeSet<String> = file.entries("clouds")?.iter().map(|(name, _)| name.clone()).collect();
        let Some(Node::List(terms)) = contract.find("terms") else {
            return Err("`contract.terms` is no list".to_owned());
        };
        let skew = contract.text("clock_skew")?.map_or(Ok(SKEW), span)?;
        Ok(Contract {
            stateful_from: stateful_from(contract)?,
            skew: SignedDuration::try_from(skew).map_err(|error| format!("`clock_skew`: {error}"))?,
            terms: terms.iter().map(|term| Term::parse(term, &clouds)).collect::<Result<_, _>>()?,
            products: lists(&file, "products", "surfaces")?,
            vendors: lists(&file, "vendors", "models")?
                .into_iter()
                .flat_map(|(vendor, models)| models.into_iter().map(move |model| (model, vendor.clone())))
                .collect(),
            clouds,
        })
    }

    pub(super) fn is_stateful(&self, grade: Grade) -> bool {
        self.stateful_from.is_some_and(|from| grade >= from)
    }

    /// The clouds that a request may reach at this instant, by whichever clock within the skew.
    pub(super) fn candidates(&self, facts: &Facts<'_>, at: Timestamp) -> BTreeSet<&str> {
        let (from, until) = (earlier(at, self.skew), later(at, self.skew));
        let epochs = std::iter::once(from).chain(self.boundaries().filter(|at| from < *at && *at <= until));
        let sets = epochs.map(|instant| self.candidates_of_epoch(facts, instant));
        sets.reduce(|so_far, next| so_far.intersection(&next).copied().collect()).unwrap_or_default()
    }

    /// The instants at which the candidates can change, the skew included.
    pub(super) fn changes(&self) -> impl Iterator<Item = Timestamp> {
        self.boundaries().flat_map(|at| [earlier(at, self.skew), at, later(at, self.skew)])
    }

    fn boundaries(&self) -> impl Iterator<Item = Timestamp> {
        self.terms.iter().flat_map(|term| [term.from, term.until]).flatten()
    }

    fn candidates_of_epoch(&self, facts: &Facts<'_>, at: Timestamp) -> BTreeSet<&str> {
        let in_force = |term: &&Term| {
            term.from.is_none_or(|from| from <= at) && term.until.is_none_or(|until| at < until)
        };
        let speaking: Vec<&Term> =
            self.terms.iter().filter(in_force).filter(|term| self.speaks(&term.when, facts)).collect();
        if speaking.is_empty() {
            return BTreeSet::new();
        }
        let allowed = |cloud: &&str| {
            speaking.iter().all(|term| {
                term.only.as_ref().is_none_or(|only| only.contains(*cloud)) && !term.never.contains(*cloud)
            })
        };
        self.clouds.iter().map(String::as_str).filter(allowed).collect()
    }

    fn speaks(&self, when: &When, facts: &Facts<'_>) -> bool {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| matches(pattern, name));
        let vendor = facts.vendor(&self.vendors);
        let of_product = |product: &String| {
            let found = self.products.iter().find(|(name, _)| name == product);
            found.is_some_and(|(_, surfaces)| any(surfaces, facts.surface))
        };
        when.vendor.as_ref().is_none_or(|vendors| vendors.iter().any(|name| name == vendor))
            && when.stateful.is_none_or(|stateful| stateful == self.is_stateful(facts.grade))
            && when.grade.as_ref().is_none_or(|grades| grades.contains(&facts.grade))
            && when.surface.as_ref().is_none_or(|surfaces| any(surfaces, facts.surface))
            && when.model.as_ref().is_none_or(|models| facts.model.is_some_and(|model| any(models, model)))
            && when.product.as_ref().is_none_or(|products| products.iter().any(of_product))
    }
}

impl Term {
    fn parse(node: &Node, clouds: &BTreeSet<String>) -> Result<Term, String> {
        let id = node.text("id")?.ok_or("a term has no `id`")?;
        Term::read(node, clouds).map_err(|why| format!("term `{id}`: {why}"))
    }

    fn read(node: &Node, clouds: &BTreeSet<String>) -> Result<Term, String> {
        if let Some(key) = node.stranger(&["id", "cite", "from", "until", "when", "only", "never", "prefer"])
        {
            return Err(format!("the oracle cannot judge `{key}`"));
        }
        let set = |key: &str| {
            let Some(names) = node.texts(key)? else { return Ok(None) };
            match names.iter().find(|name| !clouds.contains(**name)) {
                Some(name) => Err(format!("`{key}` names `{name}`, which is no cloud")),
                None => Ok(Some(names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>())),
            }
        };
        let at = |key: &str| node.text(key)?.map(instant).transpose();
        let (only, never) = (set("only")?, set("never")?);
        set("prefer")?; // it allows and forbids nothing, and must still name clouds
        let when = node.find("when").map_or_else(|| Ok(When::default()), When::read)?;
        Ok(Term { from: at("from")?, until: at("until")?, when, only, never: never.unwrap_or_default() })
    }
}

impl When {
    fn read(node: &Node) -> Result<When, String> {
        if let Some(key) = node.stranger(&["vendor", "class", "grade", "surface", "model", "product"]) {
            return Err(format!("the oracle cannot judge `when.{key}`"));
        }
        let texts = |key: &str| {
            Ok::<_, String>(
                node.texts(key)?.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>()),
            )
        };
        let stateful = match node.text("class")? {
            None => None,
            Some("stateful") => Some(true),
            Some("stateless") => Some(false),
            Some(other) => return Err(format!("`class` is {other:?}")),
        };
        let grade = texts("grade")?
            .map(|words| words.iter().map(|word| Grade::parse(word)).collect::<Result<Vec<_>, _>>())
            .transpose()?;
        Ok(When {
            vendor: texts("vendor")?,
            stateful,
            grade,
            surface: texts("surface")?,
            model: texts("model")?,
            product: texts("product")?,
        })
    }
}

/// From which grade on the enforced reading calls a request stateful.
fn stateful_from(contract: &Node) -> Result<Option<Grade>, String> {
    let enforced = contract.text("enforce")?.ok_or("`contract.enforce` is missing")?;
    let readings = contract.entries("readings")?;
    let (_, reading) = readings
        .iter()
        .find(|(name, _)| name == enforced)
        .ok_or_else(|| format!("the enforced reading `{enforced}` is not in `readings`"))?;
    // What a runtime's own inner calls count as does not matter: the driver makes none.
    if let Some(key) = reading.stranger(&["stateful_from", "inner_calls"]) {
        return Err(format!("reading `{enforced}`: the oracle cannot judge `{key}`"));
    }
    match reading.text("stateful_from")? {
        Some("never") => Ok(None),
        Some(word) => Grade::parse(word).map(Some),
        None => Err(format!("reading `{enforced}` has no `stateful_from`")),
    }
}

/// A map of names to lists, for instance products to their surfaces.
fn lists(file: &Node, key: &str, inner: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let entry = |(name, node): &(String, Node)| {
        let texts = node.texts(inner)?.unwrap_or_default();
        Ok((name.clone(), texts.into_iter().map(str::to_owned).collect()))
    };
    file.entries(key)?.iter().map(entry).collect()
}

/// An instant with its offset, or a date, which is its midnight in UTC.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let midnight = || format!("{text}T00:00:00Z").parse::<Timestamp>();
    let date = text.len() == "2026-02-27".len();
    date.then(midnight).and_then(Result::ok).ok_or_else(|| format!("{text:?} is no instant"))
}

/// `5s`, `100ms`, `2m`, `1h`, `30d`.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(wrong)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
