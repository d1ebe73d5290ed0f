//! The store `sealed`: no store. A handle goes to its client with a seal behind it, `<handle>.rv1-<letters>`, that says where its state
//! lives; the client brings it back, and whoever has the keys reads it.
//!
//! The letters are base64 (RFC 4648, section 5) of
//!
//! | bytes | what |
//! |---|---|
//! | 1 to 3 | the handle's length, seven bits a byte, the lowest first; 0 for a blob, which is all that stands before the mark |
//! | n | AES-256-GCM-SIV (RFC 8452) of: the end of its life in Unix seconds (4, big-endian), when the terms last allowed it to be there in Unix milliseconds (8), session (16), endpoint and cloud (1 + n each) |
//! | 16 | its tag |
//!
//! Nonce and associated data are a keyed BLAKE3 of tenant and handle, so that a seal is good behind its own handle, from its own tenant and
//! nowhere else. No randomness goes in, and ends are rounded up to a 64th of the life: what one answer tells twice it tells in the
//! same words, for clients compare. What that shows is which seals are equal, and their handles in front of them show that anyway.
//! A seal cannot be taken back: of what was deleted its owner says so.

use super::{Life, Pin};
use crate::credentials::{SecretFault, Secrets};
use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use riparian_config::{CloudName, EndpointName, SecretRef, Timestamp};
use riparian_filters::identify::{SessionId, Tenant};
use riparian_filters::scan;
use riparian_filters::seal::MARK;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The secrets of seals: the first one seals, each of them opens.
#[derive(Clone)]
pub struct Ring {
    keys: Vec<Key>,
    /// The longest that a seal is good.
    ttl: Duration,
}

#[derive(Clone)]
struct Key {
    cipher: Aes256GcmSiv,
    binds: [u8; 32],
}

/// A handle whose seal was good.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The handle; of a blob, its digest.
    pub handle: String,
    /// Whether it is a blob.
    pub blob: bool,
    /// Where it lives.
    pub pin: Pin,
    /// What stood behind it, mark and all.
    pub seal: Arc<str>,
}

impl Ring {
    /// Reads the secrets; `ttl` is `sessions.pins.ttl`.
    ///
    /// # Errors
    /// When one cannot be had, or has less than 32 bytes.
    pub fn read(references: &[SecretRef], ttl: Duration, secrets: &Secrets) -> Result<Self, SecretFault> {
        let key = |reference: &SecretRef| {
            let secret = secrets.read(reference)?;
            if secret.len() < 32 {
                let what = "is shorter than 32 bytes".to_owned();
                return Err(SecretFault { reference: reference.clone(), what });
            }
            Ok(Key::derive(secret.as_bytes()))
        };
        Ok(Self { keys: references.iter().map(key).collect::<Result<_, _>>()?, ttl })
    }

    /// What goes behind `handle`, mark and all; of a blob, `handle` is its digest. `now` is in Unix seconds.
    #[must_use]
    pub fn seal(
        &self,
        tenant: Tenant,
        handle: &str,
        blob: bool,
        pin: &Pin,
        life: Life,
        now: u64,
    ) -> Arc<str> {
        let key = self.keys.first().expect("the configuration has one at least");
        let mut plain = Vec::with_capacity(160);
        plain.extend_from_slice(&u32::try_from(self.ends(life, now)).unwrap_or(u32::MAX).to_be_bytes());
        let since = u64::try_from(pin.since.as_millisecond()).unwrap_or(0);
        plain.extend_from_slice(&since.to_be_bytes());
        plain.extend_from_slice(&pin.session.bytes());
        for name in [pin.endpoint.as_str(), pin.cloud.as_str()] {
            plain.push(u8::try_from(name.len()).expect("names have at most 64 bytes"));
            plain.extend_from_slice(name.as_bytes());
        }
        let mut out = Vec::with_capacity(192);
        let mut length = if blob { 0 } else { handle.len() };
        while length > 0x7F {
            out.push(u8::try_from(length & 0x7F).expect("seven bits") | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).expect("seven bits"));
        let bound = key.bind(tenant, handle, blob);
        let payload = Payload { msg: &plain, aad: &bound };
        let sealed = key.cipher.encrypt(&nonce(&bound), payload).expect("a few bytes are not too many");
        out.extend_from_slice(&sealed);
        let mut text = String::from(MARK);
        URL_SAFE_NO_PAD.encode_string(&out, &mut text);
        text.into()
    }

