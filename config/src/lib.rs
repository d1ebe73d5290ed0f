//! What the operator said, checked.
//!
//! [`Config::parse`] takes the text of a file and returns a [`Config`] that nothing downstream needs to check again,
//! or [`Faults`]: every fault at once, each with its place, what is wrong, why, and what to write instead.
//! No files are read, no clock is asked, no environment is looked at.

mod cloud;
mod contract;
mod decode;
mod fault;
mod grade;
mod limits;
mod listener;
mod name;
mod owner;
mod pattern;
mod read;
mod scalar;
mod secret;
mod sections;
mod session;
mod suggest;
mod surface;
mod surfaces;
mod table;
mod telemetry;
mod tree;
mod url;

pub use cloud::*;
pub use contract::*;
pub use fault::{Fault, Faults, Place};
pub use grade::*;
pub use jiff::Timestamp;
pub use limits::*;
pub use listener::*;
pub use name::*;
pub use pattern::*;
pub use secret::*;
pub use session::*;
pub use surface::*;
pub use telemetry::*;

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one; names and addresses are unique.
    pub listeners: Vec<Listener>,
    /// The operators' listener, if any.
    pub admin: Option<Admin>,
    /// At least one, at most 64; names are unique, and so are those of all endpoints together.
    pub clouds: Vec<Cloud>,
    /// Products that terms may name.
    pub products: Vec<Product>,
    /// Readings and terms.
    pub contract: Contract,
    /// Session identity and pins.
    pub sessions: Sessions,
    /// Limits of the process.
    pub limits: Limits,
    /// Retry and failover.
    pub retries: Retries,
    /// When an endpoint counts as down.
    pub health: Health,
    /// How an endpoint is chosen within the candidate set.
    pub balance: Balance,
    /// Log and headers.
    pub telemetry: Telemetry,
    /// Every surface that is recognised, and the vendors, the operator's included.
    pub surfaces: Surfaces,
}

impl Config {
    /// Reads `text`; `file` is the name that faults give as its place.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse(text: &str, file: &str) -> Result<Self, Faults> {
        let mut found = fault::Found::default();
        let config = tree::load(text, &mut found).and_then(|root| decode::config(&root, &mut found));
        found.finish(config, text, file)
    }
}
