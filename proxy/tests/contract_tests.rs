//! Promise: named cases, in a file that counsel can read and sign, come out as they are written, or it is said how they do not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use support::process::{Folder, example, run};

/// Runs these cases against an example: the exit code, and what was said.
fn test(config: &str, cases: &str, more: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.yaml");
    std::fs::write(&path, cases).unwrap();
    std::fs::write(
        folder.path().join("chat.http"),
        "POST /v1/chat/completions HTTP/1.1\nHost: a\n\n{\"model\":\"gpt-5.5\",\"messages\":[]}",
    )
    .unwrap();
    let config = example(config);
    let mut arguments = vec!["test", "-c", &config, path.to_str().unwrap()];
    arguments.extend_from_slice(more);
    run(&arguments)
}

/// The names of those that do not come out as written, each with what differs.
fn failing(config: &str, cases: &str) -> Vec<(String, Vec<String>)> {
    let (code, out, err) = test(config, cases, &["--format", "json"]);
    assert_eq!(err, "");
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("one object: {out}"));
    let cases = told["files"][0]["cases"].as_array().unwrap();
    let failing: Vec<_> = cases
        .iter()
        .filter(|case| case["ok"] == json!(false))
        .map(|case| {
            let differs = case["differs"].as_array().unwrap().iter();
            let words = differs
                .map(|it| format!("{} {} {}", it["what"], it["expected"], it["found"]).replace('"', ""));
            (case["name"].as_str().unwrap().to_owned(), words.collect())
        })
        .collect();
    assert_eq!(told["failed"], json!(failing.len()));
    assert_eq!(code, i32::from(!failing.is_empty()));
    failing
}

#[test]
fn the_shipped_cases_come_out_as_they_are_written() {
    let (config, cases) = (example("three-clouds.yaml"), example("cases/three-clouds.yaml"));
    let (code, out, err) = run(&["test", "-c", &config, &cases]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("all as they are written") && out.contains("approved by"), "{out}");
}

#[test]
fn what_comes_out_otherwise_is_said_with_the_terms_that_make_it_so() {
    let cases = r#"
cases:
  - name: right
    at: 2026-03-15
    given: { request: chat.http }
    expect: { verdict: free, goes_to: [azure-eastus2, azure-swedencentral], grade: pure, in_band: false }
  - name: everywhere
    at: 2026-03-15
    given: { request: chat.http }
    expect: { goes_to: aws, terms: [any-cloud], refused: no_term }
"#;
    let (code, out, err) = test("three-clouds.yaml", cases, &[]);
    assert_eq!((code, out.as_str()), (1, ""), "a case that contradicts itself is a fault");
    assert!(err.contains("cases.yaml:10:") && err.contains("`refused` stands beside `goes_to`"), "{err}");
    let cases = cases.replace(", refused: no_term", "");
    let told = failing("three-clouds.yaml", &cases);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "everywhere");
    assert_eq!(told[0].1[0], "terms any-cloud azure-stateless");
    assert!(told[0].1[1].starts_with("goes_to aws azure-"), "{told:?}");
    let (code, out, _) = test("three-clouds.yaml", &cases, &[]);
    assert_eq!(code, 1);
    for words in [
        "FAILS  everywhere",
        "ok     right",
        "by azure-stateless: Joint statement",
        "1 as written, 1 otherwise",
    ] {
        assert!(out.contains(words), "{words} in {out}");
    }
}

#[test]
fn a_case_has_pins_outages_readings_callers_and_bodies_of_its_own() {
    let cases = r#"
approved_by: somebody
cases:
  - { name: owner down, at: 2026-03-15, pin: { resp_1: bedrock-use1 }, down: aws,
      given: { path: /v1/responses, body: { model: gpt-5.5, input: a, previous_response_id: resp_1 } },
      expect: { refused: owner_unavailable, grade: continues } }
  - { name: stored, at: 2026-03-15, reading: runtime-is-the-product,
      given: { path: /v1/responses, body: { model: gpt-5.5, input: a, store: true, n: 1, x: null } },
      expect: { class: stateless, grade: creates, goes_to: azure } }
  - { name: no body at all, at: 2026-03-15, given: { method: GET, path: "/v1/responses/resp_0", headers: { x-riparian-clouds: aws } },
      expect: { refused: unknown_handle } }
  - { name: ambiguous, at: 2026-03-15, given: { path: /v1/chat/completions, body: '{"model":"gpt-5.5","model":"m"}' },
      expect: { verdict: refuse, refused: body_ambiguous, terms: [any-cloud] } }
"#;
    let told = failing("three-clouds.yaml", cases);
    assert_eq!(told, [("ambiguous".to_owned(), vec!["terms any-cloud none".to_owned()])]);
}

