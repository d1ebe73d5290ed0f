//! The tree to checked values: each section by its table, then what sections must not say together.

mod clouds;
mod contract;
mod listeners;
mod meter;
mod naming;
mod pins;
mod running;
mod sigv4;
mod tenants;
mod witness;

use crate::fault::Found;
use crate::read::{Fields, first_line};
use crate::sections::FILE;
use crate::tree::{Core, Node, Value, core};
use crate::{Config, ReadFile, Surfaces};

/// Reads the root. `None` only with a fault.
pub(crate) fn config(root: &Node, read: &ReadFile<'_>, found: &mut Found) -> Option<Config> {
    let file = Fields::open(root, first_line(root), &FILE, found)?;
    version(&file, found);

    let (listeners, admin) = listeners::listeners(&file, found);
    let limits = running::limits(&file, found);
    let clouds = clouds::clouds(&file, limits.as_ref(), found);
    let mut surfaces = Surfaces::built_in();
    naming::vendors(&file, &mut surfaces, found);
    naming::surfaces(&file, read, &mut surfaces, found);
    let products = naming::products(&file, &surfaces, found);
    let sessions = running::sessions(&file, &clouds, found);
    let tenants = tenants::tenants(&file, &clouds, found);
    let named = tenants.as_ref().map_or(&[][..], |tenants| &tenants.named);
    let contract = contract::contract(&file, &surfaces, named, read, found);
    let meter = meter::meter(&file, &clouds, contract.as_ref(), &surfaces, found);
    let retries = running::retries(&file, found);
    let health = running::health(&file, found);
    let balance = running::balance(&file, found);
    let telemetry = running::telemetry(&file, found);

    Some(Config {
        listeners,
        admin,
        clouds,
        products,
        contract: contract?,
        sessions: sessions?,
        tenants: tenants?,
        limits: limits?,
        retries: retries?,
        health: health?,
        balance: balance?,
        meter: meter?,
        telemetry: telemetry?,
        surfaces,
    })
}

fn version(file: &Fields<'_>, found: &mut Found) {
    let Some(entry) = file.entry("version") else { return };
    match &entry.node.value {
        Value::Scalar { text, plain: true } if text == "1" => {}
        Value::Scalar { text, plain } if !entry.node.is_null() => {
            let other = *plain && core(text) == Core::Int;
            let why = if other {
                "this program reads version 1 of the format and no other"
            } else {
                "the version is the number 1, without quotes"
            };
            found.fault(entry.node.at, format!("`version` is `{text}`"), why, "`version: 1`");
        }
        _ => file.wrong_kind("version", found),
    }
}
