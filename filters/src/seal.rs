//! Seals: what stands behind a handle where no store keeps pins, `<handle>.rv1-<letters>`.
//!
//! This is the text's half: where seals stand in what a client sends ([`strip`]), and where they must be put in what it is sent
//! ([`Spread`]). What a seal says, and whether it is to be believed, is for whoever has the keys.
//! A seal stands at the end of a whole value: a JSON string, a segment of a path, a parameter, a header, a form's field. In the
//! middle of somebody's prose it is prose.

mod spread;
pub mod strip;

pub use spread::Spread;

/// Between a handle and the letters of its seal. A dot ends no id that is known, and all of it may stand in a path, a query and a header
/// as it is.
pub const MARK: &str = ".rv1-";

/// Letters of the longest seal: names of 64 bytes each, and 60 bytes of numbers, as base64.
pub const LETTERS_MAX: usize = 384;

/// Seals that are opened of one part of a request; each costs an attempt a key. What is over it stays as it came, and is unknown.
pub const SEALS_MAX: usize = crate::scan::HANDLES_MAX;

/// A letter of the alphabet for URLs (RFC 4648, section 5).
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
