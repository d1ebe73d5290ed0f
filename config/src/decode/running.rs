//! How the process runs: sessions, limits, retries, health, balance, telemetry.

use super::clouds::secret;
use super::naming::unknown;
use super::pins;
use crate::fault::Found;
use crate::read::Fields;
use crate::sections::FILE_REF;
use crate::tree::Value;
use crate::{
    AccessLog, Balance, Cloud, CloudName, Health, Limits, Retries, Sessions, Telemetry, UnknownHandle,
};

pub(super) fn sessions(file: &Fields<'_>, clouds: &[Cloud], found: &mut Found) -> Option<Sessions> {
    let fields = file.section_or_empty("sessions", found)?;
    let header = fields.header("header", found);
    let key = secret(&fields, "key", found);
    let idle = fields.span("idle", found);
    let baggage = fields.flag("baggage", found);
    let unknown_handle = unknown_handle(&fields, found);
    let home = home(&fields, clouds, found);
    let pins = pins::pins(&fields, found);
    Some(Sessions {
        header: header?,
        key,
        idle: idle?,
        baggage: baggage?,
        unknown_handle: unknown_handle?,
        home,
        pins: pins?,
    })
}

fn unknown_handle(fields: &Fields<'_>, found: &mut Found) -> Option<UnknownHandle> {
    let word = fields.word("unknown_handle", found)?;
    if word == "home" && !fields.has("home") {
        let why = "somebody must say which cloud that is";
        found.fault(
            fields.value_at("unknown_handle"),
            "there is no `home`",
            why,
            "`home:` and a cloud beside it",
        );
    }
    Some(match word {
        "home" => UnknownHandle::Home,
        "ask" => UnknownHandle::Ask,
        _ => UnknownHandle::Refuse,
    })
}

/// The cloud that `home` names.
pub(super) fn home(fields: &Fields<'_>, clouds: &[Cloud], found: &mut Found) -> Option<CloudName> {
    let spot = fields.text("home", found)?;
    let names: Vec<_> = clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    match clouds.iter().find(|cloud| cloud.name.as_str() == spot.text) {
        Some(cloud) => Some(cloud.name.clone()),
        None => {
            unknown(spot, &names, "cloud", found);
            None
        }
    }
}

/// The proxy's read buffer.
const HEAD_MAX: u64 = 64 * 1024;

pub(super) fn limits(file: &Fields<'_>, found: &mut Found) -> Option<Limits> {
    let fields = file.section_or_empty("limits", found)?;
    let (body, held_bodies) = (fields.size("body", found), fields.size("held_bodies", found));
    let (head, target) = (fields.size("head", found), fields.size("target", found));
    let headers = fields.count("headers", found);
    let head_within = fields.span("head_within", found);
    let body_within = fields.span("body_within", found);
    let connect_within = fields.span("connect_within", found);
    let first_byte_within = fields.span("first_byte_within", found);
    let idle = fields.span("idle", found);
    let keepalive = fields.span("keepalive", found);
    let streams = fields.count("streams", found);
    let drain_within = fields.span("drain_within", found);
    let why = "one body of the full size would never find room";
    at_most(&fields, ("body", body), ("held_bodies", held_bodies), why, found);
    at_most(&fields, ("target", target), ("head", head), "the target is a part of the head", found);
    if head.is_some_and(|head| head > HEAD_MAX) {
        let why = "a head is read into one buffer of 64KiB";
        found.fault(fields.value_at("head"), "`head` is over 64KiB", why, "64KiB, or less");
    }
    Some(Limits {
        body: body?,
        held_bodies: held_bodies?,
        head: head?,
        target: target?,
        headers: headers?,
        head_within: head_within?,
        body_within: body_within?,
        connect_within: connect_within?,
        first_byte_within: first_byte_within?,
        idle: idle?,
        keepalive: keepalive?,
        streams: streams?,
        drain_within: drain_within?,
    })
}

/// Reports `part` over `whole`, at the one of them that the file gives.
pub(super) fn at_most<T: PartialOrd>(
    fields: &Fields<'_>,
    part: (&str, Option<T>),
    whole: (&str, Option<T>),
    why: &str,
    found: &mut Found,
) {
    let ((small, Some(part)), (large, Some(whole))) = (part, whole) else { return };
    if part > whole {
        let at = fields.value_at(if fields.has(small) { small } else { large });
        let instead = format!("a smaller `{small}`, or a larger `{large}`");
        found.fault(at, format!("`{small}` is over `{large}`"), why, instead);
    }
}

pub(super) fn retries(file: &Fields<'_>, found: &mut Found) -> Option<Retries> {
    let fields = file.section_or_empty("retries", found)?;
    let attempts = fields.count32("attempts", found);
    let budget_percent = fields.count32("budget_percent", found);
    let budget_floor = fields.count32("budget_floor", found);
    Some(Retries { attempts: attempts?, budget_percent: budget_percent?, budget_floor: budget_floor? })
}

pub(super) fn health(file: &Fields<'_>, found: &mut Found) -> Option<Health> {
    let fields = file.section_or_empty("health", found)?;
    let (down_after, down_for) = (fields.count32("down_after", found), fields.span("down_for", found));
    Some(Health { down_after: down_after?, down_for: down_for? })
}

pub(super) fn balance(file: &Fields<'_>, found: &mut Found) -> Option<Balance> {
    Some(match file.word("balance", found)? {
        "least_in_flight" => Balance::LeastInFlight,
        _ => Balance::Rendezvous,
    })
}

pub(super) fn telemetry(file: &Fields<'_>, found: &mut Found) -> Option<Telemetry> {
    let fields = file.section_or_empty("telemetry", found)?;
    let access_log = access_log(&fields, found);
    let response_headers = fields.flag("response_headers", found);
    Some(Telemetry { access_log: access_log?, response_headers: response_headers? })
}

fn access_log(fields: &Fields<'_>, found: &mut Found) -> Option<AccessLog> {
    if let Some(entry) = fields.entry("access_log") {
        match &entry.node.value {
            Value::Map(_) => {
                let file = Fields::open(&entry.node, entry.key_at, &FILE_REF, found)?;
                return file.path("file", found).map(AccessLog::File);
            }
            Value::Scalar { .. } if !entry.node.is_null() => {}
            _ => {
                fields.wrong_kind("access_log", found);
                return None;
            }
        }
    }
    Some(match fields.word("access_log", found)? {
        "stderr" => AccessLog::Stderr,
        "off" => AccessLog::Off,
        _ => AccessLog::Stdout,
    })
}
