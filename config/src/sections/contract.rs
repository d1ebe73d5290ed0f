//! The contract: readings and terms.

use super::{CLASSES, GRADES, row};
use crate::table::Kind::{In, Instant, List, Many, Map, Name, Pattern, Span, Text, Word};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Rule, Section};

pub(crate) static CONTRACT: Section = Section {
    name: "contract",
    doc: "What the parties agreed, and which party's reading of it is enforced.",
    rule: Rule::Free,
    fields: &[
        row("enforce", Required, Name, "memory-is-state", "The reading that decides."),
        row(
            "readings",
            Required,
            Map(&In(&READING)),
            "{ memory-is-state: { stateful_from: continues } }",
            "The parties' interpretations by name.",
        ),
        row(
            "terms",
            Required,
            List(&In(&TERM)),
            "[{ id: azure-stateless, only: azure }]",
            "The clauses. What none of them speaks of is refused.",
        ),
        row(
            "otherwise",
            Default("refuse"),
            Word(&["refuse"]),
            "refuse",
            "What happens to a request that no term speaks of. It is always refused.",
        ),
        row(
            "clock_skew",
            Default("5s"),
            Span { zero: true },
            "5s",
            "How far this machine's clock may be off; so near to a boundary only what both sides allow is allowed. Default 5s: ten times what NTP keeps on a bad day.",
        ),
    ],
};

pub(crate) static READING: Section = Section {
    name: "reading",
    doc: "A party's interpretation of \"stateful\".",
    rule: Rule::Free,
    fields: &[row(
        "stateful_from",
        Required,
        Word(&["pure", "cached", "sealed", "creates", "continues", "connection", "runtime", "never"]),
        "continues",
        "The lowest grade that is stateful; never when nothing is.",
    )],
};

pub(crate) static TERM: Section = Section {
    name: "term",
    doc: "One clause: in force from `from` until just before `until`.",
    rule: Rule::AtLeastOne(&["only", "never", "prefer"]),
    fields: &[
        row("id", Required, Name, "azure-stateless", "Explanations and refusals cite it. Unique."),
        row("cite", Optional, Text, "\"Joint statement, 2026-02-27\"", "The source."),
        row("from", Optional, Instant, "2026-02-27T00:00:00Z", "In force from then on. Default: always was."),
        row(
            "until",
            Optional,
            Instant,
            "2026-04-27T00:00:00Z",
            "In force until just before. Default: always will be.",
        ),
        row(
            "when",
            Optional,
            In(&WHEN),
            "{ vendor: openai, class: stateless }",
            "Which requests it speaks of. Default: all of them.",
        ),
        row("only", Optional, Many(&Name), "[azure]", "The only clouds that such a request may go to."),
        row("never", Optional, Many(&Name), "[openai]", "Clouds that such a request may not go to."),
        row(
            "prefer",
            Optional,
            Many(&Name),
            "[azure, aws]",
            "Clouds to try first, in this order; it allows and forbids nothing.",
        ),
    ],
};

pub(crate) static WHEN: Section = Section {
    name: "condition",
    doc: "Every condition that is given must hold; within one, any of its values.",
    rule: Rule::Free,
    fields: &[
        row("vendor", Optional, Many(&Name), "openai", "Whose model it is. Default: anybody's."),
        row(
            "class",
            Optional,
            Word(CLASSES),
            "stateless",
            "What the enforced reading makes of the grade. Default: either.",
        ),
        row(
            "grade",
            Optional,
            Many(&Word(GRADES)),
            "[creates, continues]",
            "How much server-side state. Default: any but unknown, which must be named to be met.",
        ),
        row("surface", Optional, Many(&Pattern), "openai.responses.*", "Which API operation. Default: any."),
        row(
            "model",
            Optional,
            Many(&Pattern),
            "gpt-5*",
            "The model as the client names it. Default: any, or none.",
        ),
        row("product", Optional, Many(&Name), "frontier", "A product of `products`. Default: any, or none."),
    ],
};
