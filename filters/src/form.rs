//! Stage 3, **scan**, for `multipart/form-data` (RFC 7578 over RFC 2046): where is the part named `model`, and what is in it?
//!
//! A [`FormScanner`] takes the body in any pieces, keeps one part's head and the model's value, and copies nothing else. It
//! refuses what lenient parsers read in other ways: a preamble or epilogue, white space behind a boundary, a boundary behind
//! a bare line feed, folded or doubled head fields, `name*`, escapes in a name.

mod boundary;
mod error;
mod head;
mod machine;

pub use error::FormError;
pub use machine::{Form, FormScanner, TwoFields};

/// Bytes of one part's head.
pub const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Parts in one form. The largest image edits have about twenty.
pub const PARTS_MAX: usize = 256;
