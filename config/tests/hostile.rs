//! Whatever the text, there is an answer: no panic, and no minutes of work.

use proptest::prelude::*;
use riparian_config::Config;
use std::time::{Duration, Instant};

const TEXTS: [&str; 4] = [
    include_str!("every_key.yaml"),
    include_str!("../examples/three-clouds.yaml"),
    include_str!("../examples/demo.yaml"),
    include_str!("faults/many.yaml"),
];

/// What is put in: YAML's own characters, and words that mean something here.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            ":",
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\t",
            "\r",
            "{",
            "}",
            "[",
            "]",
            ",",
            "#",
            " #",
            "&a ",
            "*a",
            "!t ",
            "!!str ",
            "|\n",
            ">-\n",
            "'",
            "\"",
            "\\",
            "<<: ",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "? ",
            "~",
            "null",
            "true",
            "1",
            "0x1",
            ".inf",
            "é",
            "\u{feff}",
            "\0",
            "\u{1f600}",
            "azure",
            "never",
            "version: 1\n",
            "@",
            "`",
            "99999999999999999999s",
            "a: &x [*x]",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
        any::<char>().prop_map(String::from),
    ]
}

fn cut(text: &str, at: usize) -> usize {
    let at = at % (text.len() + 1);
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

// 256 cases each; `PROPTEST_CASES` takes more.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_gets_an_answer(
        which in 0..TEXTS.len(),
        edits in prop::collection::vec((any::<usize>(), 0_usize..40, piece()), 1..6),
    ) {
        let mut text = TEXTS[which].to_owned();
        for (at, len, piece) in edits {
            let from = cut(&text, at);
            let to = cut(&text, (from + len).min(text.len()));
            text.replace_range(from..to.max(from), &piece);
        }
        if let Err(faults) = Config::parse(&text, "f.yaml") {
            prop_assert!(faults.len() > 0);
            prop_assert!(!faults.to_string().is_empty() && !faults.render(true).is_empty());
        }
    }

    #[test]
    fn pieces_alone_get_an_answer(pieces in prop::collection::vec(piece(), 0..60)) {
        if let Err(faults) = Config::parse(&pieces.concat(), "f.yaml") {
            prop_assert!(!faults.to_string().is_empty());
        }
    }
}

#[test]
fn a_text_that_is_made_to_be_slow_or_deep_is_bounded() {
    let many = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let keys = (0..70_000).map(|n| format!("k{n}: 1\n")).collect::<String>();
    let terms = format!(
        "contract:\n  terms:\n{}",
        (0..20_000).map(|n| format!("  - id: t{n}\n")).collect::<String>()
    );
    let listed = format!("contract:\n  terms:\n  - only: [{}]\n", "a,".repeat(90_000));
    for text in [
        many("["),
        many("{"),
        many("- "),
        many("a: "),
        many("? "),
        many("{a: "),
        many("[a, "),
        many("\n"),
        many(" "),
        many("\t"),
        many("#"),
        many("- a\n"),
        many("'"),
        many("\"\\n"),
        many("&a "),
        many("!a "),
        many("---\n"),
        many("x"),
        format!("{}x", many(" \n")),
        "x".repeat((1 << 20) + 1),
        format!("clouds: {{ {} }}", "a: 1, ".repeat(10_000)),
        keys,
        terms,
        listed,
    ] {
        let began = Instant::now();
        let faults = Config::parse(&text, "f.yaml").expect_err("none of them is a configuration");
        let shown = faults.to_string().len();
        let head = text.chars().take(20).collect::<String>();
        // Generous, because debug builds on a busy machine run it too: what it must not be is minutes.
        assert!(began.elapsed() < Duration::from_secs(20), "{head:?} took {:?}", began.elapsed());
        assert!(shown < 2 << 20, "{head:?} says {shown} bytes");
    }
}
