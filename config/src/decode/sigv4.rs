//! What requests to AWS are signed with: which keys, for which service and region.

use super::clouds::secret;
use crate::fault::Found;
use crate::read::{Fields, Spot};
use crate::url::parse;
use crate::{AwsKeys, SigV4};

pub(super) fn sigv4(credential: &Fields<'_>, endpoint: &Fields<'_>, found: &mut Found) -> Option<SigV4> {
    let fields = credential.section("sigv4", found)?;
    let service = match fields.has("service") {
        true => fields.text("service", found).and_then(|said| word(said, "service", "bedrock", found)),
        false => Some(service_at(endpoint).to_owned()),
    };
    let region = region(&fields, endpoint, found);
    let source = keys(&fields, found);
    Some(SigV4 { service: service?, region: region?, source: source? })
}

fn keys(fields: &Fields<'_>, found: &mut Found) -> Option<AwsKeys> {
    let given = ["access_key_id", "secret_access_key", "session_token"];
    if fields.has("source") {
        fields.word("source", found)?;
        if let Some(key) = given.into_iter().find(|key| fields.has(key)) {
            let what = format!("`{key}` stands beside `source`");
            let why = "of two sources of keys it would not be seen which one signs";
            found.fault(fields.at(key), what, why, format!("`source`, or `{key}` and what goes with it"));
            return None;
        }
        return Some(AwsKeys::Environment);
    }
    // That there is no id either is reported by the table's rule.
    if fields.has("access_key_id") && !fields.has("secret_access_key") {
        let why = "AWS's keys are pairs: the id names the one that signs";
        let instead = "`secret_access_key: { env: VARIABLE }`";
        found.fault(fields.at("access_key_id"), "`secret_access_key` is missing", why, instead);
    }
    let [access_key_id, secret_access_key, session_token] = given.map(|key| secret(fields, key, found));
    if session_token.is_none() && fields.has("session_token") {
        return None;
    }
    Some(AwsKeys::Given {
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token,
    })
}

/// The signature's own region, or else the endpoint's.
fn region(fields: &Fields<'_>, endpoint: &Fields<'_>, found: &mut Found) -> Option<String> {
    if fields.has("region") {
        return fields.text("region", found).and_then(|said| word(said, "region", "us-east-1", found));
    }
    if !endpoint.has("region") {
        let why = "a signature is for one region, and neither it nor the endpoint names one";
        found.fault(fields.at("region"), "`region` is missing", why, "`region: us-east-1` in the endpoint");
        return None;
    }
    // That it is text is checked where the endpoint is read.
    let said = endpoint.text("region", &mut Found::default())?;
    word(said, "region", "us-east-1", found)
}

/// A part of a signature's scope, where `/` and spaces would end it.
fn word(said: Spot<'_>, key: &str, like: &str, found: &mut Found) -> Option<String> {
    let fits = said.text.len() <= 64
        && said.text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        let what = format!("`{key}` is `{}`", said.text);
        let why = "in a signature it has 1 to 64 of `a-z`, `0-9` and `-`, as AWS writes it";
        found.fault(said.at, what, why, format!("such as `{like}`"));
    }
    fits.then(|| said.text.to_owned())
}

/// What the service at the endpoint's host is called in signatures: `bedrock-runtime` and `bedrock-agent-runtime` are `bedrock`.
fn service_at(endpoint: &Fields<'_>) -> &'static str {
    const AGENTCORE: &str = "bedrock-agentcore";
    let url = endpoint.text("url", &mut Found::default()).and_then(|url| parse(url.text).ok());
    let agentcore = url.is_some_and(|url| url.host.split('.').any(|label| label == AGENTCORE));
    if agentcore { AGENTCORE } else { "bedrock" }
}
