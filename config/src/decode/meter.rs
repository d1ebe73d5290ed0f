//! Prices, commitments and shares: that every name stands for something, and that a span has an end.

use super::naming::{name_at, patterns, unknown};
use crate::fault::Found;
use crate::read::{Fields, Spot};
use crate::{
    Amount, Cloud, CloudName, Commitment, CommitmentName, Contract, Meter, Millionths, PartyName, Price,
    Share, Surfaces, TermId,
};

/// What a meter may name.
struct Known<'k> {
    clouds: &'k [Cloud],
    /// Absent when the contract has faults of its own.
    contract: Option<&'k Contract>,
    surfaces: &'k Surfaces,
}

pub(super) fn meter(
    file: &Fields<'_>,
    clouds: &[Cloud],
    contract: Option<&Contract>,
    surfaces: &Surfaces,
    found: &mut Found,
) -> Option<Meter> {
    let fields = file.section_or_empty("meter", found)?;
    let known = Known { clouds, contract, surfaces };
    let currency = fields.word_of_name("currency", found);
    let prices = fields.sections("prices", found);
    let prices: Vec<Price> = prices.iter().filter_map(|fields| price(fields, &known, found)).collect();
    let named = fields.named("commitments", found);
    let commitments: Vec<Commitment> =
        named.into_iter().filter_map(|(spot, fields)| commitment(spot, &fields?, &known, found)).collect();
    let shares = fields.sections("shares", found);
    let shares: Vec<Share> = shares.iter().filter_map(|fields| share(fields, &known, found)).collect();
    for (key, needs) in [
        ("shares", fields.has("shares")),
        ("commitments", commitments.iter().any(|one| matches!(one.amount, Amount::Money(_)))),
    ] {
        if needs && !fields.has("prices") {
            let why = "without prices nothing is money, and this would stay at 0";
            found.fault(fields.at(key), "there are no `prices`", why, "`prices` beside it");
        }
    }
    Some(Meter { path: fields.path("path", found), currency: currency?, prices, commitments, shares })
}

fn price(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Option<Price> {
    let vendors: Vec<&str> = known.surfaces.vendors.iter().map(|vendor| vendor.name.as_str()).collect();
    let vendor = fields.text("vendor", found).and_then(|spot| {
        let vendor = known.surfaces.vendors.iter().find(|vendor| vendor.name.as_str() == spot.text);
        if vendor.is_none() {
            unknown(spot, &vendors, "vendor", found);
        }
        Some(vendor?.name.clone())
    });
    let models = patterns(fields, "model", found).into_iter().map(|(pattern, _)| pattern).collect();
    let clouds = clouds(fields, known, found);
    let input = fields.decimal("input", found);
    let (cached, cache_write) = (fields.decimal("cached", found), fields.decimal("cache_write", found));
    let output = fields.decimal("output", found);
    let input = input?;
    Some(Price {
        vendor,
        models,
        clouds,
        input,
        cached: cached.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
        output: output?,
    })
}

fn commitment(
    spot: Spot<'_>,
    fields: &Fields<'_>,
    known: &Known<'_>,
    found: &mut Found,
) -> Option<Commitment> {
    let name = super::naming::name(spot, CommitmentName::new, found);
    let clouds = clouds(fields, known, found);
    let spots = fields.texts("term", found);
    let terms = spots.into_iter().filter_map(|spot| term(spot, known, found)).collect();
    let money = fields.decimal("money", found).map(Amount::Money);
    let tokens = fields.has("tokens").then(|| fields.count("tokens", found)).flatten();
    let tokens = tokens.map(|count| Amount::Tokens(Millionths(count.saturating_mul(Millionths::ONE))));
    if fields.has("money") && fields.has("tokens") {
        let why = "one drawdown is of one thing";
        let instead = "one of the two, and another commitment for the other";
        found.fault(fields.at("tokens"), "`money` and `tokens` stand together", why, instead);
    }
    let drawn_before = fields.decimal("drawn_before", found);
    let (from, until) = (fields.instant("from", found), fields.instant("until", found));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        let why = "a span ends after it begins";
        found.fault(fields.value_at("until"), "`until` is not after `from`", why, "a later moment");
    }
    let steer = fields.flag("steer", found);
    Some(Commitment {
        name: name?,
        clouds,
        terms,
        amount: money.or(tokens)?,
        drawn_before: drawn_before?,
        from: from?,
        until: until?,
        steer: steer?,
    })
}

fn share(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Option<Share> {
    let party = name_at(fields, "party", PartyName::new, found);
    let term = fields.text("term", found).and_then(|spot| term(spot, known, found));
    let per_cent = fields.decimal("per_cent", found);
    Some(Share { party: party?, term: term?, per_cent: per_cent? })
}

fn clouds(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Vec<CloudName> {
    let names: Vec<&str> = known.clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    let spots = fields.texts("cloud", found);
    let clouds = spots.into_iter().filter_map(|spot| {
        let cloud = known.clouds.iter().find(|cloud| cloud.name.as_str() == spot.text);
        if cloud.is_none() {
            unknown(spot, &names, "cloud", found);
        }
        Some(cloud?.name.clone())
    });
    clouds.collect()
}

fn term(spot: Spot<'_>, known: &Known<'_>, found: &mut Found) -> Option<TermId> {
    let terms = &known.contract?.terms;
    let term = terms.iter().find(|term| term.id.as_str() == spot.text);
    if term.is_none() {
        unknown(spot, &terms.iter().map(|term| term.id.as_str()).collect::<Vec<_>>(), "term", found);
    }
    Some(term?.id.clone())
}
