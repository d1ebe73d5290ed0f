//! The conditions of terms and claims: that each can be met together with the others.

use super::Known;
use crate::decode::naming::{known_names, patterns, products, surface_patterns, unknown};
use crate::fault::Found;
use crate::read::{Fields, Spot};
use crate::table::quoted;
use crate::{
    Class, DataRegion, Grade, InnerCalls, Pattern, ProductName, Reading, TenantName, VendorName, When,
};

pub(super) fn when(fields: &Fields<'_>, known: &Known<'_>, file: &Fields<'_>, found: &mut Found) -> When {
    let vendors = known_names(fields, "vendor", &known.vendors, "vendor", VendorName::new, found);
    let class = fields.word("class", found).and_then(Class::parse);
    let grades = grades(fields, found);
    let surfaces = surface_patterns(fields, "surface", known.surfaces, found);
    let models = patterns(fields, "model", found).into_iter().map(|(pattern, _)| pattern).collect();
    let products = known_names(fields, "product", &known.products, "product", ProductName::new, found);
    let tenants = known_names(fields, "tenant", &known.tenants, "tenant", TenantName::new, found);
    let data_regions = known_names(
        fields,
        "data_region",
        &known.data_regions,
        "tenant's data region",
        DataRegion::new,
        found,
    );
    let when = When { vendors, class, grades, surfaces, models, products, tenants, data_regions };
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

/// Reports grades none of which is of the class that stands beside them, whatever the reading.
fn dead_by_grade(fields: &Fields<'_>, when: &When, known: &Known<'_>, found: &mut Found) {
    let Some(class) = when.class else { return };
    let exceptions = |reading: &Reading| {
        !reading.surfaces.is_empty()
            || !reading.signals.is_empty()
            || reading.inner_calls == InnerCalls::Inherit
    };
    let meets = |reading: &Reading| {
        exceptions(reading) || when.grades.iter().any(|grade| reading.class(*grade) == class)
    };
    if when.grades.is_empty() || known.readings.iter().any(meets) {
        return;
    }
    let names = when.grades.iter().map(|grade| grade.as_str()).collect::<Vec<_>>();
    let what = format!("{} is never {class}", quoted(&names));
    let froms = known.readings.iter().map(|reading| {
        let from = reading.stateful_from.map_or("never", Grade::as_str);
        format!("`{}` has `stateful_from: {from}`", reading.name)
    });
    let froms = froms.collect::<Vec<_>>().join(", ");
    let why = format!("{froms}, so no request is both and the term is dead");
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
    let products = products(file, known.surfaces, &mut Found::default());
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
