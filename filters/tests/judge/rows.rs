//! The truth table in the doc of `judge`, as data: a row is a case.

use super::compile;
use riparian_config::{Grade, Timestamp};
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::identify::Tenant;
use riparian_filters::judge::{Facts, HealthView, Owner, judge};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::select::select;
use riparian_filters::table::CloudSet;
use std::time::Duration;

/// Everything that stages 7 and 8 can say.
pub(crate) const OUTCOMES: [Reason; 17] = [
    Reason::Designated,
    Reason::Held,
    Reason::NoTerm,
    Reason::TermsConflict,
    Reason::Forbidden,
    Reason::ReadingsDisagree,
    Reason::Narrowed,
    Reason::EpochBoundary,
    Reason::Unrecognised,
    Reason::OwnerNotDesignated,
    Reason::SessionDrained,
    Reason::OwnerRemoved,
    Reason::UnknownHandle,
    Reason::OwnersDiffer,
    Reason::NotServed,
    Reason::OwnerUnavailable,
    Reason::EndpointsDown,
];

const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds:
  azure:
    endpoints:
      - { name: a0, dialect: azure-openai, url: "http://127.0.0.1:9000", credential: none }
      - { name: a1, dialect: azure-openai, url: "http://127.0.0.1:9001", credential: none, models: { gpt-5.5: mine } }
  aws:
    endpoints:
      - { name: b2, dialect: bedrock-openai, url: "http://127.0.0.1:9002", credential: none }
contract:
  enforce: r
  readings: { r: { stateful_from: continues } }
  terms:
    - { id: chat, when: { surface: openai.chat.create }, only: azure }
    - { id: completions, when: { surface: openai.completions.create }, only: aws }
    - { id: embeddings-a, when: { surface: openai.embeddings.create }, only: azure }
    - { id: embeddings-b, when: { surface: openai.embeddings.create }, only: aws }
    - { id: speech-a, when: { surface: openai.audio.speech }, only: azure }
    - { id: speech-b, when: { surface: openai.audio.speech }, never: azure }
"#;

const A0: Owner = Owner::Endpoint(EndpointId(0));
const A1: Owner = Owner::Endpoint(EndpointId(1));
const B2: Owner = Owner::Endpoint(EndpointId(2));

