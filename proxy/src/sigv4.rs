//! AWS Signature Version 4: a request is signed for the endpoint that it goes to, at the moment when it goes.
//!
//! The arithmetic is AWS's own (crate `aws-sigv4`); here is what goes into it. Signed are `host`, `content-type`, all `x-amz*`
//! headers that go out, the path as it stands on the wire, encoded once more as all services but S3 want it, the query, and the
//! digest of the body as it goes out. Not signed is what may change on the way: `accept-encoding`, `content-length`,
//! `user-agent`, `x-amzn-trace-id` and the like.
//!
//! See "Create a signed AWS API request" in AWS's IAM user guide.

use crate::credentials::{SecretFault, Secrets};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningError, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use riparian_config::{AwsKeys, SecretRef, SigV4};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::SystemTime;

/// Signs requests with one pair of keys, for one region and service.
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {}, ..)", self.region, self.service)
    }
}

/// A request's parts that are signed, as they go out.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'r> {
    /// The method.
    pub method: &'r str,
    /// What stands in `Host`.
    pub authority: &'r str,
    /// Path and query.
    pub target: &'r str,
    /// The body, in pieces.
    pub body: &'r [Bytes],
}

impl Signer {
    /// Reads the keys.
    ///
    /// # Errors
    /// When one cannot be had, or cannot stand in a header.
    pub fn read(sigv4: &SigV4, secrets: &Secrets) -> Result<Self, SecretFault> {
        let (id, secret, token) = match &sigv4.source {
            AwsKeys::Environment => {
                let [id, secret, token] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
                    .map(|name| SecretRef::Env(name.to_owned()));
                (id, secret, secrets.is_set(&token).then_some(token))
            }
            AwsKeys::Given { access_key_id, secret_access_key, session_token } => {
                (access_key_id.clone(), secret_access_key.clone(), session_token.clone())
            }
        };
        let shown = |reference: &SecretRef| {
            let value = secrets.read(reference)?;
            let fits = value.bytes().all(|byte| byte.is_ascii_graphic());
            let what = "has a byte that cannot stand in a header".to_owned();
            if fits { Ok(value) } else { Err(SecretFault { reference: reference.clone(), what }) }
        };
        let token = token.as_ref().map(shown).transpose()?;
        let credentials = Credentials::new(shown(&id)?, secrets.read(&secret)?, token, None, "riparian");
        Ok(Self { credentials, region: sigv4.region.clone(), service: sigv4.service.clone() })
    }

    /// The headers that prove at the moment `at` that these keys sent the request: their names in lower case, and their values.
    /// `headers` are all others that go out.
    ///
    /// # Errors
    /// When the target is none.
    pub fn sign<'r>(
        &self,
        request: Unsigned<'r>,
        headers: impl Iterator<Item = (&'r HeaderName, &'r HeaderValue)>,
        at: SystemTime,
    ) -> Result<Vec<(&'static str, HeaderValue)>, SigningError> {
        // Only S3 asks for the digest in a header, but who reads a request at the endpoint can check it there.
        let headers = headers.filter(|(name, _)| is_signed(name));
        self.sign_with(PayloadChecksumKind::XAmzSha256, request, headers, at)
    }

    fn sign_with<'r>(
        &self,
        digest: PayloadChecksumKind,
        request: Unsigned<'r>,
        headers: impl Iterator<Item = (&'r HeaderName, &'r HeaderValue)>,
        at: SystemTime,
    ) -> Result<Vec<(&'static str, HeaderValue)>, SigningError> {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = digest;
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(at)
            .settings(settings)
            .build()
            .expect("all parts are given")
            .into();
        // A value that is no text is left out; where AWS asks for it, it refuses.
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers = [(header::HOST.as_str(), request.authority)].into_iter().chain(headers);
        let body = SignableBody::Precomputed(digest_of(request.body));
        let signable = SignableRequest::new(request.method, request.target, headers, body)?;
        let (lines, _) = sign(signable, &params)?.into_parts().0.into_parts();
        let lines = lines.into_iter().map(|line| {
            let mut value = HeaderValue::from_str(line.value()).expect("made of what is checked to fit");
            value.set_sensitive(true);
            (line.name(), value)
        });
        Ok(lines.collect())
    }
}

/// Whether a header that goes out is signed. AWS wants those that it reads itself.
fn is_signed(name: &HeaderName) -> bool {
    *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz")
}

fn digest_of(body: &[Bytes]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut hasher = Sha256::new();
    for piece in body {
        hasher.update(piece);
    }
    let digits = |byte: u8| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]].map(char::from);
    hasher.finalize().into_iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests;
