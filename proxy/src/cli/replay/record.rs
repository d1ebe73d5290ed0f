//! A line of the access log, or an exported entry of the ledger: what in it matters for judging the same request again.

use riparian_config::{Grade, Timestamp};
use riparian_filters::decision::Reason;
use serde::Serialize;
use serde_json::Value;

/// What a line is.
pub(super) enum Line {
    /// No record at all.
    Unread,
    /// Another entry of the ledger: of an attempt, of a beginning, of a gap.
    Other,
    /// So many requests that were refused before anything was judged.
    Unjudged(u64),
    Decision(Box<Recorded>),
}

/// A decision, as it was recorded.
pub(super) struct Recorded {
    pub(super) time: Timestamp,
    pub(super) surface: String,
    pub(super) grade: Grade,
    pub(super) model: Option<String>,
    pub(super) caller: Option<String>,
    /// Whether it was made in the course of another session.
    pub(super) within: bool,
    pub(super) session: Option<String>,
    pub(super) terms: Vec<String>,
    /// Whether state held it where it went.
    pub(super) held: bool,
    pub(super) endpoint: String,
    pub(super) outcome: Outcome,
    /// Input and output; `None` where nobody counted them.
    pub(super) tokens: Option<u64>,
}

/// Where a request went, or would go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Cloud(String),
    Refused(String),
}

/// Refusals that are the contract's: others would come again whatever it says.
pub(super) fn is_contracts(reason: &str) -> bool {
    const CONTRACTS: [Reason; 10] = [
        Reason::NoTerm,
        Reason::TermsConflict,
        Reason::Forbidden,
        Reason::ReadingsDisagree,
        Reason::EpochBoundary,
        Reason::Unrecognised,
        Reason::OwnerNotDesignated,
        Reason::SessionDrained,
        Reason::NotServed,
        Reason::TermsChanged,
    ];
    CONTRACTS.iter().any(|known| known.as_str() == reason)
}

/// Reads one line.
pub(super) fn line(bytes: &[u8]) -> Line {
    let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(bytes) else { return Line::Unread };
    // An export may have the entry beside its index.
    let value = value.get("entry").filter(|entry| entry.is_object()).unwrap_or(&value);
    match value["kind"].as_str() {
        None | Some("ended") => {}
        Some("refused") => return Line::Unjudged(value["count"].as_u64().unwrap_or(1)),
        Some(_) => return Line::Other,
    }
    match decision(value) {
        Some(Some(recorded)) => Line::Decision(Box::new(recorded)),
        Some(None) => Line::Unjudged(1),
        None => Line::Unread,
    }
}

/// `None` for what is no record, and nothing for a request that was refused before it was judged.
fn decision(value: &Value) -> Option<Option<Recorded>> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let time = value["time"].as_str()?.parse().ok()?;
    let (surface, reason) = (text("surface")?, text("reason")?);
    let Some(verdict) = value["verdict"].as_str() else { return Some(None) };
    let grade = Grade::parse(value["grade"].as_str()?)?;
    let cloud = text("cloud").filter(|cloud| cloud != "none");
    let outcome = match (verdict, cloud) {
        ("refuse", _) | (_, None) => Outcome::Refused(reason),
        (_, Some(cloud)) => Outcome::Cloud(cloud),
    };
    let terms =
        value["terms"].as_array().into_iter().flatten().filter_map(|term| term.as_str().map(str::to_owned));
    Some(Some(Recorded {
        time,
        surface,
        grade,
        model: text("model"),
        caller: text("caller"),
        within: value["parent_session"].is_string(),
        session: text("session"),
        terms: terms.collect(),
        held: verdict == "hold",
        endpoint: text("endpoint").unwrap_or_default(),
        outcome,
        tokens: tokens(value),
    }))
}

/// `input_tokens` and `output_tokens` of a log's line, `usage` of an entry.
fn tokens(value: &Value) -> Option<u64> {
    let usage = &value["usage"];
    let either = |flat: &str, nested: &str| value[flat].as_u64().or_else(|| usage[nested].as_u64());
    match (either("input_tokens", "input"), either("output_tokens", "output")) {
        (None, None) => None,
        (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
    }
}