    /// What `letters` say of the handle that `before` is, or ends with; `None` where they were not sealed for it and this tenant, or
    /// not any more.
    #[must_use]
    pub fn open(&self, tenant: Tenant, before: &str, letters: &str, now: u64) -> Option<Opened> {
        let bytes = URL_SAFE_NO_PAD.decode(letters).ok()?;
        let mut rest = &bytes[..];
        let length = length(&mut rest)?;
        let blob = length == 0;
        let handle = match blob {
            true => scan::digest(before),
            false => before.get(before.len().checked_sub(length)?..)?.to_owned(),
        };
        let plain = self.keys.iter().find_map(|key| {
            let bound = key.bind(tenant, &handle, blob);
            key.cipher.decrypt(&nonce(&bound), Payload { msg: rest, aad: &bound }).ok()
        })?;
        let (ends, pin) = read(&plain)?;
        let seal = format!("{MARK}{letters}").into();
        (now < u64::from(ends)).then_some(Opened { handle, blob, pin, seal })
    }

    /// Use renews nothing here, so a handle that lives for as long as it is used has all of `ttl`; its owner knows when it ended.
    fn ends(&self, life: Life, now: u64) -> u64 {
        let life = life.lives.map_or(self.ttl, |lives| lives.min(self.ttl)).as_millis().div_ceil(1000);
        let life = u64::try_from(life).unwrap_or(u64::MAX / 4).max(1);
        let grain = (life / 64).max(1);
        now.saturating_add(life).div_ceil(grain).saturating_mul(grain)
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Self {
        let key = blake3::derive_key("riparian 2026 seals of handles", secret);
        let binds = blake3::derive_key("riparian 2026 what a seal is bound to", secret);
        Self { cipher: Aes256GcmSiv::new(&key.into()), binds }
    }

    /// What a seal is bound to.
    fn bind(&self, tenant: Tenant, handle: &str, blob: bool) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.binds);
        hasher.update(&[u8::from(blob)]);
        hasher.update(&tenant.bytes());
        hasher.update(handle.as_bytes());
        hasher.finalize().into()
    }
}

fn nonce(bound: &[u8; 32]) -> Nonce {
    let first: [u8; 12] = bound[..12].try_into().expect("12 of 32 bytes");
    first.into()
}

/// A length of at most three bytes, written in no more than it needs: a seal has one spelling.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let (first, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(first & 0x7F) << shift;
        match first {
            0 if shift > 0 => return None,
            0..0x80 => return Some(length),
            _ => shift += 7,
        }
        if shift > 14 {
            return None;
        }
    }
}

