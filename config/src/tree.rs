//! YAML text to a small tree that knows the place of every key and value.
//!
//! The subset is what a reader of the file can see at a glance: maps, lists and scalars of YAML 1.2's core schema. Anchors,
//! aliases, merge keys, tags and second documents are refused, because with them a line no longer says what it means.
//! Size, depth and the number of nodes are bounded.

use crate::fault::{Found, Place, Stretch, lines};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Bytes of a file. A contract of a thousand terms is a fifth of it.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// Levels of lists and maps; the deepest section has seven.
const DEPTH_MAX: usize = 32;
/// Keys, scalars, lists and maps together.
const NODES_MAX: usize = 100_000;

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) stretch: Stretch,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// `plain` when it stands without quotes: only then is it a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Already reported; nothing more is said of it.
    Broken,
}

/// A key and its value. Keys are unique in their map.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Place,
    pub(crate) node: Node,
}

/// What a plain scalar is in YAML 1.2's core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    Null,
    Bool(bool),
    Int,
    Float,
    Text,
}

impl Node {
    /// What it is, in words.
    pub(crate) fn words(&self) -> &'static str {
        match &self.value {
            Value::Scalar { text, plain: true } => match core(text) {
                Core::Null => "nothing",
                Core::Bool(_) => "a boolean",
                Core::Int | Core::Float => "a number",
                Core::Text => "text",
            },
            Value::Scalar { plain: false, .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Broken => "unreadable",
        }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if core(text) == Core::Null)
    }
}

/// What `text` is when it stands without quotes.
pub(crate) fn core(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Core::Null,
        "true" | "True" | "TRUE" => return Core::Bool(true),
        "false" | "False" | "FALSE" => return Core::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c: char| c.is_digit(radix));
    let radixed = |prefix, radix| text.strip_prefix(prefix).is_some_and(|rest| digits(rest, radix));
    if digits(unsigned, 10) || radixed("0x", 16) || radixed("0o", 8) {
        return Core::Int;
    }
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if special || (numeric && unsigned.parse::<f64>().is_ok()) { Core::Float } else { Core::Text }
}

/// Reads `text`. Without a tree there is a fault that says why; with one there may be faults too.
pub(crate) fn load(text: &str, found: &mut Found) -> Option<Node> {
    if text.len() > TEXT_BYTES_MAX {
        found.fault(
            Place { line: 1, col: 1, len: 1 },
            format!("the file has {} bytes", text.len()),
            format!("a configuration is at most {TEXT_BYTES_MAX} bytes"),
            "a smaller file",
        );
        return None;
    }
    let mut loader = Loader { open: Vec::new(), root: None, nodes: 0, found };
    let read = loader.events(text);
    let root = loader.root.take();
    read.then_some(())?;
    if root.is_none() {
        let at = Place { line: 1, col: 1, len: 1 };
        found.fault(
            at,
            "the file says nothing",
            "a configuration is a map of sections",
            "`version: 1`, and on",
        );
    }
    root
}

struct Loader<'f> {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    found: &'f mut Found,
}

/// A list or map that has begun.
struct Open {
    node: Node,
    /// The key that waits for its value: its text, or `None` when it was refused. Maps only.
    key: Option<(Option<String>, Place)>,
    /// Its keys so far, and their lines.
    seen: HashMap<String, usize>,
}

