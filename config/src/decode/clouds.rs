//! Clouds and endpoints: that they are who they say they are, and that no secret leaves in the clear.

use super::listeners::file_of;
use super::naming::{is_model_name, name, name_at, patterns, unique};
use super::sigv4::sigv4;
use super::witness::witness;
use crate::fault::{Found, Place};
use crate::owner::owner_of;
use crate::read::{Fields, Spot, first_line, text, value_at};
use crate::scalar::{self, Refusal};
use crate::sections::{CREDENTIAL, SECRET};
use crate::table::Kind;
use crate::tree::{Node, Value};
use crate::url::{has_userinfo, is_loopback, parse};
use crate::{
    Cloud, CloudName, Credential, Dialect, Endpoint, EndpointName, EndpointUrl, HttpVersion, Limits,
    SecretRef, Timeouts,
};
use std::collections::HashMap;
use std::time::Duration;

/// Candidate sets are 64 bits wide.
const CLOUDS_MAX: usize = 64;

/// An endpoint's place and origin, for checks across clouds.
struct Origin {
    cloud: usize,
    url: EndpointUrl,
    at: Place,
}

pub(super) fn clouds(file: &Fields<'_>, limits: Option<&Limits>, found: &mut Found) -> Vec<Cloud> {
    let named = file.named("clouds", found);
    if named.len() > CLOUDS_MAX {
        let what = format!("there are {} clouds", named.len());
        let why = format!("a candidate set has room for {CLOUDS_MAX}");
        found.fault(file.at("clouds"), what, why, format!("at most {CLOUDS_MAX}"));
    }
    let (mut names, mut origins, mut clouds) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (spot, fields)) in named.into_iter().enumerate() {
        let cloud_name = name(spot, CloudName::new, found);
        let Some(fields) = fields else { continue };
        let owner = match fields.has("owner") {
            true => name_at(&fields, "owner", CloudName::new, found).map(|owner| owner.to_string()),
            false => Some(spot.text.to_owned()),
        };
        let mut endpoints = Vec::new();
        for fields in fields.sections("endpoints", found) {
            names.extend(
                fields.text("name", &mut Found::default()).map(|name| (name.text.to_owned(), name.at)),
            );
            let url = url(&fields, found);
            if let Some(url) = &url {
                origins.push(Origin { cloud: index, url: url.clone(), at: fields.value_at("url") });
                if let Some(owner) = &owner {
                    belongs(&fields, url, spot.text, owner, found);
                }
            }
            endpoints.extend(endpoint(&fields, url, limits, found));
        }
        let witness = witness(&fields, &endpoints, found);
        if let (Some(name), Some(owner), Some(witness)) = (cloud_name, owner, witness) {
            clouds.push(Cloud { name, owner, endpoints, witness });
        }
    }
    unique(&names, "endpoint", found);
    apart(&origins, found);
    clouds
}

fn endpoint(
    fields: &Fields<'_>,
    url: Option<EndpointUrl>,
    limits: Option<&Limits>,
    found: &mut Found,
) -> Option<Endpoint> {
    let name = name_at(fields, "name", EndpointName::new, found);
    let dialect = fields.word("dialect", found).and_then(Dialect::parse);
    let region = fields.text("region", found).map(|spot| spot.text.to_owned());
    let credential = credential(fields, found);
    let models = models(fields, found);
    let zero_retention = fields.flag("zero_retention", found);
    let resources = patterns(fields, "resources", found).into_iter().map(|(pattern, _)| pattern).collect();
    let weight = fields.count32("weight", found);
    let http_version = fields.count("http_version", found);
    let mut within = |key, default: fn(&Limits) -> Duration| match fields.has(key) {
        true => fields.span(key, found),
        false => limits.map(default),
    };
    let connect = within("connect_within", |limits| limits.connect_within);
    let first_byte = within("first_byte_within", |limits| limits.first_byte_within);
    let idle = within("idle", |limits| limits.idle);
    let ca_file = file_of(fields, "ca", found);
    let url = url?;
    if fields.has("ca") && !url.tls {
        let why = "without TLS there is no certificate to check";
        found.fault(
            fields.at("ca"),
            "`ca` stands beside an http URL",
            why,
            "`https://` in the URL, or no `ca`",
        );
    }
    let credential = credential?;
    if !url.tls && !is_loopback(&url.host) && credential != Credential::None {
        let why = "http would send the credential in the clear to whoever listens on the way";
        let instead = format!("`https://{}`", url.authority());
        found.fault(fields.value_at("url"), format!("`{url}` is http and leaves this machine"), why, instead);
    }
    Some(Endpoint {
        name: name?,
        dialect: dialect?,
        url,
        region,
        credential,
        models,
        zero_retention: zero_retention?,
        resources,
        weight: weight?,
        timeouts: Timeouts { connect: connect?, first_byte: first_byte?, idle: idle? },
        http_version: if http_version? == 2 { HttpVersion::Http2 } else { HttpVersion::Http1 },
        ca_file,
    })
}

