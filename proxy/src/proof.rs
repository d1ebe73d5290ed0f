//! A proof in words: what does not hold, why, and the command that shows it on a running proxy.

use riparian_config::{Reading, Timestamp};
use riparian_filters::policy::Policy;
use riparian_filters::prove::{Dispute, Disputed, Example, Finding, Proof, What, prove};
use riparian_filters::table::CloudSet;
use serde_json::{Value, json};
use std::fmt::Write;

/// Whether a configuration is proved before it is put into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proving {
    /// One that is not proved is refused.
    Required,
    /// Whoever starts the proxy has said that it need not be: what does not hold is logged.
    Reported,
    /// It is not: for a proxy inside another program.
    Skipped,
}

/// What keeps `policy` from being put into force; nothing where it is proved.
pub(crate) fn findings(policy: &Policy) -> Option<String> {
    let proof = prove(policy, Timestamp::now());
    (!proof.findings.is_empty()).then(|| text(policy, &proof))
}

/// Every finding.
pub(crate) fn text(policy: &Policy, proof: &Proof) -> String {
    proof.findings.iter().map(|finding| one(policy, finding)).collect()
}

fn one(policy: &Policy, finding: &Finding) -> String {
    let contract = &policy.config.contract;
    let cited = |number: &u16| {
        let term = &contract.terms[usize::from(*number)];
        term.cite.as_ref().map_or(format!("`{}`", term.id), |cite| format!("`{}` ({cite})", term.id))
    };
    let mut out = match &finding.what {
        What::Unspoken => {
            "not complete: no term speaks of some requests, and no `otherwise` is written\n".to_owned()
        }
        What::Conflict(terms) => {
            let terms = terms.iter().map(cited).collect::<Vec<_>>();
            format!("conflict: between them these terms leave no cloud: {}\n", terms.join("; "))
        }
        What::Dead(term) => format!("dead term: {} never comes to speak, under any reading\n", cited(term)),
        What::Leak(cloud) => format!(
            "leak: a request can reach {}, which the terms do not allow; that is a fault of the program, please report it\n",
            policy.config.clouds[*cloud].name
        ),
        What::Claim(claim) => format!("claim: \"{}\" does not hold\n", contract.claims[*claim].claim),
        What::Idle(claim) => {
            format!("claim: \"{}\" speaks of no request that there can be\n", contract.claims[*claim].claim)
        }
    };
    if let Some(example) = &finding.example {
        shown(policy, finding, example, &mut out);
    }
    out
}

fn shown(policy: &Policy, finding: &Finding, example: &Example, out: &mut String) {
    let mut line = |name: &str, text: String| {
        // Writing into memory does not fail.
        let _ = writeln!(out, "  {name:<8} {text}");
    };
    line(
        "for",
        format!("{} kind{} of requests, such as", finding.kinds, if finding.kinds == 1 { "" } else { "s" }),
    );
    line("surface", surface(policy, example.surface).to_owned());
    line("grade", format!("{}, {}", example.grade, classes(policy, example)));
    if let Some(model) = &example.model {
        line("model", model.clone());
    }
    if let Some(caller) = example.caller {
        line("tenant", policy.config.tenants.named[caller].name.to_string());
    }
    line("at", instant(example.at));
    let terms = example.terms.iter().map(|term| policy.config.contract.terms[usize::from(*term)].id.as_str());
    let terms = terms.collect::<Vec<_>>();
    if !terms.is_empty() {
        line("terms", terms.join(", "));
    }
    line(
        "goes to",
        match (example.leased, example.refusal) {
            (Some(cloud), _) => format!(
                "{}, where its session began under a term that has ended since",
                policy.config.clouds[cloud].name
            ),
            (None, Some(reason)) => format!("nowhere: {reason}"),
            (None, None) => clouds(policy, example.clouds),
        },
    );
    match &example.sample {
        Some(sample) => line("try", sample.curl(&origin(policy))),
        None => line("try", format!("riparian explain --at {} with such a request", example.at)),
    }
}

