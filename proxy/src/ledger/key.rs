//! The key that signs checkpoints: given, or made once and kept beside what it signs.

use super::note::Key;
use crate::credentials::Secrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use riparian_config::SecretRef;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The file of a key that was made.
const FILE: &str = "key";

/// The key of the ledger in `folder`.
///
/// # Errors
/// When the reference leads nowhere or to no seed, or the folder's own key cannot be read, made, or is open to others.
pub(crate) fn key(
    folder: &Path,
    origin: &str,
    given: Option<&SecretRef>,
    secrets: &Secrets,
) -> Result<Key, String> {
    let text = match given {
        Some(reference) => secrets.read(reference).map_err(|fault| format!("ledger.key: {fault}"))?,
        None => own(folder).map_err(|error| format!("{}: {error}", folder.join(FILE).display()))?,
    };
    let what = match given {
        Some(reference) => reference.to_string(),
        None => folder.join(FILE).display().to_string(),
    };
    let seed = seed(text.trim())
        .ok_or_else(|| format!("{what}: not an Ed25519 seed, 32 bytes in base64 or hexadecimal digits"))?;
    Key::new(origin, &seed)
}

fn seed(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 {
        let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes = (0..64).step_by(2).map(digit).collect::<Option<Vec<u8>>>()?;
        return bytes.try_into().ok();
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The folder's own key, made when there is none.
fn own(folder: &Path) -> io::Result<String> {
    let path = folder.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let mode = std::fs::metadata(&path)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(io::Error::other("others may read it; chmod 600"));
            }
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            let text = STANDARD.encode(rand::random::<[u8; 32]>());
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
            Ok(text)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let made = key(&path, "test", None, &Secrets::system()).unwrap();
        let again = key(&path, "test", None, &Secrets::system()).unwrap();
        assert_eq!(made.verifier(), again.verifier());
        let file = path.join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(key(&path, "test", None, &Secrets::system()).unwrap_err().contains("others may read it"));
    }

    #[test]
    fn a_seed_is_base64_or_hexadecimal() {
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let bytes = seed(hex).unwrap();
        assert_eq!((bytes[0], seed(&STANDARD.encode(bytes))), (0x9d, Some(bytes)));
        for bad in [
            "",
            "YWJj",
            &hex[..62],
            &hex.replace('9', "g"),
            "ä9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f",
        ] {
            assert_eq!(seed(bad), None, "{bad}");
        }
        let variable = |value: &str| Secrets::with_variables([("KEY".to_owned(), value.to_owned())]);
        let reference = SecretRef::Env("KEY".to_owned());
        let folder = tempfile::tempdir().unwrap();
        assert!(key(folder.path(), "test", Some(&reference), &variable(hex)).is_ok());
        let fault = key(folder.path(), "test", Some(&reference), &variable("canary")).unwrap_err();
        assert!(fault.contains("not an Ed25519 seed") && !fault.contains("canary"), "{fault}");
    }
}