impl Loader<'_> {
    /// Whether the whole text was read.
    fn events(&mut self, text: &str) -> bool {
        let chars = text.chars().collect::<Vec<_>>();
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = match next {
                Ok(event) => event,
                Err(error) => {
                    self.syntax(text, *error.marker(), error.info());
                    return false;
                }
            };
            let (at, stretch) = (place(span, &chars), stretch(span));
            let node = |value| Node { at, stretch, value };
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.second_document(at);
                        return false;
                    }
                }
                Event::Alias(_) => {
                    self.reference(at, "an alias (`*name`)");
                    self.put(node(Value::Broken));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.adorned(at, anchor, tag.is_some());
                    let plain = style == ScalarStyle::Plain && tag.is_none();
                    self.put(node(Value::Scalar { text: text.into_owned(), plain }));
                }
                Event::SequenceStart(anchor, tag) => {
                    self.adorned(at, anchor, tag.is_some());
                    self.open.push(Open {
                        node: node(Value::List(Vec::new())),
                        key: None,
                        seen: HashMap::new(),
                    });
                }
                Event::MappingStart(anchor, tag) => {
                    self.adorned(at, anchor, tag.is_some());
                    self.open.push(Open {
                        node: node(Value::Map(Vec::new())),
                        key: None,
                        seen: HashMap::new(),
                    });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let mut closed = self.open.pop().expect("the parser ends only what it began").node;
                    closed.stretch.to = stretch.to;
                    self.put(closed);
                }
            }
            self.nodes += 1;
            if self.open.len() > DEPTH_MAX || self.nodes > NODES_MAX {
                self.bounds(at);
                return false;
            }
        }
        true
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        let entries = match &mut open.node.value {
            Value::List(items) => return items.push(node),
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::Broken => unreachable!("only lists and maps are opened"),
        };
        let Some((key, key_at)) = open.key.take() else {
            let at = node.at;
            open.key = Some((Self::key(node, self.found), at));
            return;
        };
        let Some(key) = key else { return };
        if let Some(line) = open.seen.insert(key.clone(), key_at.line) {
            self.found.fault(
                key_at,
                format!("`{key}` stands here again"),
                format!("it is already given on line {line}, and parsers disagree on which one counts"),
                "one of the two",
            );
            return;
        }
        entries.push(Entry { key, key_at, node });
    }

    /// A key's text, unless it is none that can be read.
    fn key(node: Node, found: &mut Found) -> Option<String> {
        let (what, instead) = match node.value {
            Value::Broken => return None,
            Value::Scalar { ref text, plain: true } if text == "<<" => {
                ("a merge key (`<<`)", "the keys themselves")
            }
            Value::Scalar { ref text, plain: true } if core(text) == Core::Null => {
                ("an empty key", "the key's name")
            }
            Value::Scalar { text, .. } => return Some(text),
            Value::List(_) | Value::Map(_) => ("a list or map as a key", "a plain name, then `:`"),
        };
        found.fault(node.at, format!("{what} is not read"), "keys here are plain names", instead);
        None
    }

    fn adorned(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.reference(at, "an anchor (`&name`)");
        }
        if tagged {
            let why = "what a value is follows from its key";
            self.found.fault(
                at,
                "a tag (`!name`) is not read",
                why,
                "the value alone, in quotes if it is text",
            );
        }
    }

    fn reference(&mut self, at: Place, what: &str) {
        let why = "a line here says all that it means, so that it can be reviewed alone";
        self.found.fault(at, format!("{what} is not read"), why, "the value itself, where it is needed");
    }

    fn second_document(&mut self, at: Place) {
        let why = "one file is one configuration; a second document would be taken for a part of it";
        self.found.fault(at, "a second document begins here", why, "one document, without this `---`");
    }

    fn bounds(&mut self, at: Place) {
        let why = format!("at most {DEPTH_MAX} levels and {NODES_MAX} values are read");
        self.found.fault(at, "the file is too deep or too long", why, "fewer or flatter sections");
    }

    fn syntax(&mut self, text: &str, mark: Marker, info: &str) {
        let at = Place { line: mark.line(), col: mark.col() + 1, len: 1 };
        self.hide_likely_secrets(text, at.line);
        let why = "the text is not YAML from here on, so what follows was not checked";
        let instead = "YAML: `key: value`, spaces to indent, quotes around text with `: ` or ` #`";
        self.found.fault(at, format!("YAML: {info}"), why, instead);
    }

    /// There is no tree, so nobody knows which values are secrets: where a line, or the one before it, speaks of one, only
    /// its key shows.
    fn hide_likely_secrets(&mut self, text: &str, line: usize) {
        let source = |line: usize| lines(text).get(line.wrapping_sub(1)).copied().unwrap_or("");
        let (before, shown) = (source(line.wrapping_sub(1)), source(line));
        if speaks_of_secrets(shown) || speaks_of_secrets(before) || shown.contains('@') {
            let key = shown.chars().position(|c| c == ':').map_or(0, |colon| colon + 1);
            self.found.hide(Stretch { from: (line, key + 1), to: (line + 1, 0) });
        }
    }
}

/// Whether a key (or a line) is likely to hold a secret.
pub(crate) fn speaks_of_secrets(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["key", "token", "secret", "password", "bearer", "credential", "auth"]
        .iter()
        .any(|word| text.contains(word))
}

fn place(span: Span, chars: &[char]) -> Place {
    let len = if span.start.line() == span.end.line() {
        // The parser counts the spaces after a quoted scalar as its own.
        let spanned = chars.get(span.start.index()..span.end.index()).unwrap_or(&[]);
        spanned.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1)
    } else {
        // Goes on in the next line: the rendering cuts it at the end of this one.
        usize::MAX
    };
    Place { line: span.start.line(), col: span.start.col() + 1, len }
}

fn stretch(span: Span) -> Stretch {
    Stretch { from: (span.start.line(), span.start.col() + 1), to: (span.end.line(), span.end.col() + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_those_of_yaml_1_2() {
        for text in ["", "~", "null", "Null"] {
            assert_eq!(core(text), Core::Null, "{text:?}");
        }
        for text in ["0", "-12", "+3", "0x1F", "0o17", "007"] {
            assert_eq!(core(text), Core::Int, "{text:?}");
        }
        for text in ["1.5", "-1e3", ".5", "1.", ".inf", "-.Inf", ".nan"] {
            assert_eq!(core(text), Core::Float, "{text:?}");
        }
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "nUll",
            "0b1",
            "1_000",
            "1:30",
            "2026-02-27",
            "1.2.3",
            "0x",
            ".",
            "inf",
            "10s",
            "e5",
        ] {
            assert_eq!(core(text), Core::Text, "{text:?}");
        }
        assert_eq!(core("TRUE"), Core::Bool(true));
    }

    #[test]
    fn places_count_characters_from_one() {
        let root = load("é: { b: 'x y' }\n", &mut Found::default()).expect("it is YAML");
        let Value::Map(entries) = &root.value else { panic!("a map") };
        assert_eq!(entries[0].key_at, Place { line: 1, col: 1, len: 1 });
        let Value::Map(inner) = &entries[0].node.value else { panic!("a map") };
        assert_eq!(inner[0].node.at, Place { line: 1, col: 9, len: 5 });
    }

    #[test]
    fn a_second_key_is_reported_and_the_first_one_stays() {
        let mut found = Found::default();
        let root = load("a: 1\n\"\\x61\": 2\n", &mut found).expect("it is YAML");
        let Value::Map(entries) = &root.value else { panic!("a map") };
        assert_eq!(entries.len(), 1);
        let faults = found.finish::<()>(None, "", "f").expect_err("an escaped spelling is the same key");
        assert_eq!(faults.iter().next().map(|fault| fault.at.line), Some(2));
    }
}
