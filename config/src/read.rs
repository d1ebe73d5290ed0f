//! A section's node, opened against its table: unknown and missing keys are reported here, once, and each value is
//! read as its row's kind says. A value that is missing or wrong is `None`, and never without a fault, unless its key is
//! optional.

mod values;

use crate::fault::{Found, Place, Stretch};
use crate::suggest::nearest;
use crate::table::{Field, Kind, Need, Rule, Section, article, quoted};
use crate::tree::{Entry, Node, Value, speaks_of_secrets};
pub(crate) use values::text;

/// A section that is being read.
pub(crate) struct Fields<'t> {
    section: &'static Section,
    entries: &'t [Entry],
    at: Place,
}

/// A text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: Place,
}

impl<'t> Fields<'t> {
    /// Opens `node` as `section`; `at` is what stands for it: its key, or its first line.
    pub(crate) fn open(
        node: &'t Node,
        at: Place,
        section: &'static Section,
        found: &mut Found,
    ) -> Option<Self> {
        let entries = entries(node, at, &format!("{} {}", article(section.name), section.name), found)?;
        let fields = Self { section, entries, at };
        let meant = entries.iter().filter_map(|entry| fields.unknown(entry, found)).collect::<Vec<_>>();
        fields.missing(&meant, found);
        fields.rule(&meant, found);
        Some(fields)
    }

    /// Where the section itself stands.
    pub(crate) fn here(&self) -> Place {
        self.at
    }

    /// Where `key` stands, or else its section.
    pub(crate) fn at(&self, key: &str) -> Place {
        self.entry(key).map_or(self.at, |entry| entry.key_at)
    }

    /// Where the value of `key` stands, or else its section.
    pub(crate) fn value_at(&self, key: &str) -> Place {
        self.entry(key).map_or(self.at, value_at)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The node of `key`, if it is there.
    pub(crate) fn entry(&self, key: &str) -> Option<&'t Entry> {
        debug_assert!(self.section.field(key).is_some(), "{key} has a row in {}", self.section.name);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The section under `key`, if it is there.
    pub(crate) fn section(&self, key: &str, found: &mut Found) -> Option<Fields<'t>> {
        let Kind::In(section) = self.kind(key) else { panic!("{key} is a section in its table") };
        let entry = self.entry(key)?;
        Fields::open(&entry.node, entry.key_at, section, found)
    }

