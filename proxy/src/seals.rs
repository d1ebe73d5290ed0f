//! The store `sealed` on the way in and on the way out: seals are taken off what a client sends before anything reads it, and put behind
//! every handle that it is sent ([`pins::sealed`](crate::pins::sealed), [`riparian_filters::seal`]).
//!
//! So an endpoint never sees a seal, a client never sees a handle that is born here without one, and every stage between the two knows bare
//! handles only. Sealed is what a surface's births name, wherever it stands in their answer as a whole value, and what the request
//! itself cited by a sealed name. Not sealed is what an answer tells that cannot be read, and a message of an AWS event stream that is
//! too long to be held ([`HELD_BYTES_MAX`](riparian_filters::eventstream::HELD_BYTES_MAX)). A client that cites such a handle cites one that nobody knows.

use crate::house::House;
use crate::observe::{Observer, birth};
use crate::pins::Born;
use crate::pins::sealed::{Opened, Ring};
use crate::read::Reader;
use crate::receive::asked;
use crate::record::Record;
use crate::relay::head::{AnswerHead, RequestHead};
use crate::relay::held::Held;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use riparian_filters::eventstream::Rewriter;
use riparian_filters::identify::{LastTenant, Tenant};
use riparian_filters::learn;
use riparian_filters::seal::{Spread, strip};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Opens the seals of one tenant's request, or of its message on a socket.
pub(crate) struct Opener<'r> {
    ring: &'r Ring,
    tenant: Tenant,
    now: u64,
    pub(crate) opened: Vec<Opened>,
}

impl<'r> Opener<'r> {
    /// None where the store is another one.
    pub(crate) fn new(snapshot: &'r Snapshot, tenant: Tenant) -> Option<Self> {
        let ring = snapshot.seals.as_ref()?;
        Some(Self { ring, tenant, now: now(), opened: Vec::new() })
    }

    fn opens(&mut self, before: &str, letters: &str) -> bool {
        let Some(opened) = self.ring.open(self.tenant, before, letters, self.now) else { return false };
        if !self.opened.contains(&opened) {
            self.opened.push(opened);
        }
        true
    }

    /// A JSON text without its seals; `None` where there is none that opens.
    pub(crate) fn json(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        strip::json(text, |before, letters| self.opens(before, letters))
    }

    /// A body, as `reader` is to read it; `None` where nothing in it opens.
    pub(crate) fn body<'b>(
        &mut self,
        reader: &Reader,
        chunks: impl Iterator<Item = &'b [u8]> + Clone,
    ) -> Option<Vec<u8>> {
        if matches!(reader, Reader::Blind) || !strip::is_due(chunks.clone()) {
            return None;
        }
        let all: Vec<u8> = chunks.flatten().copied().collect();
        match reader {
            Reader::Blind => None,
            Reader::Json(_) => self.json(&all),
            Reader::Form(_) => strip::form(&all, |before, letters| self.opens(before, letters)),
        }
    }

    /// A head without its seals; `None` where nothing in it opens.
    pub(crate) fn head(&mut self, head: &RequestHead) -> Option<RequestHead> {
        let values = head.headers.values().map(HeaderValue::as_bytes);
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        if !strip::is_due(values.flat_map(|value| [value, b" "]).chain([target.as_bytes()])) {
            return None;
        }
        let mut bare = head.clone();
        if let Some(target) = strip::target(target, |before, letters| self.opens(before, letters)) {
            let mut parts = head.uri.clone().into_parts();
            parts.path_and_query = Some(target.parse().ok()?);
            bare.uri = Uri::from_parts(parts).ok()?;
        }
        for value in bare.headers.values_mut() {
            let Ok(text) = value.to_str() else { continue };
            let stripped = strip::value(text, |before, letters| self.opens(before, letters));
            if let Some(stripped) = stripped.and_then(|text| HeaderValue::from_str(text).ok()) {
                *value = stripped;
            }
        }
        Some(bare)
    }
}

/// The head as everything behind is to see it, where that is another than it came as.
pub(crate) fn open_head(
    record: &mut Record,
    last: &mut LastTenant,
    head: &RequestHead,
) -> Option<Box<RequestHead>> {
    record.snapshot.seals.as_ref()?;
    let snapshot = Arc::clone(&record.snapshot);
    let tenant = snapshot.policy.who(last, &asked(head)).tenant;
    let mut opener = Opener::new(&snapshot, tenant)?;
    let bare = opener.head(head);
    record.opened = opener.opened;
    bare.map(Box::new)
}

/// Takes the seals off a body that `reader` is about to read.
pub(crate) fn open_body(record: &mut Record, tenant: Tenant, reader: &Reader, body: &mut Held) {
    let snapshot = Arc::clone(&record.snapshot);
    let Some(mut opener) = Opener::new(&snapshot, tenant) else { return };
    let bare = opener.body(reader, body.all());
    record.opened.append(&mut opener.opened);
    if let Some(bare) = bare {
        *body = Held::default();
        body.push(Bytes::from(bare));
    }
}

