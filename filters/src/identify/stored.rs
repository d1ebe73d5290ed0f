//! What stands outside the process: digests as bytes, and a MAC for what is kept under them, so that somebody who can write into
//! a pin store cannot move a pin to another endpoint.

use super::digest::Domain;
use super::{Keys, PinKey, SessionId, Tenant};

macro_rules! bytes {
    ($($name:ident)*) => {$(
        impl $name {
            /// Its bytes, for a store.
            #[must_use]
            pub const fn bytes(self) -> [u8; 16] {
                self.0
            }

            /// The one that these bytes came from.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }
    )*};
}

bytes!(PinKey SessionId Tenant);

/// How many bytes a MAC has.
pub const MAC_BYTES: usize = 16;

impl Keys {
    /// The MAC of `value` under `key`: the same value under another key has another one.
    #[must_use]
    pub fn mac(&self, key: PinKey, value: &[u8]) -> [u8; MAC_BYTES] {
        self.digest(Domain::Stored, &[&key.0, value])
    }

    /// Whether `mac` is the one of `value` under `key`. Constant in time over the MAC.
    #[must_use]
    pub fn is_mac(&self, key: PinKey, value: &[u8], mac: &[u8]) -> bool {
        let expected = self.mac(key, value);
        mac.len() == MAC_BYTES && expected.iter().zip(mac).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
    }

    /// Tells two keys apart and says nothing else about them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        self.digest(Domain::Stored, &[b"fingerprint"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_good_for_its_key_its_value_and_its_root() {
        let keys = Keys::derive(b"secret");
        let (key, other) = (PinKey::from_bytes([1; 16]), PinKey::from_bytes([2; 16]));
        let mac = keys.mac(key, b"value");
        assert!(keys.is_mac(key, b"value", &mac));
        assert!(!keys.is_mac(other, b"value", &mac), "another key");
        assert!(!keys.is_mac(key, b"valuE", &mac), "another value");
        assert!(!Keys::derive(b"other").is_mac(key, b"value", &mac), "another root");
        assert!(!keys.is_mac(key, b"value", &mac[..15]) && !keys.is_mac(key, b"value", b""), "cut short");
        assert_ne!(keys.fingerprint(), Keys::derive(b"other").fingerprint());
    }
}
