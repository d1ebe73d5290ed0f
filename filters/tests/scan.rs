//! The scanner on recorded-like requests, on floods, and on what its API promises.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, reason = "the fuzz crate's library; each test uses a part of it")]
mod fuzz;

use fuzz::reference::Findings;
use fuzz::scan::{agree, scan};
use fuzz::surfaces;
use riparian_config::{Pointer, Surface};
use riparian_filters::scan::{Captures, DEPTH_MAX, ScanError, Scanner, Watch};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `tests/corpus/requests/*.json`. `chat_*` are for that surface, all others for responses; `n_*` must be refused.
fn corpus() -> Vec<(PathBuf, Vec<u8>, Surface)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/requests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(files.len() > 100, "the corpus is whole: {}", files.len());
    files
        .into_iter()
        .map(|path| {
            let body = std::fs::read(&path).expect("a readable file");
            let is_chat = stem(&path).starts_with("chat");
            let surface = if is_chat { surfaces::chat() } else { surfaces::responses() };
            (path, body, surface)
        })
        .collect()
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("ASCII names")
}

/// How an outcome is written in `*.expect`.
fn render(surface: &Surface, result: &Result<Findings, ScanError>) -> String {
    let found = match result {
        Err(error) => return format!("refused: {} at {}\n{error}\n", error.word(), error.at()),
        Ok(found) => found,
    };
    let mut text = String::new();
    let mut line = |word: &str, value: String| writeln!(text, "{word}: {value}").expect("a string takes all");
    if let (Some(model), Some(span)) = (&found.model, &found.model_span) {
        line("model", format!("{model:?} at {span:?}"));
    }
    if let Some(key) = &found.cache_key {
        line("cache key", format!("{key:?}"));
    }
    for &slot in &found.held {
        let signal = &surface.signals[slot];
        line("held", format!("{} {:?}", signal.at, signal.when));
    }
    for (slot, value) in &found.captures {
        line("capture", format!("{} = {value:?}", surface.signals[*slot].at));
    }
    let members = if found.root_is_empty { "no members" } else { "members" };
    line("root", format!("opens at {}, {members}", found.root_open));
    text
}

