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

/// Nothing is included.
fn read(text: &str) -> Result<Rules, String> {
    Rules::from_config(text, |name| panic!("{name} is not included"))
}

const DATED: &str = r"
enforce: memory-is-state
band: enforced
parties: [Acme, Contoso]
warn_before: 14d
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
    parties: Acme
    approved_by: Counsel
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
    let rules = read(&config(DATED)).expect("a contract");
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
        let rules = read(&config(&text)).expect(term);
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
        (term("only: aws, on_expiry: never"), "term `strange`: `on_expiry` is \"never\""),
        (
            term("only: aws, when: { data_region: eu }"),
            "term `strange`: the oracle cannot judge `when.data_region`",
        ),
        (term("only: aws, when: { tenant: a }"), "term `strange`: the oracle cannot judge `when.tenant`"),
        (term("only: gcp"), "term `strange`: `only` names `gcp`, which is no cloud"),
        (term("only: aws, from: yesterday"), "term `strange`: \"yesterday\" is no instant"),
        (term("only: aws, when: { grade: huge }"), "term `strange`: \"huge\" is no grade"),
        (term("only: aws") + "\nmood: good", "the oracle cannot judge `contract.mood`"),
        (term("only: aws") + "\nband: broad", "the oracle cannot judge `band: broad`"),
        (
            term("only: aws").replace("creates }", "creates, signals: { /store: stateless } }"),
            "reading `r`: the oracle cannot judge `signals`",
        ),
        (
            term("only: aws").replace("enforce: r", "enforce: s"),
            "the enforced reading `s` is not in `readings`",
        ),
    ];
    for (contract, message) in table {
        assert_eq!(read(&config(&contract)), Err(message.to_owned()));
    }
    assert!(read("contract: [").is_err());
    assert!(read("a: 1\na: 2").is_err(), "a doubled key is ambiguous");
}

#[test]
fn where_readings_differ_the_band_decides() {
    let contract = |band: &str| {
        format!(
            r"
enforce: memory-is-state
band: {band}
readings:
  memory-is-state: {{ stateful_from: continues }}
  every-call-is-a-call: {{ stateful_from: never, surfaces: {{ openai.conversations.*: stateful }} }}
terms:
  - {{ id: a, when: {{ class: stateless }}, only: [azure, openai] }}
  - {{ id: b, when: {{ class: stateful }}, only: [aws, openai] }}
"
        )
    };
    let cites = response(true, Some("resp_1"));
    let (stateless, stateful) = (vec!["azure", "openai"], vec!["aws", "openai"]);
    let table = [
        ("conservative", &CHAT, stateless.clone()),
        ("conservative", &cites, vec!["openai"]),
        ("conservative", &Step::NewConversation, vec!["openai"]),
        ("enforced", &CHAT, stateless.clone()),
        ("enforced", &cites, stateful),
        ("enforced", &Step::NewConversation, stateless.clone()),
        ("refuse", &CHAT, stateless),
        ("refuse", &cites, vec![]),
        ("refuse", &Step::NewConversation, vec![]),
    ];
    for (band, step, clouds) in table {
        let rules = read(&config(&contract(band))).expect("a contract");
        assert_eq!(reach(&rules, step, "2026-06-01T00:00:00Z"), clouds, "{step:?}, {band}");
    }
    let unsaid =
        read(&config(&contract("conservative").replace("band: conservative", ""))).expect("a contract");
    assert_eq!(
        reach(&unsaid, &cites, "2026-06-01T00:00:00Z"),
        ["openai"],
        "conservative when nothing is said"
    );
}

