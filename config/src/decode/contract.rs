//! Readings and terms: that every name stands for something, and that each term can come to speak.

use super::naming::{known_names, name, name_at, patterns, surface_patterns, unique, unknown};
use crate::fault::Found;
use crate::read::{Fields, Spot};
use crate::table::quoted;
use crate::tree::Value;
use crate::{
    Class, CloudName, Contract, Grade, Pattern, ProductName, Reading, ReadingName, Surfaces, Term, TermId,
    VendorName, When,
};

/// What terms may name. Names count even when what they name has faults of its own.
struct Known<'t> {
    clouds: Vec<&'t str>,
    products: Vec<&'t str>,
    vendors: Vec<&'t str>,
    surfaces: &'t Surfaces,
    /// Absent when it could not be read.
    enforced: Option<Reading>,
}

pub(super) fn contract(file: &Fields<'_>, surfaces: &Surfaces, found: &mut Found) -> Option<Contract> {
    let fields = file.section("contract", found)?;
    let readings = readings(&fields, found);
    let enforced = enforced(&fields, &readings, found);
    let clock_skew = fields.span("clock_skew", found);
    fields.word("otherwise", found);
    let known = Known {
        clouds: keys(file, "clouds"),
        products: keys(file, "products"),
        vendors: surfaces.vendors.iter().map(|vendor| vendor.name.as_str()).collect(),
        surfaces,
        enforced: enforced.map(|index| readings[index].clone()),
    };
    let sections = fields.sections("terms", found);
    let mut ids = Vec::new();
    let mut terms = Vec::new();
    for fields in &sections {
        ids.extend(fields.text("id", &mut Found::default()).map(|id| (id.text.to_owned(), id.at)));
        terms.extend(term(fields, &known, file, found));
    }
    unique(&ids, "term", found);
    Some(Contract { readings, enforced: enforced?, terms, clock_skew: clock_skew? })
}

/// The keys of a map in the file, whatever stands under them.
fn keys<'t>(file: &Fields<'t>, key: &str) -> Vec<&'t str> {
    match file.entry(key).map(|entry| &entry.node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn readings(fields: &Fields<'_>, found: &mut Found) -> Vec<Reading> {
    let named = fields.named("readings", found);
    let read = |(spot, fields): (Spot<'_>, Option<Fields<'_>>)| {
        let name = name(spot, ReadingName::new, found);
        let word = fields?.word("stateful_from", found);
        Some(Reading { name: name?, stateful_from: Grade::parse(word?) })
    };
    named.into_iter().filter_map(read).collect()
}

fn enforced(fields: &Fields<'_>, readings: &[Reading], found: &mut Found) -> Option<usize> {
    let spot = fields.text("enforce", found)?;
    let index = readings.iter().position(|reading| reading.name.as_str() == spot.text);
    if index.is_none() && !keys(fields, "readings").contains(&spot.text) {
        unknown(spot, &keys(fields, "readings"), "reading", found);
    }
    index
}

fn term(fields: &Fields<'_>, known: &Known<'_>, file: &Fields<'_>, found: &mut Found) -> Option<Term> {
    let id = name_at(fields, "id", TermId::new, found);
    let cite = fields.text("cite", found).map(|spot| spot.text.to_owned());
    let (from, until) = (fields.instant("from", found), fields.instant("until", found));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        let what = format!("the term ends at {until} and begins at {from}");
        let why = "it holds from `from` until just before `until`, so it would never be in force";
        found.fault(fields.value_at("until"), what, why, "a later `until`, or none");
    }
    let when = match fields.has("when") {
        true => fields.section("when", found).map(|when_fields| when(&when_fields, known, file, found)),
        false => Some(When::default()),
    };
    let mut clouds = |key| known_names(fields, key, &known.clouds, "cloud", CloudName::new, found);
    let (only, never, prefer) = (clouds("only"), clouds("never"), clouds("prefer"));
    contradicts(fields, "only", &only, &never, found);
    contradicts(fields, "prefer", &prefer, &never, found);
    let only = fields.has("only").then_some(only);
    Some(Term { id: id?, cite, from, until, when: when?, only, never, prefer })
}