#[test]
fn corpus_comes_out_as_expected() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (path, body, surface) in corpus() {
        let result = agree(&surface, &body, &[]);
        let is_bad = stem(&path).starts_with("n_");
        assert_eq!(result.is_err(), is_bad, "{}: {result:?}", path.display());
        let outcome = render(&surface, &result);
        let golden = path.with_extension("expect");
        if update {
            std::fs::write(&golden, &outcome).expect("a writable corpus");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if outcome != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- came out\n{outcome}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 writes what comes out:\n{}", wrong.join("\n"));
}

#[test]
fn corpus_cut_anywhere_comes_out_the_same() {
    for (path, body, surface) in corpus() {
        let watch = Watch::compile(&surface, &surfaces::kinds()).expect("a small surface");
        let whole = scan(&watch, [&body[..]]);
        // A long one is many times the same token.
        for cut in (0..=body.len()).step_by(1 + body.len() / 1024) {
            let (front, back) = body.split_at(cut);
            assert_eq!(scan(&watch, [front, back]), whole, "{} cut at {cut}", path.display());
            // Every token is begun, gone on with and ended by other chunks.
            let middle = cut.saturating_add(1).min(body.len());
            let pieces = [&body[..cut], &[], &body[cut..middle], &body[middle..]];
            assert_eq!(scan(&watch, pieces), whole, "{} around {cut}", path.display());
        }
    }
}

#[test]
fn every_beginning_of_a_right_body_is_truncated() {
    for (path, body, surface) in corpus().into_iter().filter(|(path, ..)| !stem(path).starts_with("n_")) {
        let watch = Watch::compile(&surface, &surfaces::kinds()).expect("a small surface");
        let end = body.iter().rposition(|&byte| byte == b'}').expect("an object");
        for cut in 0..=end {
            let error = scan(&watch, [&body[..cut]]).expect_err("it is not whole");
            let fits = matches!(
                error,
                ScanError::Truncated { .. } | ScanError::Empty | ScanError::InvalidUtf8 { .. }
            );
            assert!(fits, "{} cut at {cut}: {error}", path.display());
        }
    }
}

/// Scans against the clock. The bound of the issue is 10 ms for a release build; a test build may be ten times slower.
fn refused_fast(body: &[u8]) -> ScanError {
    let watch = Watch::compile(&surfaces::responses(), &surfaces::kinds()).expect("a small surface");
    let begun = Instant::now();
    let error = scan(&watch, [body]).expect_err("a flood");
    assert!(begun.elapsed() < Duration::from_millis(100), "took {:?}", begun.elapsed());
    error
}

#[test]
fn nested_100k_deep_is_refused_fast() {
    let arrays = [br#"{"a":"#.as_slice(), &b"[".repeat(100_000)].concat();
    assert_eq!(refused_fast(&arrays), ScanError::TooDeep { at: 5 + DEPTH_MAX as u64 - 1 });
    let objects = br#"{"input":"#.repeat(100_000);
    assert_eq!(refused_fast(&objects).word(), "too_deep");
}

#[test]
fn fifty_thousand_keys_are_refused_fast() {
    let members: Vec<String> = (0..50_000).map(|key| format!(r#""k{key}":{key}"#)).collect();
    let body = format!("{{{}}}", members.join(","));
    assert_eq!(refused_fast(body.as_bytes()).word(), "too_many_keys");
    let unread = format!(r#"{{"metadata":{body}}}"#);
    let watch = Watch::compile(&surfaces::responses(), &surfaces::kinds()).expect("a small surface");
    assert!(scan(&watch, [unread.as_bytes()]).is_ok(), "where nobody reads, keys are not counted");
}

#[test]
fn keys_up_to_the_limit_are_fine_and_are_counted_by_object() {
    let members = |count: usize| (0..count).map(|key| format!(r#""k{key}":0"#)).collect::<Vec<_>>().join(",");
    let item = format!("{{{}}}", members(256));
    let body = format!(r#"{{"input":[{item},{item}],{}}}"#, members(255));
    assert!(agree(&surfaces::responses(), body.as_bytes(), &[]).is_ok());
}

#[test]
fn an_error_stays() {
    let watch = Watch::compile(&surfaces::chat(), &surfaces::kinds()).expect("a small surface");
    let mut scanner = Scanner::new(&watch);
    let error = scanner.feed(b"[").expect_err("no object");
    assert_eq!(scanner.feed(b"{}"), Err(error));
    assert_eq!(scanner.finish(), Err(error));
}

#[test]
fn an_error_never_shows_the_body() {
    for body in [r#"{"secret":"s3cret" x}"#, r#"{"s3cret":1,"s3cret":2}"#, r#"{"model":["s3cret"]}"#] {
        let watch = Watch::compile(&surfaces::chat(), &surfaces::kinds()).expect("a small surface");
        let error = scan(&watch, [body.as_bytes()]).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("cret"), "{error:?}");
    }
}

#[test]
fn a_spliced_model_leaves_a_body_that_scans() {
    let watch = Watch::compile(&surfaces::chat(), &surfaces::kinds()).expect("a small surface");
    let body = r#"{"a":"é","model" : "gpt\u002d5.5" ,"messages":[]}"#;
    let span = scan(&watch, [body.as_bytes()]).expect("right").model_span.expect("a model");
    let (start, end) =
        (usize::try_from(span.start).expect("small"), usize::try_from(span.end).expect("small"));
    let spliced = format!("{}\"gpt55-prod\"{}", &body[..start], &body[end..]);
    assert_eq!(spliced, r#"{"a":"é","model" : "gpt55-prod" ,"messages":[]}"#);
    assert_eq!(scan(&watch, [spliced.as_bytes()]).expect("right").model.as_deref(), Some("gpt55-prod"));
}

fn text(list: &[Pointer]) -> impl Iterator<Item = (&Pointer, Captures)> {
    list.iter().map(|pointer| (pointer, Captures::Text))
}

#[test]
fn pointers_capture_strings_and_tell_of_false() {
    let list = ["/id", "/conversation/id", "/store", "/output/*/id"]
        .map(|text| Pointer::parse(text).expect("a pointer"));
    let watch = Watch::pointers(text(&list)).expect("few");
    let answer = br#"{"id":"resp_1","model":7,"conversation":null,"store":false,"output":[{"id":"a"},{"id":"b"},{"id":3}]}"#;
    let mut scanner = Scanner::new(std::sync::Arc::new(watch));
    scanner.feed(&answer[..30]).expect("right so far");
    assert_eq!(scanner.signals().captures().collect::<Vec<_>>(), [(0, "resp_1")], "found as soon as it came");
    scanner.feed(&answer[30..]).expect("right");
    let signals = scanner.finish().expect("whole");
    assert_eq!(signals.captures().collect::<Vec<_>>(), [(0, "resp_1"), (3, "a"), (3, "b")]);
    assert!(signals.held(0) && !signals.held(1) && signals.held(2) && signals.held(3) && !signals.held(64));
    assert!(signals.is_false(2) && !signals.is_false(0));
}

#[test]
fn more_pointers_than_slots_are_an_error() {
    let list: Vec<Pointer> =
        (0..65).map(|index| Pointer::parse(&format!("/k{index}")).expect("a pointer")).collect();
    assert!(Watch::pointers(text(&list[..64])).is_ok());
    assert!(Watch::pointers(text(&list)).is_err());
}

#[test]
fn a_handle_that_comes_again_counts_once() {
    let items = r#"{"type":"code_interpreter_call","id":"ci","container_id":"cntr_1"},"#.repeat(1000);
    let body = format!(r#"{{"input":[{items}{{"id":"a"}},{{"id":"a"}}]}}"#);
    let found = agree(&surfaces::responses(), body.as_bytes(), &[]).expect("right");
    assert_eq!(found.captures, [(9, "cntr_1".to_owned()), (7, "a".to_owned())]);
}
