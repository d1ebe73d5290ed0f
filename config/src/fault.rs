//! Faults: what is wrong in a text, where, why, and what to write instead. All of them, in the text's order.
//!
//! A fault shows the line that it is about. A secret that somebody wrote inline would be shown with it, so places
//! that hold one are hidden in every line that is printed.

use std::fmt::{self, Write as _};

/// Characters of a source line that are shown; around the caret when the line is longer.
const SHOWN_CHARS_MAX: usize = 160;
/// Faults that are kept; a file with more is not read line by line by anybody.
const FAULTS_MAX: usize = 1000;

/// A stretch of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub col: usize,
    /// In characters; at least one caret is shown.
    pub len: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Place,
    /// What is wrong.
    pub what: String,
    /// Why that is refused.
    pub why: String,
    /// What to write instead.
    pub instead: String,
}

/// Every fault of a text, ordered by place; at least one.
#[derive(Clone, Debug)]
pub struct Faults {
    file: String,
    text: String,
    faults: Vec<Fault>,
    hidden: Vec<Stretch>,
    /// Those of the files that it names.
    others: Vec<Faults>,
}

/// From one place to another, the end excluded: (line, column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: (usize, usize),
    pub(crate) to: (usize, usize),
}

/// Where faults are gathered while a text is read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    faults: Vec<Fault>,
    hidden: Vec<Stretch>,
    others: Vec<Faults>,
}

impl Faults {
    /// How many there are; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "faults without a fault do not exist")]
    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Each fault, ordered by place.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }

    /// The file's name, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// For a terminal (`colour`) or as plain text, a paragraph a fault.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let (bold, red, dim, off) =
            if colour { ("\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m") } else { ("", "", "", "") };
        let lines = lines(&self.text);
        let mut out = String::new();
        let mut source: (usize, Vec<char>) = (0, Vec::new());
        for fault in &self.faults {
            let Place { line, col, .. } = fault.at;
            // Many faults may stand on one very long line: it is split once.
            if source.0 != line {
                source = (line, lines.get(line.saturating_sub(1)).unwrap_or(&"").chars().collect());
            }
            let (shown, indent, carets) = self.window(&source.1, fault.at);
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            let carets = "^".repeat(carets);
            let (what, why, instead) = (clean(&fault.what), clean(&fault.why), clean(&fault.instead));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{bold}{}:{line}:{col}: {what}{off}", clean(&self.file));
            let _ = writeln!(out, "  {dim}{number} |{off} {shown}");
            let _ = writeln!(out, "  {dim}{margin} |{off} {indent}{red}{carets}{off}");
            let _ = writeln!(out, "  why: {why}");
            let _ = writeln!(out, "  instead: {instead}");
        }
        self.others.iter().for_each(|other| out.push_str(&other.render(colour)));
        out
    }

    /// What is shown of a line, what indents the carets, and how many there are. What is secret is starred out, character
    /// for character.
    fn window(&self, source: &[char], Place { line, col, len }: Place) -> (String, String, usize) {
        let at = col.saturating_sub(1).min(source.len());
        let start = if source.len() <= SHOWN_CHARS_MAX { 0 } else { at.saturating_sub(SHOWN_CHARS_MAX / 2) };
        let end = source.len().min(start + SHOWN_CHARS_MAX);
        let hidden =
            self.hidden.iter().filter(|s| s.from <= (line, end) && (line, start) < s.to).collect::<Vec<_>>();
        let covered = |at: usize| hidden.iter().any(|s| s.from <= (line, at + 1) && (line, at + 1) < s.to);
        let shown = (start..end).map(|at| if covered(at) { '*' } else { printable(source[at]) }).collect();
        // A tab stays a tab, so that the carets stand where the reader's terminal puts the text.
        let indent = source[start..at].iter().map(|&c| if c == '\t' { '\t' } else { ' ' }).collect();
        (shown, indent, len.clamp(1, (end - at).max(1)))
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

impl Found {
    /// Notes a fault.
    pub(crate) fn fault(
        &mut self,
        at: Place,
        what: impl Into<String>,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { at, what: what.into(), why: why.into(), instead: instead.into() });
        }
    }

    /// Notes the faults of another file, which this one names at `at`.
    pub(crate) fn other(&mut self, at: Place, other: Faults) {
        let many = if other.len() == 1 { "a fault" } else { "faults" };
        let what = format!("`{}` has {many} of its own", other.file());
        self.fault(at, what, "it is read together with this file", "what is said below");
        self.others.push(other);
    }

    /// Keeps a stretch out of everything that is printed.
    pub(crate) fn hide(&mut self, stretch: Stretch) {
        self.hidden.push(stretch);
    }

    /// `value`, when nothing is wrong with it.
    pub(crate) fn finish<T>(mut self, value: Option<T>, text: &str, file: &str) -> Result<T, Faults> {
        if let (Some(value), true) = (value, self.faults.is_empty()) {
            return Ok(value);
        }
        assert!(!self.faults.is_empty(), "a value that is missing leaves a fault");
        self.faults.sort_by_key(|fault| (fault.at.line, fault.at.col));
        self.faults.dedup();
        Err(Faults {
            file: file.to_owned(),
            text: text.to_owned(),
            faults: self.faults,
            hidden: self.hidden,
            others: self.others,
        })
    }
}

/// Lines as YAML counts them: a lone CR ends one too.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    lines.push(rest);
    lines
}

/// A file may not steer the terminal of whoever checks it.
fn printable(c: char) -> char {
    let steers = c.is_control() && c != '\t';
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if steers || reorders { '\u{fffd}' } else { c }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { printable(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, at: Place, hide: Option<Stretch>) -> String {
        let mut found = Found::default();
        found.fault(at, "what", "why", "instead");
        hide.into_iter().for_each(|stretch| found.hide(stretch));
        found.finish::<()>(None, text, "f.yaml").expect_err("there is a fault").to_string()
    }

    #[test]
    fn a_fault_shows_its_line_and_a_caret() {
        let shown = one("a: 1\n\tb: 22\n", Place { line: 2, col: 5, len: 2 }, None);
        assert_eq!(shown, "f.yaml:2:5: what\n  2 | \tb: 22\n    | \t   ^^\n  why: why\n  instead: instead\n");
    }

    #[test]
    fn a_hidden_stretch_is_starred_out_of_every_line() {
        let hide = Stretch { from: (1, 4), to: (1, 10) };
        let shown = one("k: secret, x: 1", Place { line: 1, col: 12, len: 1 }, Some(hide));
        assert!(shown.contains("k: ******, x: 1"), "{shown}");
    }

    #[test]
    fn a_place_outside_the_text_and_a_very_long_line_are_shown_all_the_same() {
        one("", Place { line: 9, col: 9, len: 9 }, None);
        let long = "x".repeat(10_000);
        assert!(one(&long, Place { line: 1, col: 5000, len: 4 }, None).len() < 600, "a window of the line");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert!(!one("a: \x1b[31m", Place { line: 1, col: 1, len: 1 }, None).contains('\x1b'));
    }
}