/// Where a client of the first listener sends its requests.
pub(crate) fn origin(policy: &Policy) -> String {
    let listener = &policy.config.listeners[0];
    let tls = matches!(listener.protocol, riparian_config::ListenerProtocol::Tls { .. });
    format!("{}://{}", if tls { "https" } else { "http" }, listener.bind)
}

/// The beginning of time is written out nowhere.
fn instant(at: Timestamp) -> String {
    if at == Timestamp::MIN { "the beginning".to_owned() } else { at.to_string() }
}

fn surface(policy: &Policy, number: Option<usize>) -> &str {
    number.map_or("unrecognised", |number| policy.surface(number).id.as_str())
}

fn classes(policy: &Policy, example: &Example) -> String {
    let readings = policy.config.contract.readings.iter().enumerate();
    let said =
        |(at, reading): (usize, &Reading)| format!("{} under {}", example.classes.of(at), reading.name);
    readings.map(said).collect::<Vec<_>>().join(", ")
}

pub(crate) fn clouds(policy: &Policy, set: CloudSet) -> String {
    let names = set.iter().map(|cloud| policy.config.clouds[cloud].name.as_str()).collect::<Vec<_>>();
    if names.is_empty() { "nowhere".to_owned() } else { names.join(", ") }
}

/// The traffic on which the readings disagree: for each epoch, surfaces that are disputed in one way together. The first of those is in
/// the dispute.
pub(crate) fn band(policy: &Policy, proof: &Proof) -> Vec<(Dispute, Disputed, Vec<String>)> {
    let mut groups: Vec<(Dispute, Disputed, Vec<String>)> = Vec::new();
    for (dispute, disputed) in &proof.band {
        let id = policy.surface(dispute.surface).id.to_string();
        let alike = |(known, alike, _): &&mut (Dispute, Disputed, Vec<String>)| {
            (known.epoch, known.is_inner, alike) == (dispute.epoch, dispute.is_inner, disputed)
        };
        match groups.iter_mut().find(alike) {
            Some((.., ids)) => ids.push(id),
            None => groups.push((*dispute, *disputed, vec![id])),
        }
    }
    groups
}

/// The certificate: what was proved of which configuration, in one canonical object, and its digest. Whoever has the same configuration
/// and program gets the same one.
pub(crate) fn certificate(policy: &Policy, proof: &Proof, hash: &str) -> Value {
    let contract = &policy.config.contract;
    let findings = proof.findings.iter().map(|finding| {
        let example = finding.example.as_ref();
        json!({
            "finding": one(policy, &Finding { example: None, ..finding.clone() }).trim_end(),
            "kinds": finding.kinds,
            "at": example.map(|example| example.at.to_string()),
            "surface": example.map(|example| surface(policy, example.surface)),
            "grade": example.map(|example| example.grade.as_str()),
            "curl": example.and_then(|example| Some(example.sample.as_ref()?.curl(&origin(policy)))),
        })
    });
    let findings = findings.collect::<Vec<_>>();
    let certificate = json!({
        "program": concat!("riparian ", env!("CARGO_PKG_VERSION")),
        "config": hash,
        "enforced": contract.enforced().name.as_str(),
        "band": contract.band.as_str(),
        "terms": contract.terms.iter().map(|term| term.id.as_str()).collect::<Vec<_>>(),
        "claims": contract.claims.iter().map(|claim| claim.claim.as_str()).collect::<Vec<_>>(),
        "cells": proof.counts.cells,
        "kinds": proof.counts.kinds,
        "spans": proof.counts.spans,
        "outages": proof.counts.outages,
        "result": if findings.is_empty() { "proved" } else { "failed" },
        "findings": findings,
    });
    let digest = blake3::hash(certificate.to_string().as_bytes()).to_hex();
    json!({ "certificate": certificate, "digest": format!("blake3:{digest}") })
}
