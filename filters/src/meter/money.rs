//! Tokens -> money, exactly: integers all the way.
//!
//! A price is in millionths of the currency for a million tokens, so that a token costs so many millionths of a millionth: *picos*. A
//! cost is a whole number of them.

use super::Usage;
use riparian_config::{CloudName, Commitment, Meter, Millionths, Price, Timestamp, VendorName};

/// The first price that fits a request.
#[must_use]
pub fn price<'m>(
    meter: &'m Meter,
    vendor: Option<&VendorName>,
    model: Option<&str>,
    cloud: &CloudName,
) -> Option<&'m Price> {
    meter.prices.iter().find(|price| {
        let models = &price.models;
        price.vendor.as_ref().is_none_or(|own| Some(own) == vendor)
            && (models.is_empty()
                || model.is_some_and(|model| models.iter().any(|pattern| pattern.matches(model))))
            && (price.clouds.is_empty() || price.clouds.contains(cloud))
    })
}

/// What that is at this price, in picos.
#[must_use]
pub fn cost(price: &Price, usage: &Usage) -> u128 {
    let of = |count: u64, price: Millionths| u128::from(count) * u128::from(price.0);
    of(usage.fresh(), price.input)
        + of(usage.cached, price.cached)
        + of(usage.cache_write, price.cache_write)
        + of(usage.output, price.output)
}

/// So many per cent of an amount, rounded down to a whole pico.
#[must_use]
pub fn share(per_cent: Millionths, picos: u128) -> u128 {
    picos * u128::from(per_cent.0) / u128::from(100 * Millionths::ONE)
}

/// How a commitment stands at some moment, all in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawdown {
    /// What is drawn, before the meter began included.
    pub drawn: Millionths,
    /// What had to be drawn by now, at the same pace all along.
    pub plan: Millionths,
    /// What will be drawn at the end, if it goes on as it went since the meter began.
    pub forecast: Millionths,
}

impl Drawdown {
    /// `metered` is what was drawn since `since`, when the meter began, or the span if that was later.
    #[must_use]
    pub fn at(commitment: &Commitment, metered: Millionths, since: Timestamp, now: Timestamp) -> Self {
        let seconds = |from: Timestamp, to: Timestamp| {
            u128::try_from(to.as_second().saturating_sub(from.as_second())).unwrap_or(0)
        };
        let part = |amount: Millionths, of: u128, whole: u128| {
            let part = u128::from(amount.0) * of / whole.max(1);
            Millionths(u64::try_from(part).unwrap_or(u64::MAX))
        };
        let add = |a: Millionths, b: Millionths| Millionths(a.0.saturating_add(b.0));
        let Commitment { from, until, drawn_before, amount, .. } = commitment;
        let (now, span) = (now.clamp(*from, *until), seconds(*from, *until));
        let drawn = add(*drawn_before, metered);
        // Of less than a second nothing can be foreseen.
        let seen = seconds(since.clamp(*from, now), now).max(1);
        Self {
            drawn,
            plan: part(amount.millionths(), seconds(*from, now), span),
            forecast: add(drawn, part(metered, seconds(now, *until), seen)),
        }
    }

    /// Whether less is drawn than was planned.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.drawn < self.plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use riparian_config::{Amount, CommitmentName, Pattern};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn unit(price: u64) -> Price {
        Price {
            vendor: None,
            models: Vec::new(),
            clouds: Vec::new(),
            input: Millionths(price),
            cached: Millionths(price / 10),
            cache_write: Millionths(price * 2),
            output: Millionths(price * 8),
        }
    }

    #[test]
    fn a_cost_is_exact() {
        let usage =
            Usage { input: 1000, cached: 600, cache_write: 100, output: 7, reasoning: 5, partial: false };
        // 300 x 1.25 + 600 x 0.125 + 100 x 2.5 + 7 x 10, a millionth of it each.
        assert_eq!(cost(&unit(1_250_000), &usage), 770_000_000);
        assert_eq!(share(Millionths(20_000_000), 770_000_000), 154_000_000);
        assert_eq!(share(Millionths(1), 99), 0);
    }

    #[test]
    fn the_first_price_that_fits() {
        let meter = Meter {
            path: None,
            currency: "USD".to_owned(),
            prices: vec![
                Price { models: vec![Pattern::parse("gpt-5*").expect("a pattern")], ..unit(1) },
                Price { clouds: vec![CloudName::new("aws").expect("a name")], ..unit(2) },
                Price { vendor: VendorName::new("meta").ok(), ..unit(3) },
            ],
            commitments: Vec::new(),
            shares: Vec::new(),
        };
        let priced = |vendor: &str, model: Option<&str>, cloud: &str| {
            let (vendor, cloud) = (VendorName::new(vendor).ok(), CloudName::new(cloud).expect("a name"));
            price(&meter, vendor.as_ref(), model, &cloud).map(|price| price.input.0)
        };
        assert_eq!(priced("openai", Some("gpt-5.5"), "aws"), Some(1));
        assert_eq!(priced("openai", Some("o9"), "aws"), Some(2));
        assert_eq!(priced("meta", None, "azure"), Some(3));
        assert_eq!(priced("openai", None, "azure"), None);
    }

    #[test]
    fn a_drawdown_on_a_straight_line() {
        let commitment = Commitment {
            name: CommitmentName::new("c").expect("a name"),
            clouds: Vec::new(),
            terms: Vec::new(),
            amount: Amount::Money(Millionths(100_000_000)),
            drawn_before: Millionths(10_000_000),
            from: at("2026-01-01T00:00:00Z"),
            until: at("2026-01-11T00:00:00Z"),
            steer: true,
        };
        let stands = |metered: u64, since: &str, now: &str| {
            let drawdown = Drawdown::at(&commitment, Millionths(metered), at(since), at(now));
            let Drawdown { drawn, plan, forecast } = drawdown;
            [drawn.0, plan.0, forecast.0].map(|amount| amount / 1_000_000)
        };
        // Four days in: 20 in the last two days is 10 a day, and six days are left.
        assert_eq!(stands(20_000_000, "2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z"), [30, 40, 90]);
        assert_eq!(stands(0, "2025-12-01T00:00:00Z", "2025-12-02T00:00:00Z"), [10, 0, 10], "not begun");
        assert_eq!(stands(50_000_000, "2025-12-01T00:00:00Z", "2026-02-01T00:00:00Z"), [60, 100, 60], "over");
    }
}