#[test]
fn a_file_of_cases_has_its_faults_said_at_once_with_their_places() {
    let cases = r#"cases:
  - name: one
    at: 2026-03-15
    given: { path: v1/chat, method: "GE T", headers: { x: "a\nb" } }
    expect: { goes_to: azur, refused: no_trem }
    reading: nobodys
    pin: { resp_1: bedrock }
  - name: one
    given: { request: a.http, path: /v1 }
    at: yesterday
    expect: {}
"#;
    let (code, out, err) = test("three-clouds.yaml", cases, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    for words in [
        ":4:20: `v1/chat` is no path",
        ":4:37: `GE T` is no method",
        "a control character stands in a header",
        ":5:24: there is no cloud or endpoint `azur`",
        "instead: `azure`",
        "there is no code of a refusal `no_trem`",
        "instead: `no_term`",
        ":6:14: there is no reading `nobodys`",
        ":7:20: there is no endpoint `bedrock`",
        ":9:31: `path` stands beside `request`",
        ":10:9: `at` is `yesterday`",
        ":11:5: none of `verdict`",
    ] {
        assert!(err.contains(words), "{words} in\n{err}");
    }
    assert_eq!(test("three-clouds.yaml", "", &[]).0, 1);
    let config = example("three-clouds.yaml");
    assert_eq!(run(&["test", "-c", &config, "/nowhere/at/all"]).0, 2);
    let gone = "cases: [{ name: a, at: 2026-03-15, given: { request: gone.http }, expect: { grade: pure } }]";
    let (code, _, err) = test("three-clouds.yaml", gone, &[]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_named_caller_is_who_it_is_said_to_be() {
    let folder = Folder::new();
    let file = |name, text| folder.file(name, text);
    let config = file(
        "config.yaml",
        r#"
version: 1
listeners: [{ name: apps, bind: "127.0.0.1:0" }]
clouds:
  azure: { endpoints: [{ name: one, dialect: openai, url: "http://127.0.0.1:9001", credential: none }] }
  aws: { endpoints: [{ name: two, dialect: openai, url: "http://127.0.0.1:9002", credential: none }] }
tenants:
  shop: { credentials: [{ env: RIPARIAN_NO_SUCH_VARIABLE }], data_region: eu }
contract:
  enforce: r
  readings: { r: { stateful_from: never } }
  terms:
    - { id: shops, when: { tenant: shop }, only: azure }
    - { id: europe, when: { data_region: eu }, prefer: azure }
    - { id: all, only: [azure, aws] }
"#,
    );
    let cases = file(
        "cases.yaml",
        r#"
cases:
  - { name: the shop, at: 2026-03-15, given: { path: /v1/models, method: GET, caller: shop }, expect: { goes_to: azure, terms: [shops, europe, all] } }
  - { name: anybody, at: 2026-03-15, given: { path: /v1/models, method: GET }, expect: { terms: [all] } }
"#,
    );
    let (code, out, err) = run(&["test", "-c", &config, &cases]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let request = file("request.http", "GET /v1/models HTTP/1.1\nHost: a\nAuthorization: Bearer other\n\n");
    let explain = |more: &[&str]| {
        let mut arguments = vec!["explain", "-c", &config, "--request", &request, "--format", "json"];
        arguments.extend_from_slice(more);
        let (_, out, _) = run(&arguments);
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let shop = explain(&["--caller", "shop"]);
    assert_eq!(
        (&shop["caller"], &shop["data_region"], &shop["cloud"]),
        (&json!("shop"), &json!("eu"), &json!("azure"))
    );
    assert_eq!(explain(&[])["caller"], Value::Null);
}
