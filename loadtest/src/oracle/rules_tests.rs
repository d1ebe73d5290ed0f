//! What the oracle makes of rules and of contracts: the tables are the prose, in cells.

use super::*;
use crate::drive::{Manners, Shape, Step};

fn recipe(step: Step) -> Recipe {
    let model = match step {
        Step::NewConversation => None,
        Step::Embeddings => Some("text-embedding-3-small".to_owned()),
        Step::Chat { .. } | Step::Response { .. } => Some("gpt-5.5".to_owned()),
    };
    Recipe {
        shape: Shape::Chat,
        step,
        turn: 1,
        nonce: "nonce-0000000000000001".to_owned(),
        model,
        padding_bytes: 0,
        body_bytes: None,
        script: None,
        manners: Manners::Good,
        fault: None,
    }
}

fn response(store: bool, previous: Option<&str>) -> Step {
    Step::Response { stream: false, store, previous: previous.map(str::to_owned), conversation: None }
}

const CHAT: Step = Step::Chat { stream: false };

fn at(text: &str) -> SystemTime {
    text.parse::<Timestamp>().expect("an instant").into()
}

#[test]
fn rules_are_read_as_written() {
    let rules =
        Rules::parse(["stateless=azure", "stateful=aws,openai", "creates=stateful"]).expect("three rules");
    let table = [
        (CHAT, Class::Stateless),
        (response(false, None), Class::Stateless),
        (response(true, None), Class::Stateful),
        (response(false, Some("resp_1")), Class::Stateful),
        (Step::NewConversation, Class::Stateful),
    ];
    let allow = |rules: &Rules, step: &Step, cloud| {
        rules.allow(&recipe(step.clone()), cloud, SystemTime::now(), Duration::ZERO)
    };
    for (step, class) in table {
        assert_eq!(rules.class(&recipe(step.clone())), class, "{step:?}");
        assert_eq!(allow(&rules, &step, "openai"), class == Class::Stateful);
        assert!(allow(&Rules::default(), &step, "anywhere"));
    }
    for line in ["stateless", "stateless=", "state=azure", "creates=maybe"] {
        assert!(Rules::parse([line]).is_err(), "{line:?} is no rule");
    }
}

/// `contract` is the section's YAML; the clouds are azure, aws and openai.
fn config(contract: &str) -> String {
    let contract: String = contract.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "version: 1\nclouds: {{ azure: {{}}, aws: {{}}, openai: {{}} }}\n\
         products: {{ stateful-platform: {{ surfaces: [openai.responses.*, openai.conversations.*] }} }}\n\
         contract:\n{contract}"
    )
}

/// The clouds of three that a request may reach.
fn reach(rules: &Rules, step: &Step, when: &str) -> Vec<&'static str> {
    let allowed = |cloud: &&str| rules.allow(&recipe(step.clone()), cloud, at(when), Duration::ZERO);
    ["azure", "aws", "openai"].into_iter().filter(allowed).collect()
}

const DATED: &str = r"
enforce: memory-is-state
readings:
  memory-is-state: { stateful_from: continues, inner_calls: own }
  every-call-is-a-call: { stateful_from: never }
clock_skew: 5s
terms:
  - id: azure-stateless
    from: 2026-02-27
    until: 2026-04-27T00:00:00Z
    when: { vendor: openai, class: stateless }
    only: [azure]
  - id: aws-agents
    from: 2026-02-27T00:00:00Z
    until: 2026-04-27
    when: { vendor: openai, product: stateful-platform, class: stateful }
    only: aws
  - id: any-cloud
    from: 2026-04-27T00:00:00Z
    when: { vendor: openai }
    prefer: [azure, aws]
  - id: no-embeddings-at-aws
    from: 2026-04-27T00:00:00Z
    when: { surface: openai.embeddings.*, model: [text-embedding-*, other] }
    never: [aws]
otherwise: refuse
";

