//! Where things are in the folder that is published (C2SP tlog-tiles), and the form of a bundle of entries.

use super::entry::ENTRY_MAX;
use super::tree::WIDTH;
use tlog_tiles::{HASH_SIZE, Hash};

/// The newest checkpoint, a signed note.
pub const CHECKPOINT: &str = "checkpoint";

/// The part of a ledger's folder that may be published, and that alone.
pub const PUBLIC: &str = "public";

/// The verifier key, beside the checkpoint. Whoever checks had better have it from elsewhere.
pub const VERIFIER_KEY: &str = "verifier-key";

/// What a tile is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Entries themselves, as a bundle.
    Entries,
    /// Hashes of this level.
    Level(u8),
}

/// The place of the tile with this number that has `width` members; one that is not full has its width in its name.
#[must_use]
pub fn tile(of: Of, number: u64, width: usize) -> String {
    let path = format!("{}/{}", row(of), digits(number));
    if width == WIDTH { path } else { format!("{path}.p/{width}") }
}

/// Where the tiles of one kind are.
#[must_use]
pub fn row(of: Of) -> String {
    match of {
        Of::Entries => "tile/entries".to_owned(),
        Of::Level(level) => format!("tile/{level}"),
    }
}

/// Three digits a part, all parts but the last with an `x` before them.
fn digits(number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Reads a place: what it is of, its number and its width.
#[must_use]
pub fn parse(path: &str) -> Option<(Of, u64, usize)> {
    let (of, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let of = match of {
        "entries" => Of::Entries,
        level => Of::Level(level.parse().ok()?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok()?),
        None => (rest, WIDTH),
    };
    let mut value = 0_u64;
    for part in number.split('/') {
        let part: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
        value = value.checked_mul(1000)?.checked_add(part)?;
    }
    // One place, one name: leading zeros and signs are no other way to write it.
    (tile(of, value, width) == path && width > 0).then_some((of, value, width))
}

/// A tile's bytes.
#[must_use]
pub fn hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes in a tile's bytes, if they are whole.
#[must_use]
pub fn read_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_SIZE>();
    rest.is_empty().then(|| hashes.iter().copied().map(Hash).collect())
}

/// Puts one more entry into a bundle: two bytes of length, then itself.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).expect("entries are kept short where they are made");
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries of a bundle, if it is whole.
#[must_use]
pub fn entries(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(WIDTH);
    let mut rest = bundle;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = after;
    }
    rest.is_empty().then_some(entries)
}

const _: () = assert!(ENTRY_MAX == u16::MAX as usize, "two bytes say how long an entry is");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_c2sp() {
        for (of, number, width, path) in [
            (Of::Level(0), 0, 256, "tile/0/000"),
            (Of::Level(1), 1_234_067, 256, "tile/1/x001/x234/067"),
            (Of::Level(0), 5, 7, "tile/0/005.p/7"),
            (Of::Entries, 1000, 255, "tile/entries/x001/000.p/255"),
        ] {
            assert_eq!(tile(of, number, width), path);
            assert_eq!(parse(path), Some((of, number, width)));
        }
        for bad in [
            "tile/0/00",
            "tile/0/0000",
            "tile/0/+00",
            "tile/00/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/x000/001",
            "tile/0/001/001",
            "checkpoint",
            "tile/0/99999999999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bundle_is_whole_or_none() {
        let mut bundle = Vec::new();
        push(&mut bundle, b"one");
        push(&mut bundle, b"");
        assert_eq!(entries(&bundle), Some(vec![&b"one"[..], b""]));
        for cut in 1..bundle.len() {
            assert_ne!(entries(&bundle[..cut]), Some(vec![&b"one"[..], b""]), "cut at {cut}");
        }
        assert_eq!(entries(&bundle[..4]), None);
    }
}
