//! Where pins are kept: one store, and only what that store needs.

use super::clouds::{secret, secrets, url_by};
use super::running::at_most;
use crate::fault::Found;
use crate::read::Fields;
use crate::secret::SecretRef;
use crate::session::JOURNAL_PATH;
use crate::url::{is_loopback, redis as redis_url};
use crate::{Pins, Redis, SEAL_KEYS_MAX, Store};
use std::path::PathBuf;

pub(super) fn pins(sessions: &Fields<'_>, found: &mut Found) -> Option<Pins> {
    let fields = sessions.section_or_empty("pins", found)?;
    let (ttl, sweep) = (fields.span("ttl", found), fields.span("sweep", found));
    let (max, per_tenant) = (fields.count("max", found), fields.count("per_tenant", found));
    at_most(&fields, ("per_tenant", per_tenant), ("max", max), "a tenant's pins are a part of all", found);
    let swept = !matches!(fields.word("store", &mut Found::default()), Some("redis" | "sealed"));
    if swept {
        let why = "expired pins would be kept longer than they were good for";
        at_most(&fields, ("sweep", sweep), ("ttl", ttl), why, found);
    }
    let store = store(sessions, &fields, found);
    Some(Pins { store: store?, ttl: ttl?, max: max?, per_tenant: per_tenant?, sweep: sweep? })
}

/// Which store; `Some(None)` when the file does not say.
#[allow(clippy::option_option, reason = "the outer one is whether it could be read")]
fn store(sessions: &Fields<'_>, fields: &Fields<'_>, found: &mut Found) -> Option<Option<Store>> {
    let path = fields.path("path", found);
    let redis = fields.section("redis", found).map(|section| redis(&section, found));
    let word = if fields.has("store") { Some(fields.word("store", found)?) } else { None };
    let of_another = |key: &str, store: &str, found: &mut Found| {
        if fields.has(key) && word != Some(store) {
            let what = format!("`{key}` stands without `store: {store}`");
            let why = format!("nothing but the store `{store}` reads it");
            found.fault(fields.at(key), what, why, format!("`store: {store}`, or no `{key}`"));
        }
    };
    of_another("path", "journal", found);
    of_another("redis", "redis", found);
    of_another("keys", "sealed", found);
    let Some(word) = word else { return Some(None) };
    Some(Some(match word {
        "memory" => Store::Memory,
        "journal" if fields.has("path") => Store::Journal(path?),
        "journal" => Store::Journal(PathBuf::from(JOURNAL_PATH)),
        "sealed" => {
            if !fields.has("keys") {
                let why = "what a client brings back would be believed without a secret";
                let at = fields.value_at("store");
                found.fault(at, "`keys` is missing", why, "`keys: [{ env: RIPARIAN_SEAL_KEY }]`");
            }
            let why = "each replica would know the same caller by another digest, and open no other's seals";
            shared("sealed", (why, "nothing is kept: a seal ends by itself"), sessions, fields, found);
            Store::Sealed(keys(fields, found)?)
        }
        _ => {
            if !fields.has("redis") {
                let why = "the store is somewhere, and only the file can say where";
                let at = fields.value_at("store");
                found.fault(at, "`redis` is missing", why, "`redis: { url: rediss://cache.example.com }`");
            }
            let why = "each replica would make a key of its own, and no replica would find another's pins";
            let bound = "a Redis has its own bound (`maxmemory`), and pins end there by themselves";
            shared("redis", (why, bound), sessions, fields, found);
            Store::Redis(redis??)
        }
    }))
}

/// The secrets of a ring, the one that seals first.
fn keys(fields: &Fields<'_>, found: &mut Found) -> Option<Vec<SecretRef>> {
    let keys = secrets(fields, "keys", found);
    if keys.len() > SEAL_KEYS_MAX {
        let what = format!("there are {} keys", keys.len());
        let why =
            "each of them is tried at every seal; a key is of use until the seals that it made have ended";
        found.fault(fields.at("keys"), what, why, format!("at most {SEAL_KEYS_MAX}, the newest first"));
    }
    let keys: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
    (!keys.is_empty()).then_some(keys)
}

/// What goes with a store that replicas share, and what does not; `why` the key, and why not the others.
fn shared(
    store: &str,
    (key, bound): (&str, &str),
    sessions: &Fields<'_>,
    fields: &Fields<'_>,
    found: &mut Found,
) {
    if !sessions.has("key") {
        found.fault(
            fields.value_at("store"),
            format!("`store: {store}` stands without `sessions.key`"),
            key,
            "`key: { env: RIPARIAN_SESSION_KEY }`",
        );
    }
    for key in ["max", "per_tenant", "sweep"] {
        if fields.has(key) {
            found.fault(
                fields.at(key),
                format!("`{key}` stands beside `store: {store}`"),
                bound,
                format!("no `{key}`"),
            );
        }
    }
}

fn redis(fields: &Fields<'_>, found: &mut Found) -> Option<Redis> {
    let url = url_by(fields, redis_url, found);
    let password = secret(fields, "password", found);
    let ca = fields.section("ca", found).map(|file| file.path("file", found));
    let prefix = fields.prefix("prefix", found);
    let within = fields.span("within", found);
    let url = url?;
    if !url.tls && fields.has("password") && !is_loopback(&url.host) {
        let why = "redis would send the password in the clear to whoever listens on the way";
        found.fault(
            fields.value_at("url"),
            "`url` is not encrypted and leaves this machine",
            why,
            "`rediss://`",
        );
    }
    if !url.tls && fields.has("ca") {
        let why = "without TLS there is no certificate to check";
        found.fault(
            fields.at("ca"),
            "`ca` stands beside a redis URL",
            why,
            "`rediss://` in the URL, or no `ca`",
        );
    }
    let ca = match ca {
        Some(ca) => Some(ca?),
        None => None,
    };
    Some(Redis { url, password, ca, prefix: prefix?, within: within? })
}