    /// The section under `key`, or an empty one: for sections whose every key has a default.
    pub(crate) fn section_or_empty(&self, key: &str, found: &mut Found) -> Option<Fields<'t>> {
        let Kind::In(section) = self.kind(key) else { panic!("{key} is a section in its table") };
        if self.has(key) {
            return self.section(key, found);
        }
        Some(Fields { section, entries: &[], at: self.at })
    }

    /// The items of the list under `key`; none when it is absent or no list.
    pub(crate) fn items(&self, key: &str, found: &mut Found) -> &'t [Node] {
        let Some(entry) = self.entry(key) else { return &[] };
        match &entry.node.value {
            Value::List(items) if items.is_empty() => self.empty(entry, "list", found),
            Value::List(items) => return items,
            _ => self.wrong_kind(key, found),
        }
        &[]
    }

    /// The sections of the list under `key`.
    pub(crate) fn sections(&self, key: &str, found: &mut Found) -> Vec<Fields<'t>> {
        let Kind::List(Kind::In(section)) = self.kind(key) else { panic!("{key} is a list of sections") };
        self.items(key, found)
            .iter()
            .filter_map(|item| Fields::open(item, first_line(item), section, found))
            .collect()
    }

    /// The named sections of the map under `key`: the names are checked, with their places.
    pub(crate) fn named(&self, key: &str, found: &mut Found) -> Vec<(Spot<'t>, Option<Fields<'t>>)> {
        let Kind::Map(Kind::In(section)) = self.kind(key) else { panic!("{key} is a map of sections") };
        let entries = self.pairs(key, found);
        let opened = entries.iter().map(|entry| {
            let spot = Spot { text: &entry.key, at: entry.key_at };
            (spot, Fields::open(&entry.node, entry.key_at, section, found))
        });
        opened.collect()
    }

    /// The entries of the map under `key`; none when it is absent or no map.
    pub(crate) fn pairs(&self, key: &str, found: &mut Found) -> &'t [Entry] {
        let Some(entry) = self.entry(key) else { return &[] };
        match &entry.node.value {
            Value::Map(entries) if entries.is_empty() => self.empty(entry, "map", found),
            Value::Map(entries) => return entries,
            _ => self.wrong_kind(key, found),
        }
        &[]
    }

    /// Reports that the value of `key`, if it is there, is not of its row's kind.
    pub(crate) fn wrong_kind(&self, key: &str, found: &mut Found) {
        if let Some(entry) = self.entry(key) {
            self.wrong(&entry.node, value_at(entry), key, self.kind(key), found);
        }
    }

    fn wrong(&self, node: &Node, at: Place, key: &str, kind: &Kind, found: &mut Found) {
        wrong(node, at, &format!("`{key}`"), kind, self.row(key).like, found);
    }

    fn row(&self, key: &str) -> &'static Field {
        self.section.field(key).unwrap_or_else(|| panic!("{key} has a row in {}", self.section.name))
    }

    fn kind(&self, key: &str) -> &'static Kind {
        &self.row(key).kind
    }

    /// Reports an unknown key; the known one that was probably meant, if any.
    fn unknown(&self, entry: &Entry, found: &mut Found) -> Option<&'static str> {
        if self.section.field(&entry.key).is_some() {
            return None;
        }
        let section = self.section.name;
        if speaks_of_secrets(&entry.key) || speaks_of_secrets(section) {
            found.hide(entry.node.stretch);
        }
        let keys = self.section.fields.iter().map(|field| field.key).collect::<Vec<_>>();
        let meant = nearest(&entry.key, keys.iter().copied());
        let instead = meant.map_or("one of these keys, or nothing".to_owned(), |key| format!("`{key}`"));
        // In a credential even the key may be the secret: `{ sk-... }` is a map to YAML.
        let word = |key: &str| key.len() <= 16 && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let what = if meant.is_some() || !speaks_of_secrets(section) || word(&entry.key) {
            format!("`{}` is no key of {} {section}", entry.key, article(section))
        } else {
            let Place { line, col, len } = entry.key_at;
            found.hide(Stretch { from: (line, col), to: (line, col.saturating_add(len)) });
            format!("this is no key of {} {section}", article(section))
        };
        found.fault(entry.key_at, what, format!("its keys are {}", quoted(&keys)), instead);
        meant
    }

    /// Reports keys that must be there; those that `meant` names were misspelt and are reported as such.
    fn missing(&self, meant: &[&str], found: &mut Found) {
        for field in self.section.fields.iter().filter(|field| matches!(field.need, Need::Required)) {
            if self.has(field.key) || meant.contains(&field.key) {
                continue;
            }
            let what = format!("`{}` is missing", field.key);
            let section = self.section.name;
            let why = format!("{} {section} needs it. {}", article(section), field.doc);
            found.fault(self.at, what, why, format!("`{}: {}`", field.key, field.like));
        }
    }

    fn rule(&self, meant: &[&str], found: &mut Found) {
        let all = || self.section.fields.iter().map(|field| field.key).collect::<Vec<_>>();
        let section = self.section.name;
        let (keys, wrong) = match self.section.rule {
            Rule::Free => return,
            Rule::ExactlyOne => (all(), self.entries.len() != 1),
            Rule::AtLeastOne(keys) => (keys.to_vec(), !keys.iter().any(|key| self.has(key))),
        };
        // An unknown key is reported already; what was meant by it may be the one that is due.
        if !wrong || !meant.is_empty() || self.entries.iter().any(|e| self.section.field(&e.key).is_none()) {
            return;
        }
        let exactly = matches!(self.section.rule, Rule::ExactlyOne);
        let many = if exactly { "exactly one" } else { "at least one" };
        let given = if self.entries.is_empty() || !exactly { "none" } else { "more than one" };
        let what = format!("{given} of {} is given", quoted(&keys));
        let like = self.section.field(keys[0]).map_or("", |field| field.like);
        let why = format!("{} {section} has {many} of them", article(section));
        found.fault(self.at, what, why, format!("such as `{}: {like}`", keys[0]));
    }

    fn empty(&self, entry: &Entry, what: &str, found: &mut Found) {
        let key = &entry.key;
        let why = format!("an empty {what} says nothing. {}", self.row(key).doc);
        found.fault(
            entry.key_at,
            format!("`{key}` is empty"),
            why,
            format!("such as `{key}: {}`", self.row(key).like),
        );
    }
}

/// The entries of a map; reports anything else as not being `what`.
pub(crate) fn entries<'t>(node: &'t Node, at: Place, what: &str, found: &mut Found) -> Option<&'t [Entry]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Broken => None,
        _ => {
            let at = if node.is_null() { at } else { node.at };
            let why = "it is a map of keys and values";
            found.fault(
                at,
                format!("{what} is due here, not {}", node.words()),
                why,
                "`key: value` lines, indented",
            );
            None
        }
    }
}

fn wrong(node: &Node, at: Place, what: &str, kind: &Kind, like: &str, found: &mut Found) {
    let what = match &node.value {
        Value::Broken => return,
        _ if node.is_null() => format!("{what} has no value"),
        _ => format!("{what} is {}", node.words()),
    };
    let due = kind.words();
    let instead = if like.is_empty() { due.clone() } else { format!("such as `{like}`") };
    found.fault(at, what, format!("it is {due}"), instead);
}

/// Where a value stands; the key when nothing was written.
pub(crate) fn value_at(entry: &Entry) -> Place {
    if entry.node.is_null() { entry.key_at } else { entry.node.at }
}

/// What stands for a list's item: its first key, or itself.
pub(crate) fn first_line(node: &Node) -> Place {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.at, |entry| entry.key_at),
        _ => node.at,
    }
}