fn read(plain: &[u8]) -> Option<(u32, Pin)> {
    let mut rest = plain;
    let ends = u32::from_be_bytes(take(&mut rest)?);
    let since = i64::try_from(u64::from_be_bytes(take(&mut rest)?)).ok()?;
    let since = Timestamp::from_millisecond(since).ok()?;
    let session = SessionId::from_bytes(take(&mut rest)?);
    let endpoint = EndpointName::new(name(&mut rest)?).ok()?;
    let cloud = CloudName::new(name(&mut rest)?).ok()?;
    rest.is_empty().then_some((ends, Pin { endpoint, cloud, session, since }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

fn name<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let [len] = take(rest)?;
    let (name, after) = rest.split_at_checked(usize::from(len))?;
    *rest = after;
    std::str::from_utf8(name).ok()
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} keys)", self.keys.len())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({:?})", self.pin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use riparian_filters::seal::LETTERS_MAX;

    const TENANT: Tenant = Tenant::from_bytes([3; 16]);

    fn ring(secrets: &[&str]) -> Ring {
        let keys = secrets.iter().map(|secret| Key::derive(secret.as_bytes())).collect();
        Ring { keys, ttl: Duration::from_secs(6400) }
    }

    fn pin(endpoint: &str) -> Pin {
        Pin {
            endpoint: EndpointName::new(endpoint).unwrap(),
            cloud: CloudName::new("azure").unwrap(),
            session: SessionId::mint([7; 16]),
            since: Timestamp::from_millisecond(4).unwrap(),
        }
    }

    fn seal(ring: &Ring, handle: &str) -> Arc<str> {
        ring.seal(TENANT, handle, false, &pin("azure-one"), Life::default(), 1010)
    }

    #[test]
    fn a_seal_opens_behind_its_handle_for_its_tenant_with_its_key_until_its_end() {
        let one = ring(&["one"]);
        let seal = seal(&one, "resp_1");
        let letters = seal.strip_prefix(MARK).unwrap();
        let opened = one.open(TENANT, "resp_1", letters, 1010).unwrap();
        assert_eq!((opened.handle.as_str(), &opened.pin, &opened.seal), ("resp_1", &pin("azure-one"), &seal));
        assert!(one.open(TENANT, "https://h/files/resp_1", letters, 1010).is_some(), "what ends with it");
        assert_eq!(one.open(TENANT, "resp_2", letters, 1010), None, "another handle");
        assert_eq!(one.open(TENANT, "1", letters, 1010), None, "too short for it");
        assert_eq!(one.open(TENANT, "resp_é", letters, 1010), None, "half a character");
        assert_eq!(one.open(Tenant::from_bytes([4; 16]), "resp_1", letters, 1010), None, "another tenant");
        assert_eq!(ring(&["two"]).open(TENANT, "resp_1", letters, 1010), None, "another key");
        assert!(ring(&["two", "one"]).open(TENANT, "resp_1", letters, 1010).is_some(), "a key of old");
        assert!(one.open(TENANT, "resp_1", letters, 7499).is_some(), "the last second of its life");
        assert_eq!(one.open(TENANT, "resp_1", letters, 7500), None, "ended, a 64th later at most");
        for at in 0..letters.len() {
            let mut edited = letters.as_bytes().to_vec();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            let edited = String::from_utf8(edited).unwrap();
            assert_eq!(one.open(TENANT, "resp_1", &edited, 1010), None, "letter {at} changed");
            assert_eq!(one.open(TENANT, "resp_1", &letters[..at], 1010), None, "cut at {at}");
        }
    }

    #[test]
    fn a_seal_is_the_same_for_a_while_and_for_every_replica() {
        let (one, other) = (ring(&["one"]), ring(&["one", "two"]));
        assert_eq!(seal(&one, "resp_1"), seal(&other, "resp_1"));
        let again = one.seal(TENANT, "resp_1", false, &pin("azure-one"), Life::default(), 1090);
        assert_eq!(seal(&one, "resp_1"), again, "a while later");
        assert_ne!(seal(&one, "resp_1"), seal(&one, "resp_2"));
    }

    #[test]
    fn blobs_and_long_handles_and_names_fit() {
        let ring = ring(&["one"]);
        let blob = "b".repeat(100_000);
        let seal =
            ring.seal(TENANT, &scan::digest(&blob), true, &pin(&"e".repeat(64)), Life::default(), 1010);
        let letters = seal.strip_prefix(MARK).unwrap();
        assert!(letters.len() <= LETTERS_MAX, "{}", letters.len());
        let opened = ring.open(TENANT, &blob, letters, 1010).unwrap();
        assert_eq!((opened.blob, opened.handle), (true, scan::digest(&blob)));
        assert_eq!(ring.open(TENANT, &blob[1..], letters, 1010), None);
        let handle = "h".repeat(512);
        let seal = ring.seal(TENANT, &handle, false, &pin("e"), Life::default(), 1010);
        assert!(ring.open(TENANT, &handle, seal.strip_prefix(MARK).unwrap(), 1010).is_some());
    }
}
