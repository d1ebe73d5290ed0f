//! A contract, read from the text of a configuration and of the files that it includes. What the oracle does not understand is an
//! error that names the term, never a silent pass.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::contract::{Band, Contract, OnExpiry, Reading, Term, When};
use super::facts::Grade;
use super::yaml::Node;

/// The default of `clock_skew`.
const SKEW: Duration = Duration::from_secs(5);
/// The default of `sessions.idle`.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Keys of a contract that the oracle can judge, or need not: who agreed, what is warned of, and what is proved allow nothing.
const KNOWN: [&str; 11] = [
    "enforce",
    "readings",
    "terms",
    "otherwise",
    "clock_skew",
    "band",
    "include",
    "approved_by",
    "parties",
    "warn_before",
    "prove",
];

impl Contract {
    /// From the whole text of a configuration; `read` is given the names of files that it includes.
    pub(super) fn parse(
        text: &str,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Contract, String> {
        let file = Node::parse(text)?;
        if file.find("surfaces").is_some() {
            return Err(
                "`surfaces` changes what requests are graded as: the oracle cannot judge that".to_owned()
            );
        }
        let contract = whole(file.find("contract").ok_or("there is no `contract`")?, read)?;
        if !matches!(contract.text("otherwise")?, None | Some("refuse")) {
            return Err("the oracle cannot judge an `otherwise` that is not `refuse`".to_owned());
        }
        let band = match contract.text("band")? {
            None | Some("conservative") => Band::Conservative,
            Some("enforced") => Band::Enforced,
            Some("refuse") => Band::Refuse,
            Some(other) => return Err(format!("the oracle cannot judge `band: {other}`")),
        };
        let clouds: BTreeSet<String> = file.entries("clouds")?.iter().map(|(name, _)| name.clone()).collect();
        let Some(Node::List(terms)) = contract.find("terms") else {
            return Err("`contract.terms` is no list".to_owned());
        };
        let skew = contract.text("clock_skew")?.map_or(Ok(SKEW), span)?;
        let idle = file.find("sessions").map(|sessions| sessions.text("idle")).transpose()?.flatten();
        let readings = contract.entries("readings")?.iter();
        let readings =
            readings.map(|(name, node)| Reading::read(name, node)).collect::<Result<Vec<_>, _>>()?;
        let enforced = contract.text("enforce")?.ok_or("`contract.enforce` is missing")?;
        let enforced = readings
            .iter()
            .position(|reading| reading.name == enforced)
            .ok_or_else(|| format!("the enforced reading `{enforced}` is not in `readings`"))?;
        Ok(Contract {
            readings,
            enforced,
            band,
            skew: SignedDuration::try_from(skew).map_err(|error| format!("`clock_skew`: {error}"))?,
            idle: idle.map_or(Ok(IDLE), span)?,
            terms: terms.iter().map(|term| Term::parse(term, &clouds)).collect::<Result<_, _>>()?,
            products: lists(&file, "products", "surfaces")?,
            vendors: lists(&file, "vendors", "models")?
                .into_iter()
                .flat_map(|(vendor, models)| models.into_iter().map(move |model| (model, vendor.clone())))
                .collect(),
            clouds,
        })
    }
}

/// The contract and the files that it includes, as one map: lists and maps are what all of them say, and anything else is said once.
fn whole(own: &Node, read: impl Fn(&str) -> Result<String, String>) -> Result<Node, String> {
    let mut whole: Vec<(String, Node)> = Vec::new();
    let mut parts = Vec::new();
    for name in own.texts("include")?.unwrap_or_default() {
        let text = read(name).map_err(|why| format!("`contract.include`: {name}: {why}"))?;
        let part = Node::parse(&text).map_err(|why| format!("{name}: {why}"))?;
        if part.find("include").is_some() {
            return Err(format!("{name}: a part of a contract includes nothing"));
        }
        parts.push(part);
    }
    parts.push(own.clone());
    for part in parts {
        if let Some(key) = part.stranger(&KNOWN) {
            return Err(format!("the oracle cannot judge `contract.{key}`"));
        }
        let Node::Map(entries) = part else { return Err("a contract is no map".to_owned()) };
        for (key, value) in entries {
            match (whole.iter_mut().find(|(known, _)| *known == key).map(|(_, known)| known), value) {
                (Some(Node::List(all)), Node::List(more)) => all.extend(more),
                (Some(Node::Map(all)), Node::Map(more)) => {
                    if let Some((name, _)) =
                        more.iter().find(|(name, _)| all.iter().any(|(known, _)| known == name))
                    {
                        return Err(format!("`contract.{key}.{name}` is said twice"));
                    }
                    all.extend(more);
                }
                (Some(_), _) => return Err(format!("`contract.{key}` is said twice")),
                (None, value) => whole.push((key, value)),
            }
        }
    }
    Ok(Node::Map(whole))
}

impl Reading {
    fn read(name: &str, node: &Node) -> Result<Reading, String> {
        // What a runtime's own inner calls count as does not matter: the driver makes none.
        if let Some(key) = node.stranger(&["stateful_from", "inner_calls", "surfaces"]) {
            return Err(format!("reading `{name}`: the oracle cannot judge `{key}`"));
        }
        let surface = |(pattern, node): &(String, Node)| match node {
            Node::Text(word) => Ok((pattern.clone(), is_stateful(word)?)),
            _ => Err(format!("reading `{name}`: `{pattern}` is of no class")),
        };
        Ok(Reading {
            name: name.to_owned(),
            stateful_from: match node.text("stateful_from")? {
                Some("never") => None,
                Some(word) => Some(Grade::parse(word)?),
                None => return Err(format!("reading `{name}` has no `stateful_from`")),
            },
            surfaces: node.entries("surfaces")?.iter().map(surface).collect::<Result<_, _>>()?,
        })
    }
}

fn is_stateful(class: &str) -> Result<bool, String> {
    match class {
        "stateful" => Ok(true),
        "stateless" => Ok(false),
        other => Err(format!("`class` is {other:?}")),
    }
}

impl Term {
    fn parse(node: &Node, clouds: &BTreeSet<String>) -> Result<Term, String> {
        let id = node.text("id")?.ok_or("a term has no `id`")?;
        Term::read(node, clouds).map_err(|why| format!("term `{id}`: {why}"))
    }

    fn read(node: &Node, clouds: &BTreeSet<String>) -> Result<Term, String> {
        // Who agreed to it, and who approved of it, allows nothing.
        const KEYS: [&str; 11] = [
            "id",
            "cite",
            "parties",
            "approved_by",
            "from",
            "until",
            "when",
            "only",
            "never",
            "prefer",
            "on_expiry",
        ];
        if let Some(key) = node.stranger(&KEYS) {
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
        let on_expiry = match node.text("on_expiry")? {
            Some("grandfather") => OnExpiry::Grandfather,
            Some("drain") => OnExpiry::Drain,
            None | Some("cut") => OnExpiry::Cut,
            Some(other) => return Err(format!("`on_expiry` is {other:?}")),
        };
        let when = node.find("when").map_or_else(|| Ok(When::default()), When::read)?;
        let (from, until) = (at("from")?, at("until")?);
        Ok(Term { from, until, when, only, never: never.unwrap_or_default(), on_expiry })
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
        let stateful = node.text("class")?.map(is_stateful).transpose()?;
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