struct Row {
    cell: &'static str,
    surface: &'static str,
    model: &'static str,
    owners: &'static [Owner],
    down: u64,
    expected: &'static str,
    endpoints: &'static [u16],
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The contract's cell refuses: pins and health are not even looked at.
    Row { cell: "no term", surface: "openai.moderations.create", model: "m", owners: &[], down: 0, expected: "no_term", endpoints: &[] },
    Row { cell: "no term, owner known", surface: "openai.moderations.create", model: "m", owners: &[A0], down: 0, expected: "no_term", endpoints: &[] },
    Row { cell: "no term, handle unknown", surface: "openai.moderations.create", model: "m", owners: &[Owner::Unknown], down: 0, expected: "no_term", endpoints: &[] },
    Row { cell: "conflict", surface: "openai.embeddings.create", model: "m", owners: &[], down: 0, expected: "terms_conflict", endpoints: &[] },
    Row { cell: "conflict, owner known", surface: "openai.embeddings.create", model: "m", owners: &[B2], down: 0, expected: "terms_conflict", endpoints: &[] },
    Row { cell: "never takes the rest", surface: "openai.audio.speech", model: "m", owners: &[], down: 0, expected: "forbidden", endpoints: &[] },
    Row { cell: "unrecognised", surface: "", model: "m", owners: &[], down: 0, expected: "unrecognised", endpoints: &[] },
    // It allows, and nothing is cited.
    Row { cell: "free", surface: "openai.chat.create", model: "gpt-5.5", owners: &[], down: 0, expected: "designated", endpoints: &[0, 1] },
    Row { cell: "free, one down", surface: "openai.chat.create", model: "gpt-5.5", owners: &[], down: 0b01, expected: "designated", endpoints: &[1] },
    Row { cell: "free, one has the model", surface: "openai.chat.create", model: "other", owners: &[], down: 0, expected: "designated", endpoints: &[0] },
    Row { cell: "free, all down, another cloud up", surface: "openai.chat.create", model: "gpt-5.5", owners: &[], down: 0b11, expected: "endpoints_down", endpoints: &[] },
    Row { cell: "free, who has the model is down", surface: "openai.chat.create", model: "other", owners: &[], down: 0b01, expected: "endpoints_down", endpoints: &[] },
    Row { cell: "the cloud lacks the operation", surface: "openai.completions.create", model: "m", owners: &[], down: 0, expected: "not_served", endpoints: &[] },
    // It allows, and state is cited.
    Row { cell: "handle unknown", surface: "openai.chat.create", model: "gpt-5.5", owners: &[Owner::Unknown], down: 0, expected: "unknown_handle", endpoints: &[] },
    Row { cell: "one of two unknown", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A0, Owner::Unknown], down: 0, expected: "unknown_handle", endpoints: &[] },
    Row { cell: "two owners", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A0, A1], down: 0, expected: "owners_differ", endpoints: &[] },
    Row { cell: "one of two removed", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A0, Owner::Removed], down: 0, expected: "owners_differ", endpoints: &[] },
    Row { cell: "removed", surface: "openai.chat.create", model: "gpt-5.5", owners: &[Owner::Removed], down: 0, expected: "owner_removed", endpoints: &[] },
    Row { cell: "owner outside the cell", surface: "openai.chat.create", model: "gpt-5.5", owners: &[B2], down: 0, expected: "owner_not_designated", endpoints: &[] },
    Row { cell: "owner outside, and down", surface: "openai.chat.create", model: "gpt-5.5", owners: &[B2], down: 0b100, expected: "owner_not_designated", endpoints: &[] },
    Row { cell: "owner lacks the model", surface: "openai.chat.create", model: "other", owners: &[A1], down: 0, expected: "not_served", endpoints: &[] },
    Row { cell: "owner lacks the operation", surface: "openai.completions.create", model: "m", owners: &[B2], down: 0, expected: "not_served", endpoints: &[] },
    Row { cell: "owner lacks the model, and is down", surface: "openai.chat.create", model: "other", owners: &[A1], down: 0b10, expected: "not_served", endpoints: &[] },
    Row { cell: "owner down, its neighbour up", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A1], down: 0b10, expected: "owner_unavailable", endpoints: &[] },
    Row { cell: "owner up", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A1], down: 0, expected: "held", endpoints: &[1] },
    Row { cell: "owner up, its neighbour down", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A1], down: 0b01, expected: "held", endpoints: &[1] },
    Row { cell: "one owner, cited twice", surface: "openai.chat.create", model: "gpt-5.5", owners: &[A1, A1], down: 0, expected: "held", endpoints: &[1] },
];

#[test]
fn the_truth_table() {
    let policy = compile(CONFIG);
    for row in ROWS {
        let surfaces = &policy.config.surfaces.surfaces;
        let surface = surfaces.iter().position(|surface| surface.id.as_str() == row.surface);
        let down = [row.down];
        let facts = Facts {
            now: Timestamp::from_second(super::spec::BASE).unwrap(),
            surface,
            grade: if surface.is_some() { Grade::Pure } else { Grade::Unknown },
            model: Some(row.model),
            owners: row.owners,
            caller: None,
            narrow: None,
            since: &[],
            rested: Duration::ZERO,
            classes: policy.classes(surface, Grade::Pure, 0, None),
            located: None,
            tenant: 0,
            home: policy.home(Tenant::from_bytes([0; 16])),
            health: HealthView { down: &down },
            affinity: None,
            seed: 1,
            in_flight: &[],
            favoured: CloudSet::NONE,
        };
        let verdict: Verdict = select(&policy, &judge(&policy, &facts), &facts);
        let mut endpoints: Vec<u16> = verdict.endpoints().iter().map(|id| id.0).collect();
        endpoints.sort_unstable();
        assert_eq!(
            (verdict.reason().as_str(), &endpoints[..]),
            (row.expected, row.endpoints),
            "{}",
            row.cell
        );
    }
}