#[test]
fn a_contract_is_judged_by_its_dates() {
    let rules = Rules::from_config(&config(DATED)).expect("a contract");
    let cites = response(true, Some("resp_1"));
    let (before, during, after) = ("2026-02-26T23:59:50Z", "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z");
    let all = vec!["azure", "aws", "openai"];
    let table = [
        (&CHAT, before, vec![]),
        (&CHAT, during, vec!["azure"]),
        (&response(true, None), during, vec!["azure"]),
        (&cites, during, vec!["aws"]),
        (&Step::NewConversation, during, vec!["azure"]),
        (&CHAT, after, all.clone()),
        (&cites, after, all),
        (&Step::Embeddings, after, vec!["azure", "openai"]),
        // Within the skew of a boundary only what both sides allow.
        (&CHAT, "2026-02-26T23:59:56Z", vec![]),
        (&CHAT, "2026-02-27T00:00:04Z", vec![]),
        (&CHAT, "2026-02-27T00:00:06Z", vec!["azure"]),
        (&CHAT, "2026-04-26T23:59:57Z", vec!["azure"]),
        (&CHAT, "2026-04-27T00:00:03Z", vec!["azure"]),
        (&cites, "2026-04-27T00:00:03Z", vec!["aws"]),
        (&CHAT, "2026-04-27T00:00:06Z", vec!["azure", "aws", "openai"]),
    ];
    for (step, when, clouds) in table {
        assert_eq!(reach(&rules, step, when), clouds, "{step:?} at {when}");
    }
    // On its way for a minute, it may have been judged on either side.
    let late = at("2026-04-27T00:00:30Z");
    assert!(rules.allow(&recipe(CHAT), "openai", late, Duration::from_secs(60)));
    let early = at("2026-02-27T00:01:00Z");
    assert!(!rules.allow(&recipe(CHAT), "openai", early, Duration::from_secs(600)));
}

#[test]
fn conditions_and_readings_decide() {
    let now = "2026-06-01T00:00:00Z";
    let table: [(&str, &str, &Step, &[&str]); 9] = [
        ("creates", "{ id: t, when: { class: stateful }, only: aws }", &response(true, None), &["aws"]),
        ("creates", "{ id: t, when: { class: stateful }, only: aws }", &CHAT, &[]),
        (
            "never",
            "{ id: t, when: { class: stateless }, only: aws }",
            &response(true, Some("resp_1")),
            &["aws"],
        ),
        ("creates", "{ id: t, when: { grade: [creates, pure] }, only: aws }", &CHAT, &["aws"]),
        ("creates", "{ id: t, when: { grade: continues }, only: aws }", &CHAT, &[]),
        ("creates", "{ id: t, when: { vendor: anthropic }, only: aws }", &CHAT, &[]),
        ("creates", "{ id: t, when: { model: gpt-5* }, only: [aws, azure], never: azure }", &CHAT, &["aws"]),
        ("creates", "{ id: t, when: { model: '*' }, only: aws }", &Step::NewConversation, &[]),
        // Two terms that disagree leave nothing.
        ("creates", "{ id: t, only: aws }\n  - { id: u, only: azure }", &CHAT, &[]),
    ];
    for (from, term, step, clouds) in table {
        let text = format!("enforce: r\nreadings: {{ r: {{ stateful_from: {from} }} }}\nterms:\n  - {term}");
        let rules = Rules::from_config(&config(&text)).expect(term);
        assert_eq!(reach(&rules, step, now), clouds, "{term} for {step:?}");
    }
}

#[test]
fn what_it_cannot_judge_it_says() {
    let term = |term: &str| {
        format!(
            "enforce: r\nreadings: {{ r: {{ stateful_from: creates }} }}\nterms: [{{ id: strange, {term} }}]"
        )
    };
    let table = [
        (term("only: aws, on_expiry: grandfather"), "term `strange`: the oracle cannot judge `on_expiry`"),
        (term("only: aws, when: { tenant: a }"), "term `strange`: the oracle cannot judge `when.tenant`"),
        (term("only: gcp"), "term `strange`: `only` names `gcp`, which is no cloud"),
        (term("only: aws, from: yesterday"), "term `strange`: \"yesterday\" is no instant"),
        (term("only: aws, when: { grade: huge }"), "term `strange`: \"huge\" is no grade"),
        (term("only: aws") + "\ninclude: x.yaml", "the oracle cannot judge `contract.include`"),
        (term("only: aws") + "\nband: refuse", "the oracle cannot judge a `band` that is not `enforced`"),
        (
            term("only: aws").replace("enforce: r", "enforce: s"),
            "the enforced reading `s` is not in `readings`",
        ),
    ];
    for (contract, message) in table {
        assert_eq!(Rules::from_config(&config(&contract)), Err(message.to_owned()));
    }
    assert!(Rules::from_config("contract: [").is_err());
    assert!(Rules::from_config("a: 1\na: 2").is_err(), "a doubled key is ambiguous");
}
