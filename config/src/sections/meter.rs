//! What tokens cost.

use super::row;
use crate::table::Kind::{Count, Decimal, Flag, In, Instant, List, Many, Map, Name, Path, Pattern};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Rule, Section};

/// What a million tokens may cost, and a commitment amount to: far over what anybody asks, and far below what would overflow.
const PRICE_MAX: u64 = 1_000_000;
const AMOUNT_MAX: u64 = 10_000_000_000_000;

pub(crate) static METER: Section = Section {
    name: "meter",
    doc: "What tokens cost, what was committed to, and who has a share in it. Tokens are counted without it, too.",
    rule: Rule::Free,
    fields: &[
        row(
            "path",
            Optional,
            Path,
            "/var/lib/riparian/meter.json",
            "Where totals of money, commitments and shares outlive a restart; written each second. Without it they begin anew.",
        ),
        row(
            "currency",
            Default("USD"),
            Name,
            "EUR",
            "The currency of all prices. Default USD, as vendors' lists are.",
        ),
        row("prices", Optional, List(&In(&PRICE)), "[...]", "The first that fits a request prices it."),
        row(
            "commitments",
            Optional,
            Map(&In(&COMMITMENT)),
            "{ azure-2026: { cloud: azure, money: 1000000, from: 2026-01-01, until: 2027-01-01 } }",
            "What is to be drawn, and until when: drawdown and forecast are metrics.",
        ),
        row("shares", Optional, List(&In(&SHARE)), "[...]", "Parties' per cents of terms' money."),
    ],
};

static PRICE: Section = Section {
    name: "price",
    doc: "What a million tokens cost.",
    rule: Rule::Free,
    fields: &[
        row("vendor", Optional, Name, "openai", "Whose models. Default: anybody's."),
        row("model", Optional, Many(&Pattern), "gpt-5*", "The model as the client names it. Default: any."),
        row("cloud", Optional, Many(&Name), "[azure]", "At which clouds. Default: at any."),
        row("input", Required, Decimal(PRICE_MAX), "1.25", "A million tokens of input that no cache knows."),
        row("cached", Optional, Decimal(PRICE_MAX), "0.125", "Read from a cache. Default: as other input."),
        row("cache_write", Optional, Decimal(PRICE_MAX), "1.25", "Written to a cache. Default: as input."),
        row("output", Default("0"), Decimal(PRICE_MAX), "10", "Output, reasoning included. Default 0."),
    ],
};

static COMMITMENT: Section = Section {
    name: "commitment",
    doc: "An amount of money or tokens that is to be drawn in a span of time.",
    rule: Rule::AtLeastOne(&["money", "tokens"]),
    fields: &[
        row("cloud", Optional, Many(&Name), "[azure]", "At which clouds. Default: at any."),
        row("term", Optional, Many(&Name), "azure-stateless", "Requests that a term matched. Default: any."),
        row("money", Optional, Decimal(AMOUNT_MAX), "1000000", "How much, in the currency."),
        row(
            "tokens",
            Optional,
            Count(1, AMOUNT_MAX),
            "5000000000",
            "Or how many, input and output together.",
        ),
        row(
            "drawn_before",
            Default("0"),
            Decimal(AMOUNT_MAX),
            "250000",
            "What was drawn before the meter began, in the same. Default 0.",
        ),
        row("from", Required, Instant, "2026-01-01", "Its first moment."),
        row("until", Required, Instant, "2027-01-01", "The first moment after it."),
        row(
            "steer",
            Default("false"),
            Flag,
            "true",
            "Try its clouds first while less is drawn than was planned by now: among those that the contract names and likes equally well. Default false, because money decides nothing unless somebody says so.",
        ),
    ],
};

static SHARE: Section = Section {
    name: "share",
    doc: "A party's per cent of a term's money.",
    rule: Rule::Free,
    fields: &[
        row("party", Required, Name, "openai", "Whose."),
        row("term", Required, Name, "azure-stateless", "Of what was spent on requests that it matched."),
        row("per_cent", Required, Decimal(100), "20", "How much of it, at most 100."),
    ],
};
