//! What is digested, and the tenant that need not be digested again.

use super::callers::{Callers, Who};
use super::{Keys, Tenant};
use std::fmt;
use std::sync::Arc;

/// What a digest is for; no two uses can meet in one value.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Domain {
    Tenant = 1,
    Pin = 2,
    Session = 3,
    Tag = 4,
    Cache = 5,
    Stored = 6,
    /// A caller's name.
    Named = 16,
    /// One credential of a named caller.
    Credential = 17,
    /// The subject of a client certificate.
    Subject = 18,
}

/// Enough for a credential and for nearly every handle: these are put together on the stack and digested in one call.
const SHORT_BYTES: usize = 256;

/// A length before its field, seven bits a byte, the lowest first. Eight bytes for each would push most of what is digested
/// over the 64 that BLAKE3 takes at once, and twice the blocks are twice the time.
#[derive(Clone, Copy)]
struct Length {
    bytes: [u8; 10],
    len: usize,
}

impl Length {
    fn of(field: &[u8]) -> Self {
        let (mut bytes, mut len, mut rest) = ([0; 10], 0, field.len());
        loop {
            let low = u8::try_from(rest & 0x7F).expect("seven bits");
            rest >>= 7;
            bytes[len] = low | u8::from(rest > 0) << 7;
            len += 1;
            if rest == 0 {
                return Self { bytes, len };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The domain and the fields, as they are digested; `None` when they are too long for it.
fn short<'b>(domain: Domain, fields: &[&[u8]], buffer: &'b mut [u8; SHORT_BYTES]) -> Option<&'b [u8]> {
    buffer[0] = domain as u8;
    let mut end = 1;
    for field in fields {
        for part in [Length::of(field).bytes(), field] {
            buffer.get_mut(end..end + part.len())?.copy_from_slice(part);
            end += part.len();
        }
    }
    Some(&buffer[..end])
}

impl Keys {
    pub(super) fn digest(&self, domain: Domain, fields: &[&[u8]]) -> [u8; 16] {
        match short(domain, fields, &mut [0; SHORT_BYTES]) {
            Some(bytes) => first_half(blake3::keyed_hash(&self.0, bytes)),
            None => {
                let mut hasher = blake3::Hasher::new_keyed(&self.0);
                hasher.update(&[domain as u8]);
                for field in fields {
                    hasher.update(Length::of(field).bytes());
                    hasher.update(field);
                }
                first_half(hasher.finalize())
            }
        }
    }
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    *hash.as_bytes().first_chunk().expect("16 of 32 bytes")
}

/// Who is at the other end of a connection: the credential of its last request, and whose it is, since most connections have only one
/// and its digest is most of what a stateless request would pay to be identified; or the subject of its certificate, which names
/// the caller of all its requests. Make one for each connection, with `default` or [`Self::certified`].
///
/// It allocates nothing, and so does not remember a credential over some 250 bytes. It is as secret as the credential.
#[derive(Clone, Default)]
pub struct LastTenant {
    known: Option<Known>,
    subject: Option<Arc<str>>,
}

#[derive(Clone)]
struct Known {
    keys: Keys,
    mark: [u8; 16],
    digested: [u8; SHORT_BYTES],
    len: usize,
    who: Who,
}

impl LastTenant {
    /// For a connection whose client has proved to be `subject`, as RFC 4514 writes it.
    #[must_use]
    pub fn certified(subject: Arc<str>) -> Self {
        Self { known: None, subject: Some(subject) }
    }

    pub(super) fn who(&mut self, keys: &Keys, callers: &Callers, credential: &[&[u8]]) -> Who {
        let Self { known, subject } = self;
        let subject = subject.as_deref();
        let named = [subject.unwrap_or_default().as_bytes()];
        let (domain, fields) = match subject {
            Some(_) => (Domain::Subject, &named[..]),
            None => (Domain::Tenant, credential),
        };
        let mut buffer = [0; SHORT_BYTES];
        let bytes = short(domain, fields, &mut buffer);
        if let (Some(bytes), Some(known)) = (bytes, &*known)
            && known.digested[..known.len] == *bytes
            && known.keys.0 == keys.0
            && known.mark == callers.mark
        {
            return known.who;
        }
        let caller = match subject {
            Some(subject) => callers.by_subject(subject),
            None => callers.by_credential(keys, credential),
        };
        let digest = || match bytes {
            Some(bytes) => first_half(blake3::keyed_hash(&keys.0, bytes)),
            None => keys.digest(domain, fields),
        };
        let who =
            Who { tenant: caller.map_or_else(|| Tenant(digest()), |caller| callers.tenant(caller)), caller };
        if let Some(len) = bytes.map(<[u8]>::len) {
            *known = Some(Known { keys: keys.clone(), mark: callers.mark, digested: buffer, len, who });
        }
        who
    }
}

impl fmt::Debug for LastTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LastTenant").field(&self.known.as_ref().map(|known| known.who.tenant)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_are_one_digest() {
        let keys = Keys::derive(b"secret");
        for bytes in [0, 1, 127, 128, 200, 250, 251, 252, 253, 254, 300, 16_383, 16_384, 40_000] {
            let field = vec![b'x'; bytes];
            let mut whole = vec![Domain::Pin as u8];
            let mut rest = bytes;
            while rest > 127 {
                whole.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            whole.push(u8::try_from(rest).unwrap());
            whole.extend_from_slice(&field);
            let expected = blake3::keyed_hash(&keys.0, &whole);
            assert_eq!(keys.digest(Domain::Pin, &[&field])[..], expected.as_bytes()[..16], "{bytes} bytes");
        }
    }

    #[test]
    fn what_is_remembered_is_what_would_be_digested() {
        let (keys, other) = (Keys::derive(b"secret"), Keys::derive(b"other"));
        let long = vec![b'k'; 1000];
        let mut last = LastTenant::default();
        let callers = Callers::new(&riparian_config::Tenants::default(), &keys);
        let asked: [(&Keys, [&[u8]; 3]); 9] = [
            (&keys, [b"a", b"", b""]),
            (&keys, [b"a", b"", b""]),
            (&other, [b"a", b"", b""]),
            (&keys, [b"", b"a", b""]),
            (&keys, [b"", b"", b"a"]),
            (&keys, [&long, b"", b""]),
            (&keys, [b"", b"", b"a"]),
            (&keys, [b"", b"", b""]),
            (&keys, [b"ab", b"", b""]),
        ];
        for (keys, fields) in asked {
            let digested = Tenant(keys.digest(Domain::Tenant, &fields));
            assert_eq!(last.who(keys, &callers, &fields), Who { tenant: digested, caller: None });
        }
        assert!(!format!("{last:?}").contains("ab"));
    }
}