#[test]
fn a_contract_may_be_in_several_files() {
    let own = "include: [terms.yaml, readings.yaml]\nenforce: r\nterms: [{ id: here, never: openai }]";
    let file = |name: &str| match name {
        "terms.yaml" => {
            Ok("terms: [{ id: there, when: { class: stateless }, only: [aws, openai] }]".to_owned())
        }
        "readings.yaml" => Ok("readings: { r: { stateful_from: never } }\nband: enforced".to_owned()),
        _ => Err("there is none".to_owned()),
    };
    let rules = Rules::from_config(&config(own), file).expect("a contract");
    assert_eq!(reach(&rules, &CHAT, "2026-06-01T00:00:00Z"), ["aws"]);
    for (own, message) in [
        (own.replace("terms.yaml", "none.yaml"), "`contract.include`: none.yaml: there is none"),
        (format!("{own}\nband: refuse"), "`contract.band` is said twice"),
        (
            format!("{own}\nreadings: {{ r: {{ stateful_from: pure }} }}"),
            "`contract.readings.r` is said twice",
        ),
    ] {
        assert_eq!(Rules::from_config(&config(&own), file), Err(message.to_owned()));
    }
}

#[test]
fn what_outlives_a_term_goes_on_where_it_began() {
    let contract = |band: &str, ending: &str, more: &str| {
        let text = format!(
            r"
enforce: memory-is-state
band: {band}
readings: {{ memory-is-state: {{ stateful_from: continues }}, every-call-is-a-call: {{ stateful_from: never }} }}
terms:
  - {{ id: ended, until: 2026-03-01, only: azure, {ending} }}
  - {{ id: begun, from: 2026-03-01, only: aws }}
{more}"
        );
        read(&(config(&text) + "sessions: { idle: 10m }\n")).expect("a contract")
    };
    let (grandfather, drain, cut) = ("on_expiry: grandfather", "on_expiry: drain", "on_expiry: cut");
    let (before, after) = ("2026-02-20T00:00:00Z", "2026-03-02T00:00:00Z");
    let began = |times: &[&str], minutes: u64| Life {
        began: times.iter().map(|time| time.parse().expect("an instant")).collect(),
        rested: Duration::from_secs(60 * minutes),
    };
    let (early, late) = (began(&[before], 0), began(&[after], 0));
    let goes_on = |rules: &Rules, lives: &[Life]| {
        let cites = recipe(response(true, Some("resp_1")));
        let allow = |cloud: &&str| rules.allow_to_go_on(&cites, cloud, at(after), Duration::ZERO, lives);
        ["azure", "aws", "openai"].into_iter().filter(allow).collect::<Vec<_>>()
    };
    let enforced = |ending: &str| contract("enforced", ending, "");
    let both = ["azure", "aws"];
    // Under the other reading alone a term in force forbids it, or a new one leaves it out and none has ended.
    let forbids = "  - { id: more, from: 2026-03-01, when: { class: stateless }, never: azure }\n";
    let ends_for_one = "when: { class: stateful }, on_expiry: grandfather";
    let standing = "  - { id: more, when: { class: stateless }, only: [azure, aws] }\n";
    let table: [(&str, Rules, Vec<Life>, &[&str]); 13] = [
        ("nothing is known", enforced(grandfather), vec![], &["aws"]),
        ("it is let go on", enforced(grandfather), vec![early.clone()], &both),
        ("it is in use", enforced(drain), vec![began(&[before], 10)], &both),
        ("it has rested", enforced(drain), vec![began(&[before], 11)], &["aws"]),
        ("it is cut", enforced(cut), vec![early.clone()], &["aws"]),
        ("nothing is said", enforced("cite: x"), vec![early.clone()], &["aws"]),
        ("it began too late", enforced(grandfather), vec![late.clone()], &["aws"]),
        (
            "it goes on from what began in time",
            enforced(grandfather),
            vec![began(&[after, before], 0)],
            &both,
        ),
        ("one of two began too late", enforced(grandfather), vec![early.clone(), late], &["aws"]),
        (
            "a term in force forbids it",
            contract("conservative", grandfather, forbids),
            vec![early.clone()],
            &["aws"],
        ),
        ("that one does not speak", contract("enforced", grandfather, forbids), vec![early.clone()], &both),
        (
            "another reading's new term",
            contract("conservative", ends_for_one, standing),
            vec![early.clone()],
            &["aws"],
        ),
        ("that reading does not count", contract("enforced", ends_for_one, standing), vec![early], &both),
    ];
    for (case, rules, lives, clouds) in table {
        assert_eq!(goes_on(&rules, &lives), clouds, "{case}");
    }
}
