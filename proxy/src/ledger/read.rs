//! Entries by their index, bundle by bundle.

use super::layout::VERIFIER_KEY;
use super::note::VerifierKey;
use super::tree::WIDTH;
use super::verify::Source;
use std::ops::{ControlFlow, Range};

/// The key that a ledger's own folder gives.
///
/// # Errors
/// When it gives none.
pub fn own_key(source: &Source) -> Result<VerifierKey, String> {
    let bytes = source.read(VERIFIER_KEY).map_err(|error| format!("{VERIFIER_KEY}: {error}"))?;
    let bytes = bytes.ok_or_else(|| format!("there is no ledger here: {VERIFIER_KEY} is missing"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{VERIFIER_KEY} is not text"))?;
    VerifierKey::parse(&text).map_err(|what| format!("{VERIFIER_KEY}: {what}"))
}

/// Goes through the entries of `range` of a ledger that has `size`, until `each` has enough.
///
/// # Errors
/// When a bundle cannot be read.
pub fn entries(
    source: &Source,
    size: u64,
    range: Range<u64>,
    mut each: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<(), String> {
    let end = range.end.min(size);
    let mut index = range.start;
    while index < end {
        let first = index - index % WIDTH as u64;
        let width = usize::try_from((size - first).min(WIDTH as u64)).expect("at most 256");
        for (number, entry) in (first..).zip(source.entries(first / WIDTH as u64, width)?) {
            if (index..end).contains(&number) && each(number, &entry).is_break() {
                return Ok(());
            }
        }
        index = first + WIDTH as u64;
    }
    Ok(())
}
