//! Secrets: references become header values, once, at start and at reload.
//!
//! A value is bound to its endpoint and attached after the last choice of peer; it is never shown, logged or part of `Debug`.

use crate::sigv4::Signer;
use http::{HeaderName, HeaderValue, header};
use riparian_config::{Credential, Endpoint, SecretRef};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What proves to one endpoint who asks.
#[derive(Clone)]
pub enum Proof {
    /// Nothing is sent.
    None,
    /// The client's own credential goes through.
    Passthrough,
    /// This header is sent; its value is marked sensitive.
    Header(HeaderName, HeaderValue),
    /// Each request is signed anew.
    SigV4(Arc<Signer>),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Passthrough => f.write_str("Passthrough"),
            Self::Header(name, _) => write!(f, "Header({name}, ..)"),
            Self::SigV4(signer) => signer.fmt(f),
        }
    }
}

/// A secret that cannot be had.
#[derive(Debug)]
pub struct SecretFault {
    /// Where it was to be found.
    pub reference: SecretRef,
    /// What is wrong; never the value.
    pub what: String,
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reference, self.what)
    }
}

impl std::error::Error for SecretFault {}

/// Reads the credential of an endpoint.
///
/// # Errors
/// When a reference leads nowhere, or its value cannot stand in a header.
pub fn proof(endpoint: &Endpoint, secrets: &Secrets) -> Result<Proof, SecretFault> {
    let (reference, name) = match &endpoint.credential {
        Credential::None => return Ok(Proof::None),
        Credential::Passthrough => return Ok(Proof::Passthrough),
        Credential::SigV4(sigv4) => return Ok(Proof::SigV4(Arc::new(Signer::read(sigv4, secrets)?))),
        Credential::ApiKey(reference) => (reference, endpoint.dialect.key_header()),
        Credential::Bearer(reference) => (reference, None),
    };
    let secret = secrets.read(reference)?;
    let text = if name.is_none() { format!("Bearer {secret}") } else { secret };
    let mut value = HeaderValue::from_str(&text).map_err(|_| SecretFault {
        reference: reference.clone(),
        what: "has a byte that cannot stand in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Proof::Header(name.map_or(header::AUTHORIZATION, HeaderName::from_static), value))
}

/// Where references lead: to the process' environment and to files, with variables that were given in their stead.
#[derive(Clone, Default)]
pub struct Secrets {
    given: HashMap<String, String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

impl Secrets {
    /// The environment and the files of this machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The same, but for these variables.
    #[must_use]
    pub fn with_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { given: variables.into_iter().collect() }
    }

    /// Whether there is anything to be read where a variable may be unset. An empty one is as good as unset, as AWS's tools have it.
    #[must_use]
    pub fn is_set(&self, reference: &SecretRef) -> bool {
        match reference {
            SecretRef::Env(name) => match self.given.get(name) {
                Some(given) => !given.is_empty(),
                None => std::env::var_os(name).is_some_and(|value| !value.is_empty()),
            },
            SecretRef::File(_) => true,
        }
    }

    /// Reads a secret's value.
    ///
    /// # Errors
    /// When the variable is not set, the file cannot be read, or the value is empty.
    pub fn read(&self, reference: &SecretRef) -> Result<String, SecretFault> {
        let fault = |what: String| SecretFault { reference: reference.clone(), what };
        let value = match reference {
            SecretRef::Env(name) => match self.given.get(name) {
                Some(given) => given.clone(),
                None => std::env::var(name).map_err(|error| {
                    fault(match error {
                        std::env::VarError::NotPresent => "is not set".to_owned(),
                        std::env::VarError::NotUnicode(_) => "is not text".to_owned(),
                    })
                })?,
            },
            SecretRef::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| fault(format!("cannot be read: {error}")))?;
                text.strip_suffix('\n')
                    .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text))
                    .to_owned()
            }
        };
        if value.is_empty() { Err(fault("is empty".to_owned())) } else { Ok(value) }
    }
}
