//! What the scanner should find, said a second time and simply: the whole body at once, a tree walk, pointers compared step
//! by step. `serde_json` says whether the grammar holds and what a string means.

use riparian_config::{Condition, ModelAt, Pointer, Signal, Step, Surface};
use riparian_filters::scan::{
    CACHE_KEY_BYTES_MAX, DEPTH_MAX, HANDLE_BYTES_MAX, HANDLES_MAX, KEYS_MAX, MODEL_BYTES_MAX, Signals,
};
use serde::de::IgnoredAny;
use std::collections::HashSet;
use std::ops::Range;

/// What a body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The slots that hold.
    pub held: Vec<usize>,
    /// Slots and strings.
    pub captures: Vec<(usize, String)>,
    /// The model.
    pub model: Option<String>,
    /// Its place, quotes included.
    pub model_span: Option<Range<u64>>,
    /// The cache key.
    pub cache_key: Option<String>,
    /// Behind the root's brace.
    pub root_open: u64,
    /// `{}`.
    pub root_is_empty: bool,
}

impl Findings {
    /// The scanner's findings in the same form.
    #[must_use]
    pub fn of(signals: &Signals) -> Self {
        Self {
            held: (0..100).filter(|&slot| signals.held(slot)).collect(),
            captures: signals.captures().map(|(slot, text)| (slot, text.to_owned())).collect(),
            model: signals.model().map(str::to_owned),
            model_span: signals.model_span(),
            cache_key: signals.cache_key().map(str::to_owned),
            root_open: signals.root_open(),
            root_is_empty: signals.root_is_empty(),
        }
    }
}

/// Reads a body, strictly; `None` when it is to be refused.
#[must_use]
pub fn read(surface: &Surface, body: &[u8]) -> Option<Findings> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    if depth(text) > DEPTH_MAX {
        return None;
    }
    let mut walk = Walk { surface, text, at: 0, path: Vec::new(), found: Findings::default() };
    for (slot, signal) in surface.signals.iter().enumerate() {
        if signal.when == Condition::UnlessFalse {
            walk.found.held.push(slot);
        }
    }
    walk.space();
    if walk.peek() != b'{' {
        return None;
    }
    walk.found.root_open = walk.at as u64 + 1;
    walk.value()?;
    let Findings { held, captures, .. } = &mut walk.found;
    held.sort_unstable();
    held.dedup();
    let mut seen = HashSet::new();
    captures.retain(|capture| seen.insert(capture.clone()));
    (captures.len() <= HANDLES_MAX).then_some(walk.found)
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// A walk over text that is known to be JSON. Every step returns `None` to refuse.
struct Walk<'t> {
    surface: &'t Surface,
    text: &'t str,
    at: usize,
    path: Vec<Option<String>>,
    found: Findings,
}

impl<'t> Walk<'t> {
    fn peek(&self) -> u8 {
        self.text.as_bytes()[self.at]
    }

    fn space(&mut self) {
        while self.text.as_bytes().get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<()> {
        match self.peek() {
            b'{' => self.object(),
            b'[' => {
                self.plain("[")?;
                self.at += 1;
                self.space();
                while self.peek() != b']' {
                    self.path.push(None);
                    self.value()?;
                    self.path.pop();
                    self.space();
                    if self.peek() == b',' {
                        self.at += 1;
                        self.space();
                    }
                }
                self.at += 1;
                Some(())
            }
            b'"' => self.string_value(),
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                self.plain(&rest[..end])?;
                self.at += end;
                Some(())
            }
        }
    }

    fn object(&mut self) -> Option<()> {
        self.plain("{")?;
        self.at += 1;
        self.space();
        let is_read = self.is_read();
        self.found.root_is_empty |= self.path.is_empty();
        let (mut keys, mut id) = (Vec::new(), None);
        while self.peek() != b'}' {
            self.found.root_is_empty = false;
            let key = self.string()?.ok()?;
            self.space();
            self.at += 1;
            self.space();
            if is_read && (keys.contains(&key) || keys.len() == KEYS_MAX) {
                return None;
            }
            if key == "id" && self.peek() == b'"' {
                let at = self.at;
                id = self.string()?.ok();
                self.at = at;
            }
            keys.push(key.clone());
            self.path.push(Some(key));
            self.value()?;
            self.path.pop();
            self.space();
            if self.peek() == b',' {
                self.at += 1;
                self.space();
            }
        }
        self.at += 1;
        for (slot, signal) in self.surface.signals.iter().enumerate() {
            if let Condition::OnlyKeys(only) = &signal.when
                && leads_to(pointer(signal), &self.path)
                && keys.iter().all(|key| only.contains(key))
                && let Some(id) = &id
            {
                self.found.held.push(slot);
                if signal.handle.is_some() {
                    self.found.captures.push((slot, within(id, HANDLE_BYTES_MAX)?));
                }
            }
        }
        Some(())
    }

