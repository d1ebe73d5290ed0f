//! Why a form is refused. Never the bytes themselves.

use std::fmt;

/// Why a `multipart/form-data` body cannot be read. Offsets count bytes from the start of the body. The same body gives the
/// same error however it was cut into chunks. Always the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormError {
    /// The content type is not `multipart/form-data` with one `boundary` of 1 to 70 of RFC 2046's characters.
    ContentType,
    /// It breaks the form that RFC 2046 and 7578 ask for, or one reading of it.
    Malformed {
        /// The byte that cannot be there, or the start of the part's head that is wrong.
        at: u64,
        /// What is wrong, in a few words.
        what: &'static str,
    },
    /// It ends before its last boundary.
    Truncated {
        /// Its length.
        at: u64,
    },
    /// Bytes other than one line end after the last boundary.
    TrailingBytes {
        /// The first such byte.
        at: u64,
    },
    /// A part's head is over [`PART_HEAD_BYTES_MAX`](super::PART_HEAD_BYTES_MAX).
    HeadTooLong {
        /// Where the head begins.
        at: u64,
    },
    /// More than [`PARTS_MAX`](super::PARTS_MAX) parts.
    TooManyParts {
        /// Where the part begins that is one too many.
        at: u64,
    },
    /// A second part is named `model`.
    DuplicateModel {
        /// Where its head begins.
        at: u64,
    },
    /// The model is a file, is encoded, or has control bytes or invalid UTF-8 in it.
    ModelNotText {
        /// Where its value or its head begins.
        at: u64,
    },
    /// The model is over [`MODEL_BYTES_MAX`](crate::scan::MODEL_BYTES_MAX).
    ModelTooLong {
        /// Where its value begins.
        at: u64,
    },
}

impl FormError {
    /// A short word that stays the same from version to version, for metrics and tests.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ContentType => "content_type",
            Self::Malformed { .. } => "malformed",
            Self::Truncated { .. } => "truncated",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::HeadTooLong { .. } => "head_too_long",
            Self::TooManyParts { .. } => "too_many_parts",
            Self::DuplicateModel { .. } => "duplicate_model",
            Self::ModelNotText { .. } => "model_not_text",
            Self::ModelTooLong { .. } => "model_too_long",
        }
    }

    /// The place, in bytes from the start of the body; `None` when the content type is at fault.
    #[must_use]
    pub fn at(&self) -> Option<u64> {
        match *self {
            Self::ContentType => None,
            Self::Malformed { at, .. }
            | Self::Truncated { at }
            | Self::TrailingBytes { at }
            | Self::HeadTooLong { at }
            | Self::TooManyParts { at }
            | Self::DuplicateModel { at }
            | Self::ModelNotText { at }
            | Self::ModelTooLong { at } => Some(at),
        }
    }

    /// Could two parsers that both accept the body read different models in it?
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::DuplicateModel { .. } | Self::TrailingBytes { .. } | Self::ModelNotText { .. })
    }

    /// Is it one of our limits, and not the form, that the body breaks?
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::HeadTooLong { .. } | Self::TooManyParts { .. } | Self::ModelTooLong { .. })
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::ContentType => "the content type is not multipart/form-data with one valid boundary",
            Self::Malformed { what, .. } => what,
            Self::Truncated { .. } => "the form ends before its last boundary",
            Self::TrailingBytes { .. } => "bytes after the form's last boundary",
            Self::HeadTooLong { .. } => "the head of a part is too long",
            Self::TooManyParts { .. } => "too many parts",
            Self::DuplicateModel { .. } => "a second part named model",
            Self::ModelNotText { .. } => "the model is not plain text",
            Self::ModelTooLong { .. } => "the model's name is too long",
        };
        match self.at() {
            Some(at) => write!(f, "{what}, at byte {at}"),
            None => f.write_str(what),
        }
    }
}

impl std::error::Error for FormError {}
