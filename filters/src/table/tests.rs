use super::*;

#[test]
fn sets_of_clouds() {
    assert!(CloudSet::first(0).is_empty());
    assert!(CloudSet::first(64).contains(63) && CloudSet::first(63).contains(62));
    assert!(!CloudSet::first(63).contains(63));
    let (odd, low) = ([1, 3, 63].into_iter().collect::<CloudSet>(), CloudSet::first(3));
    assert_eq!(odd.and(low), [1].into_iter().collect());
    assert_eq!(odd.without(low), [3, 63].into_iter().collect());
}

/// Clouds `a`, `b`, `c` and these terms; the second is told what chat completions may do at a second.
fn table(terms: &str) -> impl Fn(i64) -> (u32, Vec<usize>, Option<Reason>, Vec<u16>) + use<> {
    let endpoint = |cloud: &str, port: u16| {
        format!(
            "  {cloud}: {{ endpoints: [{{ name: e-{cloud}, dialect: openai, url: \"http://127.0.0.1:{port}\", credential: none }}] }}\n"
        )
    };
    let text = format!(
        "version: 1\nlisteners: [{{ name: l, bind: 127.0.0.1:8080 }}]\nclouds:\n{}{}{}contract:\n  enforce: r\n  readings: {{ r: {{ stateful_from: creates }} }}\n  clock_skew: 5s\n  terms:\n{terms}",
        endpoint("a", 1),
        endpoint("b", 2),
        endpoint("c", 3),
    );
    let config = Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}"));
    let table = Table::compile(&config);
    let kind = Kind {
        vendor: Some(0),
        surface: Some(0),
        grade: Grade::Pure,
        class: Class::Stateless,
        caller: None,
        group: table.group(None),
    };
    move |second| {
        let (epoch, cell) = table.at(Timestamp::from_second(second).unwrap(), kind);
        let clouds = (0..3).filter(|cloud| cell.clouds.contains(*cloud)).collect();
        (epoch, clouds, cell.refusal, cell.terms.clone())
    }
}

#[test]
fn within_the_skew_of_a_boundary_only_what_both_sides_allow() {
    let at = table(
        "    - { id: t0, until: 1970-01-01T00:01:40Z, only: [a, b] }\n    - { id: t1, from: 1970-01-01T00:01:40Z, only: [b, c] }\n",
    );
    assert_eq!(at(94), (0, vec![0, 1], None, vec![0]));
    assert_eq!(at(95), (0, vec![1], None, vec![0, 1]), "the clock may be 5 s slow");
    assert_eq!(at(99), (0, vec![1], None, vec![0, 1]));
    assert_eq!(at(100), (1, vec![1], None, vec![0, 1]), "the epoch follows the clock");
    assert_eq!(at(104), (1, vec![1], None, vec![0, 1]), "it may be 5 s fast");
    assert_eq!(at(105), (1, vec![1, 2], None, vec![1]));
}

#[test]
fn nothing_in_common_passes_and_a_side_that_refuses_does_not() {
    let at = table(
        "    - { id: t0, until: 1970-01-01T00:01:40Z, only: a }\n    - { id: t1, from: 1970-01-01T00:01:40Z, until: 1970-01-01T00:01:43Z, only: b }\n",
    );
    assert_eq!(at(96).2, Some(Reason::EpochBoundary), "a, then b");
    assert_eq!(at(98).2, Some(Reason::NoTerm), "a, then b, then nobody for good");
    assert_eq!(at(200), (2, vec![], Some(Reason::NoTerm), vec![]));
}

#[test]
fn one_boundary_of_two_terms_is_one() {
    let at = table(
        "    - { id: t0, until: 1970-01-01T00:01:40Z, only: a }\n    - { id: t1, from: 1970-01-01T00:01:40Z, only: a }\n",
    );
    assert_eq!(at(100), (1, vec![0], None, vec![0, 1]), "the same clouds on both sides: nobody notices");
    assert_eq!(at(i64::from(u32::MAX)).0, 1);
}

#[test]
fn a_contract_whose_table_would_not_fit_is_refused_before_it_is_made() {
    let mut config = riparian_config::Config::parse(
        "version: 1
listeners: [{ name: a, bind: 127.0.0.1:0 }]
clouds: { c: { endpoints: [{ name: e, dialect: openai, url: \"http://127.0.0.1:1\", credential: none }] } }
contract:
  enforce: r
  readings: { r: { stateful_from: never } }
  terms: [{ id: t, until: 2026-01-01, when: { model: m }, only: [c] }]
",
        "test",
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    let small = Table::entries(&config);
    assert!(small < ENTRIES_MAX);
    let term = config.contract.terms[0].clone();
    for day in 0..4000i64 {
        let mut term = term.clone();
        term.until = Some(Timestamp::from_second(day * 86_400).expect("in range"));
        term.when.models = vec![Pattern::Exact(format!("model-{day}"))];
        config.contract.terms.push(term);
    }
    assert!(Table::entries(&config) > ENTRIES_MAX);
    let refused = crate::policy::Policy::compile(config, crate::identify::Keys::new([0; 32]));
    assert!(refused.is_err_and(|what| what.contains("entries")));
}