    fn string_value(&mut self) -> Option<()> {
        let start = self.at as u64;
        let text = self.string()?;
        let is_model = self.is_model();
        let is_cache_key =
            self.surface.cache_key.as_ref().is_some_and(|pointer| leads_to(pointer, &self.path));
        let is_only_id = self.path.last().is_some_and(|step| step.as_deref() == Some("id"))
            && self.surface.signals.iter().any(|signal| {
                matches!(signal.when, Condition::OnlyKeys(_))
                    && leads_to(pointer(signal), &self.path[..self.path.len() - 1])
            });
        for (slot, signal) in self.surface.signals.iter().enumerate() {
            if !leads_to(pointer(signal), &self.path) || matches!(signal.when, Condition::OnlyKeys(_)) {
                continue;
            }
            if signal.handle.is_some() {
                text.as_ref().ok()?;
            }
            let holds = match &signal.when {
                Condition::Present | Condition::String => true,
                Condition::OneOf(words) => text.as_ref().is_ok_and(|text| words.contains(text)),
                Condition::Prefix(words) => {
                    text.as_ref().is_ok_and(|text| words.iter().any(|word| text.starts_with(word.as_str())))
                }
                _ => false,
            };
            if holds {
                self.found.held.push(slot);
                match (&signal.handle, &text) {
                    (Some(kind), Ok(text)) if kind.as_str() == "sealed" => {
                        let digest = blake3::hash(text.as_bytes()).to_hex();
                        self.found.captures.push((slot, digest[..32].to_owned()));
                    }
                    (Some(_), Ok(text)) => self.found.captures.push((slot, within(text, HANDLE_BYTES_MAX)?)),
                    _ => {}
                }
            }
        }
        if is_only_id || is_cache_key || is_model {
            let text = text.ok()?;
            if is_model {
                self.found.model = Some(within(&text, MODEL_BYTES_MAX)?);
                self.found.model_span = Some(start..self.at as u64);
            }
            if is_cache_key {
                let end = (0..=CACHE_KEY_BYTES_MAX.min(text.len()))
                    .rev()
                    .find(|&end| text.is_char_boundary(end))?;
                self.found.cache_key = Some(text[..end].to_owned());
            }
        }
        Some(())
    }

    /// Anything but a string.
    fn plain(&mut self, value: &str) -> Option<()> {
        for (slot, signal) in self.surface.signals.iter().enumerate() {
            if !leads_to(pointer(signal), &self.path) {
                continue;
            }
            match signal.when {
                Condition::Present if value != "null" => self.found.held.push(slot),
                Condition::True if value == "true" => self.found.held.push(slot),
                Condition::UnlessFalse if value == "false" => self.found.held.retain(|&held| held != slot),
                _ => {}
            }
        }
        (!self.is_model() || value == "null").then_some(())
    }

    /// Reads a string; the inner error is half a surrogate pair, the only thing that can be wrong with it by now.
    fn string(&mut self) -> Option<Result<String, serde_json::Error>> {
        let start = self.at;
        self.at += 1;
        while self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        Some(serde_json::from_str(&self.text[start..self.at]))
    }

    fn is_model(&self) -> bool {
        matches!(self.surface.model, ModelAt::Required | ModelAt::Optional)
            && matches!(&self.path[..], [Some(key)] if key == "model")
    }

    /// Does a watched pointer lead here, or through here?
    fn is_read(&self) -> bool {
        self.path.is_empty()
            || self.is_model()
            || self.surface.signals.iter().map(pointer).chain(&self.surface.cache_key).any(|pointer| {
                pointer.0.get(..self.path.len()).is_some_and(|steps| leads_to(&Pointer(steps.to_vec()), &self.path))
            })
            || self.surface.signals.iter().any(|signal| {
                matches!(signal.when, Condition::OnlyKeys(_))
                    && matches!(self.path.split_last(), Some((Some(key), path)) if key == "id" && leads_to(pointer(signal), path))
            })
    }
}

fn pointer(signal: &Signal) -> &Pointer {
    signal.at.pointer().expect("these surfaces look into bodies only")
}

fn leads_to(pointer: &Pointer, path: &[Option<String>]) -> bool {
    pointer.0.len() == path.len()
        && pointer.0.iter().zip(path).all(|(step, own)| match (step, own) {
            (Step::Key(key), Some(own)) => key == own,
            (Step::Each, None) => true,
            _ => false,
        })
}

fn within(text: &str, bytes_max: usize) -> Option<String> {
    (text.len() <= bytes_max).then(|| text.to_owned())
}