/// Learns from the next bytes of an answer, of which the flag says whether they are the last, and says what they become with their seals;
/// `None` where they stay as they came.
pub(crate) async fn pass(
    house: &Arc<House>,
    record: &mut Record,
    observer: Option<&mut Observer>,
    seals: &mut Sealing,
    (bytes, last): (&[u8], bool),
) -> Option<Vec<u8>> {
    match observer {
        Some(observer) if seals.frames.is_some() => {
            let mut sealed = observer.rewrite(house, record, bytes, seals);
            if last {
                sealed.append(&mut seals.rest());
            }
            return Some(sealed);
        }
        Some(observer) => observer.feed(house, record, bytes, Some(seals)).await,
        None => {}
    }
    seals.apply(bytes)
}

/// Puts seals into one answer, or into what one socket's server says.
pub(crate) struct Sealing {
    snapshot: Arc<Snapshot>,
    tenant: Tenant,
    spread: Spread,
    /// In the bytes at hand: closing quotes, and what must stand before each.
    places: SmallVec<[(usize, Arc<str>); 4]>,
    /// Of an AWS event stream.
    pub(crate) frames: Option<Rewriter>,
}

impl Sealing {
    /// None where the store is another one, or nothing was decided.
    pub(crate) fn begin(record: &Record) -> Option<Box<Self>> {
        record.snapshot.seals.as_ref()?;
        let snapshot = Arc::clone(&record.snapshot);
        let tenant = record.decision.as_ref()?.tenant;
        let mut sealing =
            Self { snapshot, tenant, spread: Spread::default(), places: SmallVec::new(), frames: None };
        sealing.cite(&record.opened);
        Some(Box::new(sealing))
    }

    /// The client knows these by their sealed names, which it is to see again.
    pub(crate) fn cite(&mut self, opened: &[Opened]) {
        opened.iter().filter(|one| !one.blob).for_each(|one| self.spread.know(&one.handle, &one.seal));
    }

    /// A handle was born, with its closing quote at this offset of the bytes at hand.
    pub(crate) fn born(&mut self, record: &Record, due: &learn::Born, handle: &str, quote: Option<usize>) {
        let seal = match self.spread.seal(handle) {
            Some(seal) => Arc::clone(seal),
            None => {
                let Some(Born { pin, life, .. }) = birth(record, &due.kind, handle) else { return };
                let ring = self.snapshot.seals.as_ref().expect("there is one where sealing began");
                ring.seal(self.tenant, handle, due.sealed, &pin, life, now())
            }
        };
        if !due.sealed {
            self.spread.know(handle, &seal);
        }
        self.places.extend(quote.map(|quote| (quote, seal)));
    }

    /// Seals what stands in the head, and says whether anything will have to be sealed in the body.
    pub(crate) fn head(&self, head: &mut AnswerHead, births: bool) -> bool {
        let spread = &self.spread;
        head.lines.replace(|value| {
            let seal = spread.of(value.as_bytes())?;
            HeaderValue::from_bytes(&[value.as_bytes(), seal.as_bytes()].concat()).ok()
        });
        let text = |name| head.lines.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let plain = text(&CONTENT_ENCODING).is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        let kind =
            text(&CONTENT_TYPE).unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let is_text = kind.ends_with("json") || kind == "text/event-stream" || kind.contains("json-");
        let due = plain && (self.frames.is_some() || (is_text && (births || !self.spread.is_empty())));
        if due {
            // How long it becomes, its end will tell.
            head.lines.retain(|name| *name != CONTENT_LENGTH);
        }
        due
    }

    /// The bytes at hand with their seals; `None` where they stay as they came.
    pub(crate) fn apply(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let places = &mut self.places;
        self.spread.places(bytes, |quote, seal| places.push((quote, Arc::clone(seal))));
        if places.is_empty() {
            return None;
        }
        places.sort_by_key(|(quote, _)| *quote);
        places.dedup_by_key(|(quote, _)| *quote);
        let more: usize = places.iter().map(|(_, seal)| seal.len()).sum();
        let (mut out, mut from) = (Vec::with_capacity(bytes.len() + more), 0);
        for (quote, seal) in places.drain(..) {
            out.extend_from_slice(&bytes[from..quote]);
            out.extend_from_slice(seal.as_bytes());
            from = quote;
        }
        out.extend_from_slice(&bytes[from..]);
        Some(out)
    }

    /// What is held of an event stream that is over.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.frames.take().map_or_else(Vec::new, |mut frames| frames.rest())
    }

    /// A socket's message is over, or an event's payload.
    pub(crate) fn end_of_message(&mut self) {
        self.spread.again();
    }
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
