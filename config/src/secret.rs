//! Secrets are references; their values are read by the program, never by this crate and never inline.

use std::fmt;
use std::path::PathBuf;

/// Where a secret's value is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable, read at start and at reload.
    Env(String),
    /// A file, read at start and at reload; one trailing line end is dropped.
    File(PathBuf),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}
