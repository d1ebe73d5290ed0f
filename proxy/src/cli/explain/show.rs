//! An explanation, as text for people and as JSON for tools.

use super::Explanation;
use riparian_config::{Grade, Term};
use riparian_filters::decision::Verdict;
use riparian_filters::identify::SessionSource;
use riparian_filters::policy::{EndpointId, Policy};
use serde_json::{Value, json};
use std::fmt::Write;

/// One object, for a refusal too. Tools build on its names.
pub(super) fn json(policy: &Policy, explanation: &Explanation) -> Value {
    let decision = explanation.decision.as_ref();
    let vendors = &policy.config.surfaces.vendors;
    let reason = explanation
        .refusal
        .as_ref()
        .map(|refusal| refusal.reason)
        .or(decision.map(|decision| decision.verdict.reason()));
    let candidates = decision.map_or(&[][..], |decision| decision.verdict.endpoints());
    json!({
        "surface": explanation.surface,
        "grade": decision.map_or(Grade::Unknown, |decision| decision.grade).as_str(),
        // What was not read is of grade unknown, and the enforced reading has a class for that, too.
        "class": decision
            .map_or_else(|| policy.config.contract.enforced().class(Grade::Unknown), |decision| decision.class)
            .as_str(),
        "vendor": decision.and_then(|decision| Some(vendors[decision.vendor?].name.as_str())),
        "model": explanation.model,
        "session": decision
            .and_then(|decision| decision.session)
            .filter(|session| session.source != SessionSource::Minted)
            .map(|session| session.id.to_string()),
        "session_from": decision.and_then(|decision| Some(decision.session?.source.as_str())),
        "tenant": decision.map(|decision| decision.tenant.to_string()),
        "handles": explanation.handles.iter().map(|(_, handle)| handle).collect::<Vec<_>>(),
        "at": explanation.at.to_string(),
        "reading": policy.config.contract.enforced().name.as_str(),
        "epoch": decision.map(|decision| decision.epoch),
        "terms": terms(policy, explanation).map(|term| term.id.as_str()).collect::<Vec<_>>(),
        "candidates": candidates.iter().map(|id| name(policy, *id)).collect::<Vec<_>>(),
        "cloud": candidates.first().map(|id| policy.place(*id).cloud_name.as_str()),
        "endpoint": candidates.first().map(|id| name(policy, *id)),
        "verdict": decision.map_or("refuse", |decision| decision.verdict.as_str()),
        "reason": reason.map(riparian_filters::decision::Reason::as_str),
        "detail": explanation.refusal.as_ref().and_then(|refusal| refusal.detail.clone()),
        "status": explanation.refusal.as_ref().map_or(200, |refusal| refusal.status),
    })
}

fn name(policy: &Policy, id: EndpointId) -> &str {
    policy.place(id).endpoint.name.as_str()
}

fn terms<'a>(policy: &'a Policy, explanation: &'a Explanation) -> impl Iterator<Item = &'a Term> {
    let terms = &policy.config.contract.terms;
    explanation
        .decision
        .iter()
        .flat_map(|decision| &decision.terms)
        .map(|number| &terms[usize::from(*number)])
}

/// Line by line, in the order of the stages.
pub(super) fn text(policy: &Policy, explanation: &Explanation) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: String| {
        // A `String` takes whatever is written to it.
        let _ = writeln!(out, "{label:<11}{value}");
    };
    line("surface", explanation.surface.clone().unwrap_or_else(|| "unrecognised".to_owned()));
    if let Some(model) = &explanation.model {
        line("model", model.clone());
    }
    for (namespace, handle) in &explanation.handles {
        line("handle", format!("{handle} ({namespace})"));
    }
    if let Some(decision) = &explanation.decision {
        let reading = &policy.config.contract.enforced().name;
        line("grade", decision.grade.to_string());
        line("class", format!("{} under {reading}", decision.class));
        if let Some(vendor) = decision.vendor {
            line("vendor", policy.config.surfaces.vendors[vendor].name.to_string());
        }
        if let Some(session) = decision.session {
            // What would be minted cannot be foreseen.
            let name = if session.source == SessionSource::Minted {
                "a new one".to_owned()
            } else {
                session.id.to_string()
            };
            line("session", format!("{name} (from {})", session.source.as_str()));
        }
        line("tenant", decision.tenant.to_string());
        line("at", format!("{}, epoch {}", explanation.at, decision.epoch));
        for term in terms(policy, explanation) {
            line(
                "term",
                format!(
                    "{}{}",
                    term.id,
                    term.cite.as_ref().map_or(String::new(), |cite| format!(": {cite}"))
                ),
            );
        }
        match &decision.verdict {
            Verdict::Free(candidates) => {
                line("verdict", "free".to_owned());
                for (turn, id) in (1..).zip(candidates) {
                    let place = policy.place(*id);
                    line(
                        if turn == 1 { "goes to" } else { "then to" },
                        format!("{} in {}", place.endpoint.name, place.cloud_name),
                    );
                }
            }
            Verdict::Hold(owner) => {
                let place = policy.place(*owner);
                line("verdict", "hold".to_owned());
                line("goes to", format!("{} in {}, and nowhere else", place.endpoint.name, place.cloud_name));
            }
            Verdict::Refuse(_) => line("verdict", "refuse".to_owned()),
        }
    } else {
        line("verdict", "refuse".to_owned());
    }
    if let Some(refusal) = &explanation.refusal {
        let detail = refusal.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
        line("reason", format!("{}, status {}", refusal.reason, refusal.status));
        line("", format!("{}{detail}", refusal.reason.advice()));
    }
    out
}
