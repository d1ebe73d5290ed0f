//! AWS Signature Version 4, checked as the service checks it: from the request as it arrived, with the secret that only the
//! account and the service know. Written from the published description, with nothing of whoever signs.
//!
//! The path is encoded once more than it arrived (every service but S3), the query is sorted, the body is the digest that the
//! request declares, and that must be the body's own.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::record::{hex, sha256};
use super::sealed::hmac;
use super::spec::CloudSpec;

/// Everything but the unreserved characters.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No `Authorization` of this kind.
    Missing,
    /// It cannot be read, or a part of it is missing.
    Incomplete(&'static str),
    /// An access key that is not the account's.
    UnknownKey,
    /// Another region, service or day than the request's own.
    Scope(&'static str),
    /// It does not match.
    Mismatch,
}

struct Claim<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed: &'a str,
    signature: &'a str,
}

/// Whether a request is signed with an access key of this account, right or wrong.
pub(crate) fn access_key(authorization: &[u8]) -> Option<&str> {
    Some(claim(std::str::from_utf8(authorization).ok()?).ok()?.access_key)
}

fn claim(authorization: &str) -> Result<Claim<'_>, Flaw> {
    let rest = authorization.strip_prefix(ALGORITHM).ok_or(Flaw::Missing)?;
    let field = |name: &'static str| {
        let mut fields = rest.split(',').map(str::trim);
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).ok_or(Flaw::Incomplete(name))
    };
    let mut scope = field("Credential")?.split('/');
    let mut next = || scope.next().ok_or(Flaw::Incomplete("Credential"));
    let claim = Claim {
        access_key: next()?,
        date: next()?,
        region: next()?,
        service: next()?,
        signed: field("SignedHeaders")?,
        signature: field("Signature")?,
    };
    if next()? != "aws4_request" { Err(Flaw::Incomplete("Credential")) } else { Ok(claim) }
}

/// Checks a request whose body has arrived.
pub(crate) fn verify(spec: &CloudSpec, head: &Parts, body: &[u8], services: &[&str]) -> Result<(), Flaw> {
    let authorization = single(&head.headers, "authorization").ok_or(Flaw::Missing)?;
    let claim = claim(&authorization)?;
    if claim.access_key != spec.access_key {
        return Err(Flaw::UnknownKey);
    }
    if claim.region != spec.region {
        return Err(Flaw::Scope("Credential should be scoped to a valid region."));
    }
    if !services.contains(&claim.service) {
        return Err(Flaw::Scope("Credential should be scoped to correct service."));
    }
    let at = single(&head.headers, "x-amz-date").ok_or(Flaw::Incomplete("X-Amz-Date"))?;
    if at.len() != 16 || !at.starts_with(claim.date) {
        return Err(Flaw::Scope(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.",
        ));
    }
    let signed: Vec<&str> = claim.signed.split(';').collect();
    let token = head.headers.contains_key("x-amz-security-token");
    if !signed.contains(&"host") || (token && !signed.contains(&"x-amz-security-token")) {
        return Err(Flaw::Incomplete("SignedHeaders"));
    }
    let digest = hex(&sha256(body));
    if let Some(declared) = single(&head.headers, "x-amz-content-sha256")
        && declared != digest
        && declared != "UNSIGNED-PAYLOAD"
    {
        return Err(Flaw::Mismatch);
    }
    let digest = single(&head.headers, "x-amz-content-sha256").unwrap_or(digest.into());
    let canonical = canonical(head, &signed, &digest)?;
    let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
    let text = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let secret = format!("AWS4{}", spec.secret_key);
    let steps = [claim.date, claim.region, claim.service, "aws4_request"];
    let key = steps.iter().fold(secret.into_bytes(), |key, step| hmac(&key, step.as_bytes()).to_vec());
    if hex(&hmac(&key, text.as_bytes())) == claim.signature { Ok(()) } else { Err(Flaw::Mismatch) }
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    headers.get(name)?.to_str().ok().map(|value| value.trim().into())
}

fn canonical(head: &Parts, signed: &[&str], digest: &str) -> Result<String, Flaw> {
    let path: Vec<String> =
        head.uri.path().split('/').map(|segment| utf8_percent_encode(segment, STRICT).to_string()).collect();
    let mut text = format!("{}\n{}\n{}\n", head.method, path.join("/"), query(head.uri.query()));
    for &name in signed {
        let value = match name {
            "host" => head
                .uri
                .authority()
                .map(|authority| authority.as_str().to_owned())
                .or_else(|| values(&head.headers, name)),
            _ => values(&head.headers, name),
        };
        let value = value.ok_or(Flaw::Incomplete("SignedHeaders"))?;
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{}\n{digest}", signed.join(";"));
    Ok(text)
}

/// The values of a header, joined, each with its runs of spaces made one.
fn values(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<String>> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            Some(
                value.to_str().ok()?.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(","))
}

fn query(query: Option<&str>) -> String {
    let encode =
        |text: &str| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), STRICT).to_string();
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Kind;

    fn spec() -> CloudSpec {
        let mut spec = CloudSpec::new(Kind::Bedrock, "aws");
        spec.access_key = "AKIDEXAMPLE".to_owned();
        spec.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned();
        spec
    }

    /// `get-vanilla-query-order-key-case` of AWS's published signature tests.
    fn published() -> http::request::Builder {
        http::Request::get("/?Param2=value2&Param1=value1")
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, \
                 Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            )
    }

    #[test]
    fn the_published_vector_is_accepted_and_nothing_else() {
        let head = |builder: http::request::Builder| builder.body(()).expect("a request").into_parts().0;
        let services = ["service"];
        assert_eq!(verify(&spec(), &head(published()), b"", &services), Ok(()));
        assert_eq!(verify(&spec(), &head(published()), b"x", &services), Err(Flaw::Mismatch));
        assert_eq!(verify(&spec(), &head(published().uri("/")), b"", &services), Err(Flaw::Mismatch));
        assert!(matches!(verify(&spec(), &head(published()), b"", &["bedrock"]), Err(Flaw::Scope(_))));
        let mut other = spec();
        other.secret_key.push('x');
        assert_eq!(verify(&other, &head(published()), b"", &services), Err(Flaw::Mismatch));
        other.access_key.push('x');
        assert_eq!(verify(&other, &head(published()), b"", &services), Err(Flaw::UnknownKey));
        other = spec();
        other.region = "eu-west-1".to_owned();
        assert!(matches!(verify(&other, &head(published()), b"", &services), Err(Flaw::Scope(_))));
        let bare = head(http::Request::get("/"));
        assert_eq!(verify(&spec(), &bare, b"", &services), Err(Flaw::Missing));
    }
}