/// One request for `gpt-5.5`, with the endpoints that the resources it cites are located at.
fn verdict(policy: &Policy, surface: &str, owners: &[Owner], located: Option<u64>, down: u64) -> Verdict {
    let surfaces = &policy.config.surfaces.surfaces;
    let (down, located) = ([down], located.map(|located| [located]));
    let facts = Facts {
        now: Timestamp::from_second(super::spec::BASE).unwrap(),
        surface: surfaces.iter().position(|known| known.id.as_str() == surface),
        grade: Grade::Pure,
        model: Some("gpt-5.5"),
        owners,
        caller: None,
        narrow: None,
        since: &[],
        rested: Duration::ZERO,
        classes: policy.classes(None, Grade::Pure, 0, None),
        located: located.as_ref().map(|located| &located[..]),
        tenant: 7,
        home: policy.home(Tenant::from_bytes([0; 16])),
        health: HealthView { down: &down },
        affinity: None,
        seed: 1,
        in_flight: &[],
        favoured: CloudSet::NONE,
    };
    select(policy, &judge(policy, &facts), &facts)
}

const CHAT: &str = "openai.chat.create";

#[test]
fn what_a_client_has_just_invented_is_sent_to_one_endpoint_and_no_other() {
    let policy = compile(CONFIG);
    let ends = |owners: &[Owner], down| {
        verdict(&policy, CHAT, owners, None, down).endpoints().iter().map(|id| id.0).collect::<Vec<_>>()
    };
    assert!(matches!(ends(&[Owner::Unbound], 0)[..], [0 | 1]), "one of the designated cloud");
    assert_eq!(ends(&[Owner::Unbound], 0b01), [1], "the one that is up");
    assert_eq!(ends(&[Owner::Unbound, A1], 0), [1], "a known owner decides");
    let down = verdict(&policy, CHAT, &[Owner::Unbound, A1], None, 0b10);
    assert_eq!(down, Verdict::Refuse(Reason::OwnerUnavailable));
}

#[test]
fn a_located_resource_narrows_and_does_not_hold() {
    let policy = compile(CONFIG);
    let at = |owners: &[Owner], located, down| verdict(&policy, CHAT, owners, Some(located), down);
    let located = [Owner::Located];
    assert_eq!(at(&located, 0b10, 0).endpoints(), [EndpointId(1)]);
    assert_eq!(at(&located, 0b11, 0b10).endpoints(), [EndpointId(0)], "another that has it will do");
    assert_eq!(at(&located, 0b10, 0b10), Verdict::Refuse(Reason::EndpointsDown));
    assert_eq!(at(&located, 0b100, 0), Verdict::Refuse(Reason::NotServed), "it is in no designated cloud");
    assert_eq!(at(&[Owner::Located, A0], 0b01, 0), Verdict::Hold(EndpointId(0)));
    assert_eq!(at(&[Owner::Located, A0], 0b10, 0), Verdict::Refuse(Reason::OwnersDiffer));
}

#[test]
fn an_unknown_handle_is_taken_for_one_of_the_home_cloud_where_the_configuration_says_so() {
    let text = |home| format!("{CONFIG}\nsessions: {{ unknown_handle: home, home: {home} }}\n");
    let policy = compile(&text("azure"));
    let first = verdict(&policy, CHAT, &[Owner::Unknown], None, 0);
    let [one] = first.endpoints() else { panic!("one endpoint, not {first:?}") };
    assert!(one.0 < 2, "of the home cloud");
    assert_eq!(
        verdict(&policy, CHAT, &[Owner::Unknown], None, 1 << one.0),
        Verdict::Refuse(Reason::OwnerUnavailable)
    );
    assert_eq!(verdict(&policy, CHAT, &[Owner::Unknown, A1], None, 0), Verdict::Hold(EndpointId(1)));
    let elsewhere = compile(&text("aws"));
    let refused = verdict(&elsewhere, CHAT, &[Owner::Unknown], None, 0);
    assert_eq!(refused, Verdict::Refuse(Reason::OwnerNotDesignated));
}