fn url(fields: &Fields<'_>, found: &mut Found) -> Option<EndpointUrl> {
    url_by(fields, parse, found)
}

/// The text under `url`, as `read` reads it.
pub(super) fn url_by<T>(
    fields: &Fields<'_>,
    read: impl FnOnce(&str) -> Result<T, Refusal>,
    found: &mut Found,
) -> Option<T> {
    let spot = fields.text("url", found)?;
    match read(spot.text) {
        Ok(url) => Some(url),
        Err(Refusal { why, instead }) => {
            // A password in it is not repeated.
            let what = if has_userinfo(spot.text) {
                found.hide(fields.entry("url").expect("its text was just read").node.stretch);
                "`url` has a user or password in it".to_owned()
            } else {
                format!("`url` is `{}`", spot.text)
            };
            found.fault(spot.at, what, why, instead);
            None
        }
    }
}

/// Checks the host against the suffixes that are known to be somebody's.
fn belongs(fields: &Fields<'_>, url: &EndpointUrl, cloud: &str, owner: &str, found: &mut Found) {
    let said = fields.text("host_of", &mut Found::default());
    let known = owner_of(&url.host);
    match (known, said) {
        (Some(known), None) if known != owner => {
            let what =
                format!("`{}` is a host of {known}, but the cloud `{cloud}` belongs to {owner}", url.host);
            let why = "terms name the cloud, so a host under the wrong one breaks the contract unseen";
            let instead = format!(
                "the endpoint in {known}'s cloud; or, if it is meant so, `host_of: {known}` beside it"
            );
            found.fault(fields.value_at("url"), what, why, instead);
        }
        (Some(known), Some(said)) if known != owner && said.text != known => {
            let what = format!("`host_of` is `{}`, but `{}` is a host of {known}", said.text, url.host);
            found.fault(
                said.at,
                what,
                "the exception must say what it excepts",
                format!("`host_of: {known}`"),
            );
        }
        (None, Some(said)) => needless(said, &format!("nobody is known to own `{}`", url.host), found),
        (Some(known), Some(said)) if known == owner => {
            needless(said, &format!("`{}` is a host of {known}, whose cloud this is", url.host), found);
        }
        _ => {}
    }
}

fn needless(said: Spot<'_>, why: &str, found: &mut Found) {
    let why = format!("{why}; an exception that excepts nothing hides the next one");
    found.fault(said.at, format!("`host_of: {}` is needless", said.text), why, "no `host_of`");
}

/// Reports one address in two clouds: then it would not matter which of them a term names.
fn apart(origins: &[Origin], found: &mut Found) {
    let mut seen: HashMap<String, &Origin> = HashMap::new();
    for origin in origins {
        let first = *seen.entry(origin.url.to_string()).or_insert(origin);
        if first.cloud != origin.cloud {
            let what = format!("`{}` stands in two clouds", origin.url);
            let why = format!(
                "line {} gives it to another cloud; what a term denies the one would reach it through the other",
                first.at.line
            );
            found.fault(origin.at, what, why, "each address in one cloud");
        }
    }
}

fn credential(endpoint: &Fields<'_>, found: &mut Found) -> Option<Credential> {
    let entry = endpoint.entry("credential")?;
    let credential = match &entry.node.value {
        Value::Map(_) => Fields::open(&entry.node, entry.key_at, &CREDENTIAL, found).and_then(|fields| {
            let api_key = secret(&fields, "api_key", found);
            let bearer = secret(&fields, "bearer", found);
            let sigv4 = sigv4(&fields, endpoint, found).map(Credential::SigV4);
            api_key.map(Credential::ApiKey).or(bearer.map(Credential::Bearer)).or(sigv4)
        }),
        Value::Scalar { text, .. } if text == "none" => Some(Credential::None),
        Value::Scalar { text, .. } if text == "passthrough" => Some(Credential::Passthrough),
        Value::Scalar { .. } if !entry.node.is_null() => {
            inline(entry.node.at, "credential", found);
            None
        }
        _ => {
            endpoint.wrong_kind("credential", found);
            None
        }
    };
    if credential.is_none() {
        hide_values(&entry.node, found);
    }
    credential
}

