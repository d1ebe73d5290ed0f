use super::*;
use crate::identify::Keys;
use riparian_config::Config;

fn policy(contract: &str) -> Policy {
    let text = format!(
        r#"
version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:8080 }}]
clouds:
  azure: {{ endpoints: [{{ name: a, dialect: azure-openai, url: "http://127.0.0.1:9000", credential: none }}] }}
  aws: {{ endpoints: [{{ name: b, dialect: bedrock-openai, url: "http://127.0.0.1:9001", credential: none }}] }}
  openai: {{ endpoints: [{{ name: c, dialect: openai, url: "http://127.0.0.1:9002", credential: none }}] }}
tenants: {{ shop: {{ credentials: [{{ env: SHOP }}], data_region: eu }} }}
contract:
{contract}
"#
    );
    let config = Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}"));
    Policy::compile(config, Keys::derive(b"test")).expect("the built-in surfaces")
}

const NOW: &str = "2026-03-15T00:00:00Z";

fn proof(contract: &str) -> (Policy, Proof) {
    let policy = policy(contract);
    let proof = prove(&policy, NOW.parse().expect("an instant"));
    (policy, proof)
}

fn whats(proof: &Proof) -> Vec<What> {
    proof.findings.iter().map(|finding| finding.what.clone()).collect()
}

const READINGS: &str = "  enforce: memory\n  readings: { memory: { stateful_from: continues }, strict: { stateful_from: never } }\n";

#[test]
fn a_contract_in_which_all_is_well_is_proved() {
    let (_, proof) = proof(&format!(
        "{READINGS}  otherwise: refuse\n  terms:\n    - {{ id: calls, until: 2026-04-27, when: {{ vendor: openai, class: stateless }}, only: azure }}\n    \
         - {{ id: agents, until: 2026-04-27, when: {{ vendor: openai, class: stateful }}, only: aws }}\n    \
         - {{ id: any, from: 2026-04-27, when: {{ vendor: openai }}, only: [azure, aws] }}\n  \
         prove:\n    - {{ claim: calls stay, given: {{ vendor: openai, class: stateless }}, until: 2026-04-27, then: {{ only: azure }} }}\n    \
         - {{ claim: never there, then: {{ never: openai }} }}\n    \
         - {{ claim: strictly, given: {{ vendor: openai }}, until: 2026-04-27, reading: strict, then: {{ only: azure }} }}\n"
    ));
    assert_eq!(whats(&proof), []);
    assert!(proof.counts.cells > 100_000, "{:?}", proof.counts);
    let disputed: Vec<_> = proof.band.values().collect();
    assert!(
        disputed.iter().all(|disputed| disputed.from >= Grade::Continues),
        "from where the readings differ"
    );
    assert!(!disputed.is_empty());
}

#[test]
fn what_no_term_speaks_of_is_an_oversight_unless_otherwise_is_written() {
    let contract = |otherwise: &str| {
        format!(
            "{READINGS}{otherwise}  terms: [{{ id: calls, when: {{ vendor: openai, class: stateless }}, only: azure }}]\n"
        )
    };
    let (_, gap) = proof(&contract(""));
    assert_eq!(whats(&gap), [What::Unspoken]);
    let example = gap.findings[0].example.as_ref().expect("an example");
    let sample = example.sample.as_ref().expect("that can be sent");
    assert!(sample.curl("http://127.0.0.1:8080").starts_with("curl -sS -i -X "), "{sample:?}");
    assert_eq!(whats(&proof(&contract("  otherwise: refuse\n")).1), []);
}

#[test]
fn two_terms_that_leave_nothing_are_named() {
    let (policy, proof) = proof(&format!(
        "{READINGS}  otherwise: refuse\n  terms:\n    - {{ id: whole, only: [azure, aws] }}\n    \
         - {{ id: chat, when: {{ surface: openai.chat.* }}, only: azure }}\n    - {{ id: chat-too, when: {{ surface: openai.chat.create }}, only: aws }}\n    \
         - {{ id: speech, when: {{ surface: openai.audio.speech }}, never: [azure, aws] }}\n"
    ));
    assert_eq!(whats(&proof), [What::Conflict(vec![0, 3]), What::Conflict(vec![1, 2])]);
    let sample =
        proof.findings[1].example.as_ref().and_then(|example| example.sample.as_ref()).expect("a request");
    assert_eq!((sample.method.as_str(), sample.target.as_str()), ("POST", "/v1/chat/completions"));
    assert!(policy.config.contract.terms.len() == 4);
}

#[test]
fn a_term_that_never_speaks_is_dead_and_so_is_a_claim() {
    let (_, proof) = proof(&format!(
        "{READINGS}  otherwise: refuse\n  terms:\n    - {{ id: all, only: azure }}\n    \
         - {{ id: dead, when: {{ surface: openai.embeddings.create, grade: runtime }}, never: aws }}\n    \
         - {{ id: shop, when: {{ tenant: shop, data_region: eu }}, never: aws }}\n  \
         prove:\n    - {{ claim: of nothing, given: {{ surface: openai.embeddings.create, grade: runtime }}, then: {{ only: azure }} }}\n"
    ));
    assert_eq!(whats(&proof), [What::Dead(1), What::Idle(0)]);
}

#[test]
fn a_claim_that_does_not_hold_comes_with_a_request_that_shows_it() {
    let (_, proof) = proof(&format!(
        "{READINGS}  otherwise: refuse\n  terms: [{{ id: any, only: [azure, openai] }}]\n  \
         prove:\n    - {{ claim: calls stay, given: {{ class: stateless, vendor: openai }}, then: {{ only: azure }} }}\n    \
         - {{ claim: nothing goes, given: {{ grade: creates }}, then: {{ is: refused }} }}\n    \
         - {{ claim: all goes, given: {{ grade: pure }}, then: {{ is: allowed }} }}\n"
    ));
    assert_eq!(whats(&proof), [What::Claim(0), What::Claim(1)]);
    for finding in &proof.findings {
        let example = finding.example.as_ref().expect("an example");
        assert!(example.sample.is_some() && finding.kinds > 0, "{example:?}");
    }
}

#[test]
fn a_session_that_is_let_go_on_counts_against_a_claim() {
    let contract = |on_expiry: &str| {
        format!(
            "{READINGS}  band: enforced\n  otherwise: refuse\n  terms:\n    - {{ id: old, until: 2026-04-27, only: azure, on_expiry: {on_expiry} }}\n    \
             - {{ id: new, from: 2026-04-27, only: aws }}\n  \
             prove: [{{ claim: all is moved, from: 2026-04-28, then: {{ only: aws }} }}]\n"
        )
    };
    assert_eq!(whats(&proof(&contract("cut")).1), []);
    for on_expiry in ["grandfather", "drain"] {
        let (_, proof) = proof(&contract(on_expiry));
        assert_eq!(whats(&proof), [What::Claim(0)], "{on_expiry}");
        assert_eq!(proof.findings[0].example.as_ref().and_then(|example| example.leased), Some(0));
    }
}
