//! Names, and what they stand for: vendors, products, and the faults of names that nobody gave.

use crate::fault::{Found, Place};
use crate::read::{Fields, Spot};
use crate::suggest::nearest;
use crate::table::quoted;
use crate::{
    NAME_BYTES_MAX, NameFault, Pattern, Product, ProductName, ReadFile, Surfaces, Vendor, VendorName,
};
use std::collections::HashMap;

/// Checks one name.
pub(super) fn name<T>(
    spot: Spot<'_>,
    new: impl Fn(&str) -> Result<T, NameFault>,
    found: &mut Found,
) -> Option<T> {
    let fault = match new(spot.text) {
        Ok(name) => return Some(name),
        Err(fault) => fault,
    };
    let (what, instead) = match fault {
        NameFault::Empty => ("a name is empty".to_owned(), "a name".to_owned()),
        NameFault::TooLong => {
            (format!("a name has {} bytes", spot.text.len()), format!("at most {NAME_BYTES_MAX} of them"))
        }
        NameFault::Character(bad) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let tame = spot.text.chars().map(|c| if fits(c) { c } else { '-' }).collect::<String>();
            let tame = tame.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let instead = if tame.is_empty() { "another name".to_owned() } else { format!("`{tame}`") };
            (format!("`{bad}` cannot stand there in the name `{}`", spot.text), instead)
        }
    };
    let why =
        "names go into headers, labels and the log: letters, digits, `.`, `_`, `-`, a letter or digit first";
    found.fault(spot.at, what, why, instead);
    None
}

/// The name under `key`.
pub(super) fn name_at<T>(
    fields: &Fields<'_>,
    key: &str,
    new: impl Fn(&str) -> Result<T, NameFault>,
    found: &mut Found,
) -> Option<T> {
    fields.text(key, found).and_then(|spot| name(spot, new, found))
}

/// The names under `key`, each of which must be one of `known`; `what` says what they are names of.
pub(crate) fn known_names<T>(
    fields: &Fields<'_>,
    key: &str,
    known: &[&str],
    what: &str,
    new: impl Fn(&str) -> Result<T, NameFault>,
    found: &mut Found,
) -> Vec<T> {
    let spots = fields.texts(key, found);
    let of_known = |spot: Spot<'_>| match known.contains(&spot.text) {
        true => name(spot, &new, found),
        false => {
            unknown(spot, known, what, found);
            None
        }
    };
    spots.into_iter().filter_map(of_known).collect()
}

/// Reports a name that stands for nothing.
pub(crate) fn unknown(spot: Spot<'_>, known: &[&str], what: &str, found: &mut Found) {
    let why = match known {
        [] => format!("there is no {what} in this file"),
        _ => format!("known here: {}", quoted(known)),
    };
    let meant = nearest(spot.text, known.iter().copied());
    let instead = meant.map_or(format!("a {what} that there is"), |name| format!("`{name}`"));
    found.fault(spot.at, format!("there is no {what} `{}`", spot.text), why, instead);
}

/// Reports the second of two equal names.
pub(super) fn unique(names: &[(String, Place)], what: &str, found: &mut Found) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for (name, at) in names {
        let first = *seen.entry(name).or_insert(*at);
        if first != *at {
            let why = format!("line {} gives that name already, and a name means one thing", first.line);
            found.fault(*at, format!("a second {what} is called `{name}`"), why, "another name");
        }
    }
}

/// The patterns under `key`.
pub(super) fn patterns<'t>(fields: &Fields<'t>, key: &str, found: &mut Found) -> Vec<(Pattern, Spot<'t>)> {
    let spots = fields.texts(key, found);
    let read = |spot: Spot<'t>| match Pattern::parse(spot.text).filter(|_| is_model_name(spot.text)) {
        Some(pattern) => Some((pattern, spot)),
        None => {
            let why = "a `*` stands only at the end, and there are no spaces";
            let instead = match spot.text.find('*') {
                Some(star) if star > 0 && is_model_name(&spot.text[..=star]) => {
                    format!("`{}`", &spot.text[..=star])
                }
                _ => "a name, or the beginning of one and `*`".to_owned(),
            };
            found.fault(spot.at, format!("`{}` is no pattern", spot.text), why, instead);
            None
        }
    };
    spots.into_iter().filter_map(read).collect()
}

