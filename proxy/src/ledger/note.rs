//! Checkpoints: the size and the root of the tree (C2SP tlog-checkpoint), signed as notes with Ed25519 (C2SP signed-note).

use ed25519_dalek::SigningKey;
use signed_note::{Note, StandardSigner, StandardVerifier, Verifier, VerifierList};
use std::fmt;
use tlog_tiles::{Checkpoint, Hash};

/// What signs checkpoints, under the name of their origin.
pub struct Key {
    origin: String,
    signer: StandardSigner,
    verifier: VerifierKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.verifier)
    }
}

/// What checks them: `<origin>+<hash>+<key>`, as Go's `note` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey(String);

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VerifierKey {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        StandardVerifier::new(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }

    /// The origin that it is for.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.split('+').next().unwrap_or_default()
    }

    fn verifier(&self) -> StandardVerifier {
        StandardVerifier::new(&self.0).expect("it was read before")
    }
}

/// Whether a text can be a log's origin, which is also its key's name: without spaces, plus signs and control characters.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    signed_note::is_key_name_valid(text) && text.len() <= 255 && !text.chars().any(char::is_control)
}

impl Key {
    /// The key that is made of these 32 bytes.
    ///
    /// # Errors
    /// When the origin cannot be one.
    pub fn new(origin: &str, seed: &[u8; 32]) -> Result<Self, String> {
        if !is_origin(origin) {
            return Err(format!(
                "`{origin}` cannot be an origin: no spaces, no plus signs, at most 255 bytes"
            ));
        }
        let public = SigningKey::from_bytes(seed).verifying_key();
        let verifier = VerifierKey(signed_note::new_ed25519_verifier_key(origin, &public));
        // The crate takes a private key as text only, in the form of Go's `note`: the algorithm, which is 1, before the seed.
        use base64::Engine as _;
        let id = verifier.verifier().key_id();
        let encoded = base64::engine::general_purpose::STANDARD.encode([&[1], &seed[..]].concat());
        let signer = StandardSigner::new(&format!("PRIVATE+KEY+{origin}+{id:08x}+{encoded}"))
            .map_err(|error| error.to_string())?;
        Ok(Self { origin: origin.to_owned(), signer, verifier })
    }

    /// What checks its signatures.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signed checkpoint.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> Vec<u8> {
        let checkpoint = Checkpoint::new(&self.origin, size, root, "").expect("the origin was checked");
        let mut note = Note::new(&checkpoint.to_bytes(), &[]).expect("an origin, a number and a hash");
        note.add_sigs(&[&self.signer]).expect("Ed25519 signs everything");
        note.to_bytes()
    }
}

/// A checkpoint whose signature is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signed {
    /// Entries.
    pub size: u64,
    /// The tree's hash.
    pub root: Hash,
}

/// Checks a signed checkpoint. Further signatures, of witnesses, may stand beside the log's own.
///
/// # Errors
/// When it is none, or is not signed by this key for this origin.
pub fn open(bytes: &[u8], key: &VerifierKey) -> Result<Signed, String> {
    let note = Note::from_bytes(bytes).map_err(|error| error.to_string())?;
    if note.to_bytes() != bytes {
        return Err("written in another way than notes are".to_owned());
    }
    let list = VerifierList::new(vec![Box::new(key.verifier())]);
    note.verify(&list).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|error| error.to_string())?;
    if checkpoint.origin() != key.origin() {
        return Err(format!("of another log: `{}`", checkpoint.origin()));
    }
    Ok(Signed { size: checkpoint.size(), root: *checkpoint.hash() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog_tiles::EMPTY_HASH;

    /// The verifier key and the note of the C2SP specification, which are those of Go's `note`.
    #[test]
    fn the_vector_of_gos_note() {
        let key =
            VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let fault = open(text.as_bytes(), &key).unwrap_err();
        assert_eq!(fault, "malformed checkpoint", "its signature is right, but it is no checkpoint");
        let fault = open(text.replace("answer", "onswer").as_bytes(), &key).unwrap_err();
        assert!(fault.contains("invalid signature"), "{fault}");
    }

    /// RFC 8032, 7.1, test 1: what a seed's public key is.
    #[test]
    fn the_vector_of_rfc_8032() {
        let seed: [u8; 32] = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
        let public = *b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
        use base64::Engine as _;
        let key = Key::new("a", &seed).unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode([&[1], &public[..]].concat());
        assert!(key.verifier().to_string().ends_with(&encoded), "{key:?}");
    }

    #[test]
    fn a_checkpoint_is_accepted_as_it_was_signed_and_in_no_other_form() {
        let key = Key::new("riparian.example/ledger", &[7; 32]).unwrap();
        let bytes = key.sign(0, EMPTY_HASH);
        assert_eq!(open(&bytes, key.verifier()).unwrap(), Signed { size: 0, root: EMPTY_HASH });
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut edited = bytes.clone();
                edited[at] ^= 1 << bit;
                assert!(open(&edited, key.verifier()).is_err(), "byte {at}, bit {bit}");
            }
        }
        let other = Key::new("riparian.example/ledger", &[8; 32]).unwrap();
        assert!(open(&bytes, other.verifier()).is_err(), "another key");
        assert!(Key::new("a b", &[7; 32]).is_err() && Key::new("a+b", &[7; 32]).is_err());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
