//! Callers that have a name, and what they are known by.
//!
//! Credentials are kept as keyed digests and found by them: a snapshot holds no caller's secret, and a lookup takes as long for a
//! credential that is nearly right as for any other.

use super::digest::Domain;
use super::{Keys, Tenant};
use riparian_config::{Tenants, UnknownCaller};
use std::collections::HashMap;

/// A named caller's place in the configuration.
pub type CallerNumber = usize;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// A digest of the caller's name; of the certificate's subject or of the credential where it has none.
    pub tenant: Tenant,
    /// Which of the named callers.
    pub caller: Option<CallerNumber>,
}

/// The callers that a configuration names.
#[derive(Debug)]
pub struct Callers {
    /// By their numbers.
    tenants: Vec<Tenant>,
    credentials: HashMap<[u8; 16], CallerNumber>,
    subjects: HashMap<Box<str>, CallerNumber>,
    /// Bytes of the longest credential: nothing longer needs to be digested to be known for a stranger's.
    longest: usize,
    refuses: bool,
    /// Tells two of these apart, so that nobody is remembered under a name that the configuration has given away.
    pub(super) mark: [u8; 16],
}

impl Callers {
    pub(crate) fn new(tenants: &Tenants, keys: &Keys) -> Self {
        let mut callers = Self {
            tenants: Vec::new(),
            credentials: HashMap::new(),
            subjects: HashMap::new(),
            longest: 0,
            refuses: tenants.unknown_caller == UnknownCaller::Refuse,
            mark: [0; 16],
        };
        for (number, tenant) in tenants.named.iter().enumerate() {
            callers.tenants.push(Tenant(keys.digest(Domain::Named, &[tenant.name.as_str().as_bytes()])));
            callers.marked(keys, number, tenant.name.as_str().as_bytes());
            for subject in &tenant.subjects {
                callers.marked(keys, number, subject.as_bytes());
                callers.subjects.insert(subject.as_str().into(), number);
            }
        }
        callers
    }

    /// Makes `credential` one of a caller's. The other caller, where it is somebody else's already.
    pub(crate) fn know(
        &mut self,
        keys: &Keys,
        number: CallerNumber,
        credential: &[u8],
    ) -> Result<(), CallerNumber> {
        let digest = keys.digest(Domain::Credential, &[credential]);
        let known = *self.credentials.entry(digest).or_insert(number);
        if known != number {
            return Err(known);
        }
        self.longest = self.longest.max(credential.len());
        self.marked(keys, number, &digest);
        Ok(())
    }

    fn marked(&mut self, keys: &Keys, number: CallerNumber, what: &[u8]) {
        self.mark = keys.digest(Domain::Named, &[&self.mark, &number.to_le_bytes(), what]);
    }

    /// Whether strangers are refused.
    #[must_use]
    pub fn refuse_strangers(&self) -> bool {
        self.refuses
    }

    /// The tenant of the caller with this number.
    #[must_use]
    pub fn of(&self, number: CallerNumber) -> Tenant {
        self.tenant(number)
    }

    /// The tenant of a named caller.
    pub(super) fn tenant(&self, number: CallerNumber) -> Tenant {
        self.tenants[number]
    }

    /// Every named caller's tenant, by number.
    pub(crate) fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    pub(super) fn by_subject(&self, subject: &str) -> Option<CallerNumber> {
        self.subjects.get(subject).copied()
    }

    /// The one caller whose credentials these are. Two callers' are nobody's: which of them would it be?
    pub(super) fn by_credential(&self, keys: &Keys, credential: &[&[u8]]) -> Option<CallerNumber> {
        let mut found = None;
        for value in credential.iter().map(|value| bare(value)) {
            if value.is_empty() || value.len() > self.longest {
                continue;
            }
            let known = self.credentials.get(&keys.digest(Domain::Credential, &[value]));
            let Some(number) = known else { continue };
            if found.is_some_and(|other| other != *number) {
                return None;
            }
            found = Some(*number);
        }
        found
    }
}