/// The patterns under `key`, each of which must match a surface.
pub(super) fn surface_patterns(
    fields: &Fields<'_>,
    key: &str,
    surfaces: &Surfaces,
    found: &mut Found,
) -> Vec<Pattern> {
    let ids = surfaces.surfaces.iter().map(|surface| surface.id.as_str()).collect::<Vec<_>>();
    let mut kept = Vec::new();
    for (pattern, spot) in patterns(fields, key, found) {
        if ids.iter().any(|id| pattern.matches(id)) {
            kept.push(pattern);
            continue;
        }
        let groups = ids.iter().filter_map(|id| id.rsplit_once('.')).map(|(group, _)| format!("{group}.*"));
        let groups = groups.fold(Vec::new(), |mut seen: Vec<String>, group| {
            if !seen.contains(&group) {
                seen.push(group);
            }
            seen
        });
        let candidates = ids.iter().copied().chain(groups.iter().map(String::as_str));
        let instead = nearest(spot.text, candidates)
            .map_or("a surface that there is".to_owned(), |id| format!("`{id}`"));
        let families: Vec<_> = surfaces.families.iter().map(|family| format!("{}.*", family.name)).collect();
        let why = format!("`riparian surfaces` lists them; their families are {}", quoted(&families));
        found.fault(spot.at, format!("`{}` is no surface", spot.text), why, instead);
    }
    kept
}

/// Whether a model can be called that: 1 to 256 characters that are seen, no quotes.
pub(super) fn is_model_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
}

/// Products, in the file's order.
pub(super) fn products(file: &Fields<'_>, surfaces: &Surfaces, found: &mut Found) -> Vec<Product> {
    let named = file.named("products", found);
    let read = |(spot, fields): (Spot<'_>, Option<Fields<'_>>)| {
        let name = name(spot, ProductName::new, found);
        let surfaces = surface_patterns(&fields?, "surfaces", surfaces, found);
        Some(Product { name: name?, surfaces })
    };
    named.into_iter().filter_map(read).collect()
}

/// Adds the file's vendors to the built-in ones.
pub(super) fn vendors(file: &Fields<'_>, surfaces: &mut Surfaces, found: &mut Found) {
    for (spot, fields) in file.named("vendors", found) {
        let name = name(spot, VendorName::new, found);
        let Some(fields) = fields else { continue };
        let mut models = Vec::new();
        for (pattern, spot) in patterns(&fields, "models", found) {
            let claimed = surfaces.vendors.iter().find(|vendor| vendor.models.contains(&pattern));
            match claimed.filter(|vendor| Some(&vendor.name) != name.as_ref()) {
                Some(other) => {
                    let why = "the longest pattern that matches a model decides whose it is, so each belongs to one vendor";
                    let what = format!("`{}` already belongs to the vendor `{}`", spot.text, other.name);
                    found.fault(spot.at, what, why, "a longer pattern, or nothing");
                }
                None if claimed.is_none() => models.push(pattern),
                None => {}
            }
        }
        let Some(name) = name else { continue };
        match surfaces.vendors.iter_mut().find(|vendor| vendor.name == name) {
            Some(vendor) => vendor.models.extend(models),
            None => surfaces.vendors.push(Vendor { name, models }),
        }
    }
}

/// Adds the surfaces of the files that the file names.
pub(super) fn surfaces(file: &Fields<'_>, read: &ReadFile<'_>, surfaces: &mut Surfaces, found: &mut Found) {
    for spot in file.texts("surfaces", found) {
        let text = match read(spot.text) {
            Ok(text) => text,
            Err(why) => {
                found.fault(
                    spot.at,
                    format!("`{}` cannot be read", spot.text),
                    why,
                    "a file of surfaces that there is",
                );
                continue;
            }
        };
        match Surfaces::parse(&text, spot.text) {
            Ok(more) => {
                if let Err(why) = surfaces.add(more).and_then(|()| surfaces.check()) {
                    let what = format!("`{}` does not go with what is known already", spot.text);
                    found.fault(spot.at, what, why, "another name, or nothing");
                }
            }
            Err(faults) => found.other(spot.at, faults),
        }
    }
}
