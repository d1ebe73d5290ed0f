//! Blobs that only their issuer opens: encrypted reasoning, signatures of thoughts, compactions. A blob names its account by
//! a keyed digest, and nothing is kept of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::core::cores;
use super::record::{Outcome, hex};
use super::serve::Site;

/// What stands before and after the core: letters that are no hex digits.
const BEFORE: &str = "gAAAAAZ";
const AFTER: char = 'Q';

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl Site {
    /// A new blob.
    pub(crate) fn seal(&self) -> String {
        let core = self.minter.mint("");
        let digest = self.digest_of(&core);
        format!("{BEFORE}{core}{AFTER}{digest}==")
    }

    /// Whether it was sealed here; else what it amounts to. There is no telling a blob of another account from a damaged one.
    pub(crate) fn open(&self, blob: &str) -> Result<(), Outcome> {
        let parts = blob.strip_prefix(BEFORE).and_then(|rest| rest.split_once(AFTER));
        match parts {
            Some((core, digest)) if digest.strip_suffix("==") == Some(&self.digest_of(core)) => Ok(()),
            _ if cores(blob.as_bytes()).is_empty() => Err(Outcome::BadBody),
            _ => Err(Outcome::ForeignHandle),
        }
    }

    fn digest_of(&self, core: &str) -> String {
        // Dashes keep these digits from being taken for a core: no group has the length of one.
        let digest = hex(&hmac(self.spec.credential.as_bytes(), core.as_bytes()));
        format!("{}x{}", &digest[..16], &digest[16..32])
    }
}
