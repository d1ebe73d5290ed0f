//! What the operator said, checked.
//!
//! [`Config::parse`] takes the text of a file and returns a [`Config`] that nothing downstream needs to check again,
//! or [`Faults`]: every fault at once, each with its place, what is wrong, why, and what to write instead.
//! No files are read, no clock is asked, no environment is looked at.
//!
//! ```
//! # use riparian_config::{Class, Config, Grade};
//! let text = r#"
//! version: 1                                  # of this format
//!
//! listeners:                                  # where clients come in
//!   - { name: apps, bind: 127.0.0.1:8080 }
//!
//! clouds:                                     # the parties' platforms; terms use these names
//!   azure:
//!     endpoints:
//!       - name: azure-eastus2                 # pins, metrics and the log use this one
//!         dialect: azure-openai               # paths, and the header of the credential
//!         url: https://contoso.openai.azure.com
//!         credential: { api_key: { env: AZURE_OPENAI_API_KEY } }   # a secret is a reference
//!         models: { gpt-5.5: gpt55-prod }     # what clients say: what this endpoint calls it
//!   aws:
//!     endpoints:
//!       - name: bedrock-use1
//!         dialect: bedrock-openai
//!         url: https://bedrock-runtime.us-east-1.amazonaws.com     # checked against the cloud's label
//!         credential: { bearer: { file: /run/secrets/bedrock } }
//!         models: { gpt-5.5: openai.gpt-5.5 }
//!
//! contract:
//!   enforce: memory-is-state                  # the reading that decides
//!   readings:                                 # from which grade on is a request stateful?
//!     memory-is-state: { stateful_from: continues }
//!   terms:                                    # clauses, with dates; what none speaks of is refused
//!     - id: azure-stateless
//!       cite: "Agreement of 2026-02-27, section 3"
//!       from: 2026-02-27                      # midnight in UTC
//!       until: 2026-04-27T00:00:00Z           # half-open
//!       when: { vendor: openai, class: stateless }
//!       only: [azure]
//!
//! limits: { body: 32MiB, idle: 120s }         # units are written out
//! "#;
//! let config = Config::parse(text, "riparian.yaml")?;
//! assert_eq!(config.clouds[1].endpoints[0].name.as_str(), "bedrock-use1");
//! assert_eq!(config.contract.enforced().class(Grade::Creates), Class::Stateless);
//!
//! // Nothing stops at the first fault.
//! let faults = Config::parse(&text.replace("idle: 120s", "idle: 120, bdy: 1MiB"), "riparian.yaml").unwrap_err();
//! assert_eq!(faults.len(), 2);
//! assert!(faults.to_string().contains("`idle` is `120`"), "{faults}");
//! assert!(faults.to_string().contains("instead: `body`"), "{faults}");
//! # Ok::<(), riparian_config::Faults>(())
//! ```
//!
//! One table (`sections.rs`) says which keys there are, what each is, and what an absent one means. The decoder reads it,
//! and [`schema()`] prints it as JSON Schema. The API operations are data too: [`Surfaces::built_in`].

mod cloud;
mod contract;
mod decode;
mod fault;
mod grade;
mod limits;
mod listener;
mod meter;
mod name;
mod owner;
mod pattern;
mod read;
mod scalar;
mod schema;
mod secret;
mod sections;
mod session;
mod suggest;
mod surface;
mod surfaces;
mod table;
mod telemetry;
mod tenant;
mod tree;
mod url;
mod usage;
mod witness;

pub use cloud::*;
pub use contract::*;
pub use fault::{Fault, Faults, Place};
pub use grade::*;
pub use jiff::Timestamp;
pub use limits::*;
pub use listener::*;
pub use meter::*;
pub use name::*;
pub use pattern::*;
pub use schema::schema;
pub use secret::*;
pub use session::*;
pub use surface::*;
pub use telemetry::*;
pub use tenant::*;
pub use usage::*;
pub use witness::*;

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
    /// Callers that have a name.
    pub tenants: Tenants,
    /// Limits of the process.
    pub limits: Limits,
    /// Retry and failover.
    pub retries: Retries,
    /// When an endpoint counts as down.
    pub health: Health,
    /// How an endpoint is chosen within the candidate set.
    pub balance: Balance,
    /// What tokens cost.
    pub meter: Meter,
    /// Log and headers.
    pub telemetry: Telemetry,
    /// Every surface that is recognised, and the vendors, the operator's included.
    pub surfaces: Surfaces,
}

impl Config {
    /// Reads `text`; `file` is the name that faults give as its place. Files that it names cannot be had.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse(text: &str, file: &str) -> Result<Self, Faults> {
        Self::parse_with(text, file, &|_| Err("no files can be read here".to_owned()))
    }

    /// Reads `text`, and through `read` the files that it names: it is given their names as they are written, and says why one
    /// cannot be had.
    ///
    /// # Errors
    /// Every fault of the text and of those files at once.
    pub fn parse_with(text: &str, file: &str, read: &ReadFile<'_>) -> Result<Self, Faults> {
        let mut found = fault::Found::default();
        let config = tree::load(text, &mut found).and_then(|root| decode::config(&root, read, &mut found));
        found.finish(config, text, file)
    }
}

/// Reads a file that a configuration names, or says why it cannot be had.
pub type ReadFile<'r> = dyn Fn(&str) -> Result<String, String> + 'r;
