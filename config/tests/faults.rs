//! A bad file and its golden message, side by side. `UPDATE_GOLDEN=1` rewrites the messages; read the diff.

use riparian_config::{Config, Faults};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let mut files = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect::<Vec<_>>();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// The files that these include lie in a folder of their own.
fn parse(text: &str, name: &str) -> Result<Config, Faults> {
    let included = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/included");
    let read =
        |file: &str| fs::read_to_string(included.join(file)).map_err(|_| "there is no such file".to_owned());
    Config::parse_with(text, name, &read)
}

#[test]
fn every_bad_file_is_refused_in_its_golden_words() {
    let files = bad_files();
    assert!(files.len() >= 25, "there are bad files of every kind");
    let mut differing = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Err(faults) = parse(&text, &name) else { panic!("{name} has a fault") };
        let message = faults.to_string();
        let golden = path.with_extension("txt");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &message).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != message {
            differing.push(format!("{name} now says:\n{message}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn faults_are_ordered_by_place_and_each_says_what_why_and_what_instead() {
    for path in bad_files() {
        let text = fs::read_to_string(&path).unwrap();
        let faults = parse(&text, "f").expect_err("it is a bad file");
        assert_eq!(faults.iter().count(), faults.len());
        assert!(faults.iter().is_sorted_by_key(|fault| (fault.at.line, fault.at.col)), "{}", path.display());
        for fault in &faults {
            let whole = !fault.what.is_empty() && !fault.why.is_empty() && !fault.instead.is_empty();
            assert!(whole, "{}: {fault:?}", path.display());
        }
    }
}

/// Whatever is wrong around it, a secret that somebody wrote inline is not printed.
#[test]
fn a_secret_that_was_written_inline_is_never_printed() {
    let canary = "CANARY-5ecr3t";
    for line in [
        format!("credential: {canary}"),
        format!("credential: {{ api_key: {canary} }}"),
        format!("credential: {{ api_key: \"{canary}\", nonsense: 1 }}"),
        format!("credential: {{ apikey: {canary} }}"),
        format!("credential: {{ bearer: {{ env: {canary} }} }}"),
        format!("credential: {{ bearer: {{ value: {canary} }} }}"),
        format!("credential: [{canary}]"),
        format!("credential: {{ bearer: [{canary}] }}"),
        format!("credential: {{ bearer: {{ env: [{canary}] }} }}"),
        format!("credential: {{ {canary}: 1 }}"),
        format!("api_key: {canary}"),
        format!("credential: {{ api_key: {{ token: {{ a: {canary} }} }} }}"),
        format!("credential: {{ api_key: {canary}"),
        format!("credential: |\n          {canary}"),
        format!("credential: {{ sigv4: {canary} }}"),
        format!("credential: {{ sigv4: {{ access_key_id: {canary}, secret_access_key: {canary} }} }}"),
        format!("credential: {{ sigv4: {{ secret_key: {canary} }} }}"),
        format!("credential: {{ sigv4: {{ {canary}: 1 }} }}"),
        format!("credential: {{ sigv4: {{ source: environment, session_token: {{ env: '{canary}' }} }} }}"),
        format!("credentials: [{canary}]"),
        format!("credential: {{ api_key: 'a\n          {canary}', nonsense: 1 }}"),
    ] {
        let text = format!(
            "version: 1\nclouds:\n  azure:\n    endpoints:\n      - name: a\n        {line}\n        url: http://u:{canary}@h/\n"
        );
        let faults = Config::parse(&text, "f.yaml").expect_err("it has faults");
        assert!(!faults.to_string().contains(canary), "{faults}");
    }
    for written in [
        "CANARY",
        "[CANARY]",
        "[{ env: CANARY-1 }]",
        "{ a: CANARY }",
        "[{ a: CANARY }]",
        "[[CANARY]]",
        "[{ CANARY-1: x }]",
    ] {
        let text = format!("version: 1\ntenants:\n  shop: {{ credentials: {written} }}\n");
        let faults = Config::parse(&text, "f.yaml").expect_err("it has faults");
        assert!(!faults.to_string().contains("CANARY"), "{faults}");
    }
}
