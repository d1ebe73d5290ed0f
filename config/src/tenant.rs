//! Callers that have a name, however they prove themselves.

use crate::name::{CloudName, DataRegion, TenantName};
use crate::secret::SecretRef;

/// Who is known by name, and what becomes of everybody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    /// Names are unique; no reference and no subject stands at two of them.
    pub named: Vec<NamedTenant>,
    /// What to do with a request of nobody here. Default: it is a tenant of its own.
    pub unknown_caller: UnknownCaller,
}

/// A caller with a name. Whatever it proves itself with, it is one tenant: a credential that is replaced takes nothing along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTenant {
    /// Its tenant is a digest of this.
    pub name: TenantName,
    /// Any of these in `Authorization: Bearer`, `api-key`, `x-api-key` or `x-goog-api-key`, or as an AWS access key id. At most
    /// [`CREDENTIALS_MAX`]; none where it is known by its certificates alone.
    pub credentials: Vec<SecretRef>,
    /// The subjects of its client certificates, as RFC 4514 writes them: `CN=shop,O=acme`.
    pub subjects: Vec<String>,
    /// Where its LISTs are answered and its unknown handles are believed to live; `sessions.home` when absent.
    pub home: Option<CloudName>,
    /// Where its data must stay; terms may speak of that.
    pub data_region: Option<DataRegion>,
}

/// Credentials of one tenant: two while one replaces the other, and some for each of its parts.
pub const CREDENTIALS_MAX: usize = 64;

/// What to do with a request whose credential or certificate is no named tenant's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownCaller {
    /// It is a tenant of its own, known by a digest of its credential.
    #[default]
    Own,
    /// Refuse it.
    Refuse,
}
