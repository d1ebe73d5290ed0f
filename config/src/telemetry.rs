//! What the proxy says of itself.

use std::path::PathBuf;

/// The access log, and the headers on responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// One JSON line a request. Default: standard output.
    pub access_log: AccessLog,
    /// `x-riparian-decision`, `-cloud`, `-endpoint`, `-grade`, `-class`, `-reason` on every response. Default true.
    pub response_headers: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
}
