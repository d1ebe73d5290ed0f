//! One request's view of its cloud, which the operations work with.

use std::time::{SystemTime, UNIX_EPOCH};

use super::answer::Words;
use super::ask::Ask;
use super::complaint::Complaint;
use super::script::Script;
use super::serve::Site;

/// What an operation is given.
pub(crate) struct Call<'a> {
    pub(crate) site: &'a Site,
    pub(crate) ask: &'a Ask<'a>,
    /// The model that was found to exist here; empty for operations without one.
    pub(crate) model: &'a str,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) script: Script,
    pub(crate) body_bytes: u64,
    /// It came on a socket, which knows responses that nobody else does.
    pub(crate) on_socket: bool,
}

impl Call<'_> {
    pub(crate) fn required_model(&self) -> Result<&str, Complaint> {
        if self.model.is_empty() {
            return Err(Complaint::bad_body("you must provide a model parameter", Some("model")));
        }
        Ok(self.model)
    }

    /// The words of an answer that is the `turn`-th of its chain.
    pub(crate) fn words(&self, turn: u64) -> Words<'_> {
        Words { name: &self.site.spec.name, turn, nonce: self.nonce, script: self.script }
    }

    /// A plausible count: four bytes a token.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        self.body_bytes / 4 + 1
    }
}

/// Seconds since 1970, as the dialect dates its objects.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
