//! The scanner, against itself in other pieces, and against the reference.

use super::entropy::Entropy;
use super::reference::{self, Findings};
use super::{json, surfaces};
use riparian_config::Surface;
use riparian_filters::scan::{ScanError, Scanner, Watch};

/// Scans `chunks`, one after the other.
pub fn scan<'c>(watch: &Watch, chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Findings, ScanError> {
    let mut scanner = Scanner::new(watch);
    for chunk in chunks {
        scanner.feed(chunk)?;
    }
    scanner.finish().map(|signals| Findings::of(&signals))
}

/// Scans `body` whole, cut at `cuts` and byte by byte: always the same result, which is the reference's.
pub fn agree(surface: &Surface, body: &[u8], cuts: &[usize]) -> Result<Findings, ScanError> {
    let watch = Watch::compile(surface, &surfaces::kinds()).expect("a small surface");
    let whole = scan(&watch, [body]);
    let ends = cuts.iter().copied().chain([body.len()]);
    let mut from = 0;
    let pieces = ends.map(|end| &body[std::mem::replace(&mut from, end)..end]);
    assert_eq!(scan(&watch, pieces), whole, "cut at {cuts:?}");
    assert_eq!(scan(&watch, body.chunks(1)), whole, "byte by byte");
    assert_eq!(
        whole.as_ref().ok(),
        reference::read(surface, body).as_ref(),
        "scanner and reference, {whole:?}"
    );
    whole
}

/// The fuzz target. The first byte says what the others are: a body as it stands, or choices for one to be made of them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let surface = if kind & 1 == 0 { surfaces::responses() } else { surfaces::chat() };
    if kind & 2 == 0 {
        let cuts = [data.len() / 3, data.len() / 2];
        let _ = agree(&surface, data, &cuts);
        return;
    }
    let mut entropy = Entropy::new(data);
    let mut body = json::body(&mut entropy);
    if kind & 4 == 0 {
        entropy.mutate(&mut body);
    }
    let cuts = entropy.cuts(&body);
    let _ = agree(&surface, &body, &cuts);
}
