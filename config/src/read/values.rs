//! The values of a section: each is read as its row's kind says, or its default where the key is absent.

use super::{Fields, Spot, value_at, wrong};
use crate::Millionths;
use crate::fault::{Found, Place};
use crate::scalar::{self, Refusal};
use crate::suggest::nearest;
use crate::table::{Kind, Need};
use crate::tree::{Core, Node, Value, core};
use jiff::Timestamp;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A text under a key, before its kind is known: from the file, or the key's default.
struct Raw<'t> {
    text: &'t str,
    plain: bool,
    at: Place,
}

impl<'t> Fields<'t> {
    /// One text, or a list of texts, under `key`.
    pub(crate) fn texts(&self, key: &str, found: &mut Found) -> Vec<Spot<'t>> {
        let kind = match self.kind(key) {
            Kind::Many(kind) | Kind::List(kind) => kind,
            _ => panic!("{key} is a list of texts in its table"),
        };
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let many = matches!(self.kind(key), Kind::Many(_));
        if many && matches!(entry.node.value, Value::Scalar { .. }) {
            return text(&entry.node, value_at(entry), key, kind, found).into_iter().collect();
        }
        let items = self.items(key, found);
        let mut seen = HashSet::new();
        let mut spots = Vec::new();
        for spot in items.iter().filter_map(|item| text(item, item.at, key, kind, found)).collect::<Vec<_>>()
        {
            if seen.insert(spot.text) {
                spots.push(spot);
            } else {
                let why = "a list here is a set, and the second one adds nothing";
                found.fault(
                    spot.at,
                    format!("`{}` stands twice in `{key}`", spot.text),
                    why,
                    "each of them once",
                );
            }
        }
        spots
    }

    /// The text under `key`.
    pub(crate) fn text(&self, key: &str, found: &mut Found) -> Option<Spot<'t>> {
        let entry = self.entry(key)?;
        text(&entry.node, value_at(entry), key, self.kind(key), found)
    }

    /// The word under `key`, one of those in its row; the default when it is absent.
    pub(crate) fn word(&self, key: &str, found: &mut Found) -> Option<&'static str> {
        let (Kind::Word(words) | Kind::WordOr(words, _)) = self.kind(key) else {
            panic!("{key} is one of a few words in its table")
        };
        let raw = self.raw(key, found)?;
        self.one_of(key, words, &raw, found)
    }

    pub(crate) fn flag(&self, key: &str, found: &mut Found) -> Option<bool> {
        let raw = self.raw(key, found)?;
        match core(raw.text) {
            Core::Bool(flag) if raw.plain => Some(flag),
            _ => {
                let instead = match raw.text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "1" | "true" => "`true`",
                    "no" | "off" | "n" | "0" | "false" => "`false`",
                    _ => "`true` or `false`",
                };
                let why = "only `true` and `false`, without quotes, are booleans in YAML 1.2";
                found.fault(raw.at, format!("`{key}` is `{}`", raw.text), why, instead);
                None
            }
        }
    }

    /// A whole number within its row's bounds.
    pub(crate) fn count(&self, key: &str, found: &mut Found) -> Option<u64> {
        let Kind::Count(min, max) = *self.kind(key) else { panic!("{key} is a count in its table") };
        let raw = self.raw(key, found)?;
        let digits = raw.plain && !raw.text.is_empty() && raw.text.bytes().all(|b| b.is_ascii_digit());
        let number = raw.text.parse::<u64>().ok().filter(|n| digits && (min..=max).contains(n));
        if number.is_none() {
            let instead = format!("a whole number from {min} to {max}, such as `{}`", self.row(key).like);
            let why =
                if digits { "it is out of bounds" } else { "it is counted in whole numbers, without quotes" };
            found.fault(raw.at, format!("`{key}` is `{}`", raw.text), why, instead);
        }
        number
    }

    /// The same, where the bounds fit 32 bits.
    pub(crate) fn count32(&self, key: &str, found: &mut Found) -> Option<u32> {
        self.count(key, found).map(|count| u32::try_from(count).expect("the row's upper bound fits"))
    }

    pub(crate) fn span(&self, key: &str, found: &mut Found) -> Option<Duration> {
        let Kind::Span { zero } = *self.kind(key) else { panic!("{key} is a span in its table") };
        self.scalar(key, found, |text| scalar::span(text, zero))
    }

    /// A decimal, exactly.
    pub(crate) fn decimal(&self, key: &str, found: &mut Found) -> Option<Millionths> {
        let Kind::Decimal(max) = *self.kind(key) else { panic!("{key} is a decimal in its table") };
        self.scalar(key, found, |text| scalar::decimal(text, max))
    }

    /// A name, or its default.
    pub(crate) fn word_of_name(&self, key: &str, found: &mut Found) -> Option<String> {
        self.scalar(key, found, scalar::word)
    }

    pub(crate) fn size(&self, key: &str, found: &mut Found) -> Option<u64> {
        let Kind::Size(min) = *self.kind(key) else { panic!("{key} is a size in its table") };
        self.scalar(key, found, |text| scalar::size(text, min))
    }

    pub(crate) fn instant(&self, key: &str, found: &mut Found) -> Option<Timestamp> {
        self.scalar(key, found, scalar::instant)
    }

    pub(crate) fn address(&self, key: &str, found: &mut Found) -> Option<SocketAddr> {
        self.scalar(key, found, scalar::address)
    }

    pub(crate) fn prefix(&self, key: &str, found: &mut Found) -> Option<String> {
        self.scalar(key, found, scalar::prefix)
    }

    pub(crate) fn header(&self, key: &str, found: &mut Found) -> Option<String> {
        self.scalar(key, found, scalar::header)
    }

    pub(crate) fn path(&self, key: &str, found: &mut Found) -> Option<PathBuf> {
        self.text(key, found).map(|spot| PathBuf::from(spot.text))
    }

    fn one_of(
        &self,
        key: &str,
        words: &'static [&'static str],
        raw: &Raw<'_>,
        found: &mut Found,
    ) -> Option<&'static str> {
        let word = words.iter().find(|word| **word == raw.text).copied();
        if word.is_none() {
            let why = format!("`{key}` is {}", self.kind(key).words());
            let instead = nearest(raw.text, words.iter().copied()).map(|word| format!("`{word}`"));
            let instead = instead.unwrap_or_else(|| self.kind(key).words());
            found.fault(raw.at, format!("`{key}` cannot be `{}`", raw.text), why, instead);
        }
        word
    }

    fn scalar<T>(
        &self,
        key: &str,
        found: &mut Found,
        read: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let raw = self.raw(key, found)?;
        match read(raw.text) {
            Ok(value) => Some(value),
            Err(Refusal { why, instead }) => {
                found.fault(raw.at, format!("`{key}` is `{}`", raw.text), why, instead);
                None
            }
        }
    }

    /// The scalar of `key`, or its default.
    fn raw(&self, key: &str, found: &mut Found) -> Option<Raw<'t>> {
        let Some(entry) = self.entry(key) else {
            let Need::Default(text) = self.row(key).need else { return None };
            return Some(Raw { text, plain: true, at: self.at });
        };
        match &entry.node.value {
            Value::Scalar { text, plain } if !entry.node.is_null() => {
                Some(Raw { text, plain: *plain, at: value_at(entry) })
            }
            _ => {
                self.wrong_kind(key, found);
                None
            }
        }
    }
}

/// A scalar with something in it that is text to YAML too.
pub(crate) fn text<'t>(
    node: &'t Node,
    at: Place,
    key: &str,
    kind: &Kind,
    found: &mut Found,
) -> Option<Spot<'t>> {
    match &node.value {
        Value::Scalar { text, plain } if !plain || core(text) == Core::Text => {
            if text.is_empty() {
                found.fault(
                    at,
                    format!("`{key}` is empty"),
                    "it is needed as text",
                    format!("{}, or leave the key out", kind.words()),
                );
                return None;
            }
            Some(Spot { text, at })
        }
        Value::Scalar { text, plain: true } if !node.is_null() => {
            let why = format!("without quotes it is {} to YAML, and text is due", node.words());
            found.fault(at, format!("`{key}` is `{text}`"), why, format!("`\"{text}\"`, in quotes"));
            None
        }
        _ => {
            wrong(node, at, &format!("`{key}`"), kind, "", found);
            None
        }
    }
}