/// The secret's reference under `key`. What looks like the secret itself is never shown.
pub(super) fn secret(fields: &Fields<'_>, key: &str, found: &mut Found) -> Option<SecretRef> {
    let entry = fields.entry(key)?;
    reference(&entry.node, entry.key_at, key, found)
}

/// The references of the list under `key`, and where each stands.
pub(super) fn secrets(fields: &Fields<'_>, key: &str, found: &mut Found) -> Vec<(SecretRef, Place)> {
    let Some(entry) = fields.entry(key) else { return Vec::new() };
    match &entry.node.value {
        Value::List(items) if !items.is_empty() => items
            .iter()
            .filter_map(|item| Some((reference(item, first_line(item), key, found)?, first_line(item))))
            .collect(),
        Value::Scalar { .. } if !entry.node.is_null() => {
            inline(entry.node.at, key, found);
            hide_values(&entry.node, found);
            Vec::new()
        }
        _ => {
            fields.items(key, found);
            hide_values(&entry.node, found);
            Vec::new()
        }
    }
}

/// The reference that `node` is, under `key`; `at` stands for it.
fn reference(node: &Node, at: Place, key: &str, found: &mut Found) -> Option<SecretRef> {
    let reference = match node.value {
        Value::Scalar { .. } if !node.is_null() => {
            inline(node.at, key, found);
            None
        }
        _ => Fields::open(node, at, &SECRET, found).and_then(|reference| {
            let file = reference.path("file", found).map(SecretRef::File);
            variable(&reference, found).map(SecretRef::Env).or(file)
        }),
    };
    if reference.is_none() {
        hide_values(node, found);
    }
    reference
}

fn variable(reference: &Fields<'_>, found: &mut Found) -> Option<String> {
    let entry = reference.entry("env")?;
    match &entry.node.value {
        // Whatever YAML makes of it, a number too: it is not repeated.
        Value::Scalar { text, .. } if !entry.node.is_null() => match scalar::variable(text) {
            Ok(name) => Some(name),
            Err(Refusal { why, instead }) => {
                found.fault(entry.node.at, "`env` cannot name an environment variable", why, instead);
                None
            }
        },
        _ => {
            reference.wrong_kind("env", found);
            None
        }
    }
}

/// Keeps every value below `node` out of what is printed: one of them may be the secret, in the wrong place.
fn hide_values(node: &Node, found: &mut Found) {
    match &node.value {
        Value::Scalar { .. } => found.hide(node.stretch),
        Value::List(items) => items.iter().for_each(|item| hide_values(item, found)),
        Value::Map(entries) => entries.iter().for_each(|entry| hide_values(&entry.node, found)),
        Value::Broken => {}
    }
}

fn inline(at: Place, key: &str, found: &mut Found) {
    let why = "files are copied, committed and printed: a secret is a reference, and its value is never in this one";
    let instead = match key {
        "credential" => {
            "`{ api_key: { env: VARIABLE } }`, `{ bearer: { file: PATH } }`, `passthrough` or `none`"
        }
        _ => "`{ env: VARIABLE }` or `{ file: PATH }`",
    };
    found.fault(at, format!("`{key}` is written out"), why, instead);
}

fn models(fields: &Fields<'_>, found: &mut Found) -> Option<Vec<(String, String)>> {
    let entries = fields.has("models").then(|| fields.pairs("models", found))?;
    let mut models = Vec::new();
    for entry in entries {
        let at = value_at(entry);
        let own = text(&entry.node, at, &entry.key, &Kind::Text, found);
        for spot in [Some(Spot { text: &entry.key, at: entry.key_at }), own].into_iter().flatten() {
            if !is_model_name(spot.text) || spot.text.contains('*') {
                let why = "a model's name has 1 to 256 visible ASCII characters and no quotes, `\\` or `*`; each model is listed";
                found.fault(
                    spot.at,
                    format!("`{}` is no model's name", spot.text),
                    why,
                    "such as `gpt-5.5: gpt55-prod`",
                );
            }
        }
        models.extend(own.map(|own| (entry.key.clone(), own.text.to_owned())));
    }
    Some(models)
}
