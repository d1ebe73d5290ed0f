//! Callers that have a name: that nothing names two of them.

use super::clouds::secrets;
use super::naming::{name, name_at};
use super::running::home;
use crate::fault::{Found, Place};
use crate::read::{Fields, Spot};
use crate::scalar::{self, Refusal};
use crate::{CREDENTIALS_MAX, Cloud, DataRegion, NamedTenant, TenantName, Tenants, UnknownCaller};
use std::collections::HashMap;

pub(super) fn tenants(file: &Fields<'_>, clouds: &[Cloud], found: &mut Found) -> Option<Tenants> {
    let mut named = Vec::new();
    let mut known: HashMap<String, Place> = HashMap::new();
    for (spot, fields) in file.named("tenants", found) {
        let name = name(spot, TenantName::new, found);
        let Some(fields) = fields else { continue };
        let mut credentials = Vec::new();
        for (reference, at) in secrets(&fields, "credentials", found) {
            sole(&mut known, reference.to_string(), "this credential", at, found);
            credentials.push(reference);
        }
        if credentials.len() > CREDENTIALS_MAX {
            let what = format!("there are {} credentials", credentials.len());
            let why = "each is a way in, and a caller that needs so many is more than one";
            found.fault(fields.at("credentials"), what, why, format!("at most {CREDENTIALS_MAX}"));
        }
        let mut subjects = Vec::new();
        for spot in fields.texts("subjects", found) {
            let text = format!("`{}`", spot.text);
            sole(&mut known, format!("subject {}", spot.text), &text, spot.at, found);
            subjects.extend(subject(spot, found));
        }
        let home = home(&fields, clouds, found);
        let data_region = name_at(&fields, "data_region", DataRegion::new, found);
        named.extend(name.map(|name| NamedTenant { name, credentials, subjects, home, data_region }));
    }
    let unknown_caller = match file.word("unknown_caller", found)? {
        "refuse" => UnknownCaller::Refuse,
        _ => UnknownCaller::Own,
    };
    if unknown_caller == UnknownCaller::Refuse && !file.has("tenants") {
        let why = "nobody has a name, so everybody would be refused";
        let instead = "`tenants: { shop: { credentials: [{ env: SHOP_KEY }] } }` beside it";
        found.fault(file.value_at("unknown_caller"), "there are no `tenants`", why, instead);
    }
    Some(Tenants { named, unknown_caller })
}

fn subject(spot: Spot<'_>, found: &mut Found) -> Option<String> {
    match scalar::subject(spot.text) {
        Ok(subject) => Some(subject),
        Err(Refusal { why, instead }) => {
            found.fault(spot.at, format!("`{}` is no subject", spot.text), why, instead);
            None
        }
    }
}

/// Reports the second use of what names a caller.
fn sole(known: &mut HashMap<String, Place>, key: String, what: &str, at: Place, found: &mut Found) {
    let first = *known.entry(key).or_insert(at);
    if first != at {
        let why = format!("it names a caller on line {}, and two callers would be one", first.line);
        found.fault(at, format!("{what} stands here a second time"), why, "each of them once");
    }
}