/// A credential without its scheme (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1).
fn bare(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::LastTenant;
    use super::*;
    use riparian_config::{NamedTenant, TenantName};
    use std::sync::Arc;

    fn callers(keys: &Keys) -> Callers {
        let named = |name: &str, subject: &str| NamedTenant {
            name: TenantName::new(name).unwrap(),
            credentials: vec![],
            subjects: vec![subject.to_owned()],
            home: None,
            data_region: None,
        };
        let named = vec![named("shop", "CN=shop"), named("bank", "CN=bank")];
        let mut callers = Callers::new(&Tenants { named, unknown_caller: UnknownCaller::Own }, keys);
        for (number, credential) in [(0, "old"), (0, "new"), (1, "safe")] {
            callers.know(keys, number, credential.as_bytes()).unwrap();
        }
        callers
    }

    fn who(keys: &Keys, callers: &Callers, credential: [&str; 4]) -> Who {
        LastTenant::default().who(keys, callers, &credential.map(str::as_bytes))
    }

    #[test]
    fn a_caller_is_known_by_any_of_its_credentials_wherever_it_stands() {
        let keys = Keys::derive(b"secret");
        let callers = callers(&keys);
        let shop = who(&keys, &callers, ["Bearer old", "", "", ""]);
        assert_eq!(shop.caller, Some(0));
        for credential in [
            ["bearer  new", "", "", ""],
            ["", "new", "", ""],
            ["", "", "old", ""],
            ["", "", "", "old"],
            ["new", "", "", ""],
            ["Bearer old", "new", "", ""],
            ["Bearer anything", "new", "", ""],
        ] {
            assert_eq!(who(&keys, &callers, credential), shop, "{credential:?}");
        }
        let bank = who(&keys, &callers, ["Bearer safe", "", "", ""]);
        assert_eq!(bank.caller, Some(1));
        assert_ne!(bank.tenant, shop.tenant);
        let mut strangers = vec![shop.tenant, bank.tenant];
        for credential in [
            ["Bearer olde", "", "", ""],
            ["Bearer ol", "", "", ""],
            ["Bearer ", "", "", ""],
            ["", "", "", ""],
            ["Bearer old", "safe", "", ""],
            ["shop", "", "", ""],
        ] {
            let stranger = who(&keys, &callers, credential);
            assert_eq!(stranger.caller, None, "{credential:?}");
            assert!(!strangers.contains(&stranger.tenant), "{credential:?}");
            strangers.push(stranger.tenant);
        }
    }

    #[test]
    fn a_certificate_names_its_caller_whatever_credential_comes_with_it() {
        let keys = Keys::derive(b"secret");
        let callers = callers(&keys);
        let with = |subject: &str, credential: &[u8]| {
            let mut last = LastTenant::certified(Arc::from(subject));
            last.who(&keys, &callers, &[credential, b"", b"", b""])
        };
        let shop = who(&keys, &callers, ["Bearer old", "", "", ""]);
        assert_eq!(with("CN=shop", b"Bearer safe"), shop);
        let other = with("CN=other", b"Bearer old");
        assert_eq!(other.caller, None, "its certificate says that it is somebody else");
        assert_eq!(with("CN=other", b""), other);
        assert_ne!(with("CN=another", b"").tenant, other.tenant);
        assert_ne!(other.tenant, who(&keys, &callers, ["CN=other", "", "", ""]).tenant);
    }

    #[test]
    fn a_credential_is_one_callers() {
        let keys = Keys::derive(b"secret");
        let mut callers = callers(&keys);
        assert_eq!(callers.know(&keys, 1, b"old"), Err(0));
        assert_eq!(callers.know(&keys, 0, b"old"), Ok(()), "twice is once");
    }

    #[test]
    fn nobody_is_remembered_under_a_name_that_was_given_away() {
        let keys = Keys::derive(b"secret");
        let (before, mut after) = (callers(&keys), callers(&keys));
        let mut last = LastTenant::default();
        let credential: [&[u8]; 4] = [b"Bearer later", b"", b"", b""];
        let stranger = last.who(&keys, &before, &credential);
        after.know(&keys, 1, b"later").unwrap();
        assert_eq!(last.who(&keys, &after, &credential).caller, Some(1));
        assert_eq!(last.who(&keys, &before, &credential), stranger);
    }
}
