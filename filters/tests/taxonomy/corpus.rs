//! Reads `corpus/taxonomy.txt`.
//!
//! | a line that begins with | is |
//! |---|---|
//! | `## ` | the rows that the cases below are of, and the ambiguities that they show |
//! | a method | a request: method and target |
//! | `name: value` | one of its headers; `zero-retention:` says that no account keeps anything |
//! | `{` or `--` | its body |
//! | `= ` | what comes out of it: surface, grade, `collective`, and handles |
//! | `< ` | a part of an answer: `json`, `sse`, `event`, `socket` or `head`, and the text |
//! | `* ` | what the parts above give birth to |

/// A request, what comes out of it, and answers to it.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) place: String,
    pub(crate) rows: Vec<String>,
    pub(crate) ambiguities: Vec<String>,
    pub(crate) zero_retention: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) expected: String,
    /// The form, its parts, and what is born.
    pub(crate) answers: Vec<(String, Vec<String>, Vec<String>)>,
}

const METHODS: [&str; 5] = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut rows, mut ambiguities) = (Vec::new(), Vec::new());
    let mut parts: Vec<String> = Vec::new();
    let mut form = String::new();
    for (number, line) in include_str!("../corpus/taxonomy.txt").lines().enumerate() {
        if let Some(words) = line.strip_prefix("## ") {
            let is_ambiguity = |word: &&str| word.strip_prefix('A').is_some_and(|n| n.parse::<u8>().is_ok());
            let (named, others): (Vec<&str>, Vec<&str>) = words.split(' ').partition(is_ambiguity);
            ambiguities = named.into_iter().map(str::to_owned).collect();
            rows = others.into_iter().map(str::to_owned).collect();
            continue;
        }
        let in_form =
            cases.last().is_some_and(|case| case.body.starts_with("--") && case.expected.is_empty());
        if (line.is_empty() && !in_form) || line.starts_with("# ") {
            continue;
        }
        if METHODS.iter().any(|method| line.starts_with(method)) {
            let (method, target) = line.split_once(' ').unwrap();
            cases.push(Case {
                place: format!("taxonomy.txt:{}", number + 1),
                rows: rows.clone(),
                ambiguities: ambiguities.clone(),
                method: method.to_owned(),
                target: target.to_owned(),
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("line {}: no request", number + 1));
        if let Some(expected) = line.strip_prefix("= ") {
            expected.clone_into(&mut case.expected);
        } else if let Some(part) = line.strip_prefix("< ") {
            let (kind, text) = part.split_once(' ').unwrap();
            kind.clone_into(&mut form);
            parts.push(text.to_owned());
        } else if let Some(born) = line.strip_prefix('*') {
            let born =
                born.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
            case.answers.push((std::mem::take(&mut form), std::mem::take(&mut parts), born));
        } else if line.starts_with('{') || line.starts_with("--") || !case.body.is_empty() {
            case.body.push_str(line);
            case.body.push('\n');
        } else if line == "zero-retention:" {
            case.zero_retention = true;
        } else {
            let (name, value) =
                line.split_once(": ").unwrap_or_else(|| panic!("line {}: {line}", number + 1));
            case.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    assert!(parts.is_empty(), "the last answer has no `*`");
    cases
}