/// Reports clouds that one term both names under `key` and forbids.
fn contradicts(fields: &Fields<'_>, key: &str, named: &[CloudName], never: &[CloudName], found: &mut Found) {
    let both = named.iter().filter(|cloud| never.contains(cloud)).map(CloudName::as_str).collect::<Vec<_>>();
    if !both.is_empty() {
        let what = format!("{} stands in `{key}` and in `never`", quoted(&both));
        let why = "what a term forbids it cannot name as well";
        found.fault(fields.at("never"), what, why, format!("in one of `{key}` and `never`"));
    }
}

fn when(fields: &Fields<'_>, known: &Known<'_>, file: &Fields<'_>, found: &mut Found) -> When {
    let vendors = known_names(fields, "vendor", &known.vendors, "vendor", VendorName::new, found);
    let class = fields.word("class", found).and_then(Class::parse);
    let grades = grades(fields, found);
    let surfaces = surface_patterns(fields, "surface", known.surfaces, found);
    let models = patterns(fields, "model", found).into_iter().map(|(pattern, _)| pattern).collect();
    let products = known_names(fields, "product", &known.products, "product", ProductName::new, found);
    let when = When { vendors, class, grades, surfaces, models, products };
    dead_by_grade(fields, &when, known, found);
    dead_by_product(fields, &when, known, file, found);
    when
}

fn grades(fields: &Fields<'_>, found: &mut Found) -> Vec<Grade> {
    let words = Grade::ALL.map(Grade::as_str);
    let spots = fields.texts("grade", found);
    let read = |spot: Spot<'_>| {
        let grade = Grade::parse(spot.text);
        if grade.is_none() {
            unknown(spot, &words, "grade", found);
        }
        grade
    };
    spots.into_iter().filter_map(read).collect()
}

/// Reports grades none of which is of the class that stands beside them.
fn dead_by_grade(fields: &Fields<'_>, when: &When, known: &Known<'_>, found: &mut Found) {
    let (Some(class), Some(reading)) = (when.class, &known.enforced) else { return };
    if when.grades.is_empty() || when.grades.iter().any(|grade| reading.class(*grade) == class) {
        return;
    }
    let names = when.grades.iter().map(|grade| grade.as_str()).collect::<Vec<_>>();
    let from = reading.stateful_from.map_or("never", Grade::as_str);
    let what = format!("{} is never {class}", quoted(&names));
    let why = format!(
        "the enforced reading `{}` has `stateful_from: {from}`, so no request is both and the term is dead",
        reading.name
    );
    found.fault(fields.value_at("grade"), what, why, "another grade, or `grade` or `class` alone");
}

/// Reports surfaces and products that have no surface in common.
fn dead_by_product(
    fields: &Fields<'_>,
    when: &When,
    known: &Known<'_>,
    file: &Fields<'_>,
    found: &mut Found,
) {
    if when.surfaces.is_empty() || when.products.is_empty() {
        return;
    }
    // The products were checked, and their faults reported, where they stand; here only what they match counts.
    let products = super::naming::products(file, known.surfaces, &mut Found::default());
    let named = products.iter().filter(|product| when.products.contains(&product.name));
    let of_products = named.flat_map(|product| &product.surfaces).collect::<Vec<&Pattern>>();
    let both = known.surfaces.surfaces.iter().map(|surface| surface.id.as_str()).any(|id| {
        when.surfaces.iter().any(|pattern| pattern.matches(id))
            && of_products.iter().any(|pattern| pattern.matches(id))
    });
    if !both && !of_products.is_empty() {
        let why = "every condition must hold, and no surface is in both, so the term is dead";
        found.fault(
            fields.value_at("surface"),
            "the product has no such surface",
            why,
            "`surface` or `product` alone",
        );
    }
}
