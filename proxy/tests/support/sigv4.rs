//! A reading of AWS signatures (version 4) of its own, from the text of AWS's IAM user guide: it shares no code with the signer.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

/// An endpoint that knows one pair of keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    pub access_key_id: &'static str,
    pub secret_access_key: &'static str,
    pub session_token: Option<&'static str>,
    pub service: &'static str,
    pub region: &'static str,
    pub now: SystemTime,
}

/// AWS refuses a request that was signed longer ago, or later.
const SKEW: Duration = Duration::from_secs(300);

impl Verifier {
    /// Whether these keys signed this request for this endpoint, just now.
    pub fn verify(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<(), String> {
        let all = |name: &str| {
            let values = headers.iter().filter(|(known, _)| known == name).map(|(_, value)| squeezed(value));
            values.collect::<Vec<_>>()
        };
        let one = |name: &str| match &all(name)[..] {
            [value] => Ok(value.clone()),
            other => Err(format!("{} of {name}", other.len())),
        };
        let authorization = one("authorization")?;
        let parts =
            authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=").ok_or("another algorithm")?.to_owned();
        let (credential, rest) = parts.split_once(", SignedHeaders=").ok_or("no signed headers")?;
        let (signed, signature) = rest.split_once(", Signature=").ok_or("no signature")?;

        let date = one("x-amz-date")?;
        let at = instant(&date).ok_or("no date")?;
        let off = self.now.duration_since(at).unwrap_or_else(|early| early.duration());
        if off > SKEW {
            return Err(format!("signed {off:?} from now"));
        }
        let scope = format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service);
        if credential != format!("{}/{scope}", self.access_key_id) {
            return Err(format!("another scope: {credential}"));
        }
        if all("x-amz-security-token") != self.session_token.into_iter().collect::<Vec<_>>() {
            return Err("another token".to_owned());
        }
        let digest = hex(&Sha256::digest(body));
        if one("x-amz-content-sha256")? != digest {
            return Err("another body".to_owned());
        }

        let names: Vec<&str> = signed.split(';').collect();
        if !names.is_sorted() || !names.contains(&"host") {
            return Err(format!("signed headers {names:?}"));
        }
        let unsigned = headers.iter().find(|(name, _)| {
            (name == "content-type" || name.starts_with("x-amz-")) && !names.contains(&name.as_str())
        });
        if let Some((name, _)) = unsigned {
            return Err(format!("{name} is not signed"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = format!("{method}\n{}\n{}\n", encoded(path.as_bytes(), b"/"), canonical(query));
        for name in &names {
            request.push_str(&format!("{name}:{}\n", all(name).join(",")));
        }
        request.push_str(&format!("\n{signed}\n{digest}"));
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part);
        }
        let expected = hex(&mac(&key, &to_sign));
        if signature == expected { Ok(()) } else { Err(format!("another signature of\n{request}")) }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All but unreserved characters in percent-encoding, `%` too, and but for `kept`.
fn encoded(bytes: &[u8], kept: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte if kept.contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

/// The query's pairs in order, each name and value decoded and encoded anew.
fn canonical(query: &str) -> String {
    let anew = |text: &str| encoded(&percent_decoded(text), b"");
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            format!("{}={}", anew(name), anew(value))
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    out
}

/// Without spaces around it, and with no two in a row.
fn squeezed(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `20150830T123600Z`.
fn instant(text: &str) -> Option<SystemTime> {
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    // Days since 1970, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = number(9..11)? * 3600 + number(11..13)? * 60 + number(13..15)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + seconds))
}
