//! The contract: readings and terms.

use super::{CLASSES, GRADES, row};
use crate::table::Kind::{In, Instant, List, Many, Map, Name, Path, Pattern, Span, Text, Word, Words};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Field, Kind, Rule, Section};

static A_READING: Kind = In(&READING);
static A_TERM: Kind = In(&TERM);
static A_CLAIM: Kind = In(&CLAIM);

const ENFORCE: Field = row("enforce", Optional, Name, "memory-is-state", "The reading that decides.");
const BAND: Field = row(
    "band",
    Default("conservative"),
    Word(&["conservative", "enforced", "refuse"]),
    "conservative",
    "What happens to a request on which the readings disagree: conservative sends it only where every reading allows it; enforced follows the enforced reading alone; refuse refuses it. Default conservative: nothing leaves that any party could call a breach.",
);
const READINGS: Field = row(
    "readings",
    Optional,
    Map(&A_READING),
    "{ memory-is-state: { stateful_from: continues } }",
    "The parties' interpretations by name, at most 16.",
);
const TERMS: Field =
    row("terms", Optional, List(&A_TERM), "[{ id: azure-stateless, only: azure }]", "The clauses.");
const OTHERWISE: Field = row(
    "otherwise",
    Optional,
    Word(&["refuse"]),
    "refuse",
    "What happens to a request that no term speaks of. It is always refused; where this is not written, `prove` takes such requests for an oversight.",
);
const CLOCK_SKEW: Field = row(
    "clock_skew",
    Default("5s"),
    Span { zero: true },
    "5s",
    "How far this machine's clock may be off; so near to a boundary only what both sides allow is allowed. Default 5s: ten times what NTP keeps on a bad day.",
);
const WARN_BEFORE: Field = row(
    "warn_before",
    Default("14d"),
    Span { zero: true },
    "14d",
    "How long before the last term in force ends a warning is logged and shown. Default 14d: time to ask counsel and to roll out.",
);
const PARTIES: Field = row("parties", Optional, Many(&Text), "[Acme, Contoso]", "Who agreed to it.");
const APPROVED_BY: Field = row(
    "approved_by",
    Optional,
    Text,
    "\"General Counsel, 2026-05-02\"",
    "Who approved of these words, and when.",
);
const PROVE: Field = row(
    "prove",
    Optional,
    List(&A_CLAIM),
    "[{ claim: ..., given: { class: stateless }, then: { only: azure } }]",
    "What must hold of the contract whatever happens; `riparian prove` holds it to that.",
);

pub(crate) static CONTRACT: Section = Section {
    name: "contract",
    doc: "What the parties agreed, and which party's reading of it is enforced.",
    rule: Rule::Free,
    fields: &[
        row(
            "include",
            Optional,
            Many(&Path),
            "contracts/2026.yaml",
            "Files that hold parts of it, in the same words and relative to this file: counsel owns those, platform this one. What is said once is said in one of them.",
        ),
        ENFORCE,
        BAND,
        READINGS,
        TERMS,
        OTHERWISE,
        CLOCK_SKEW,
        WARN_BEFORE,
        PARTIES,
        APPROVED_BY,
        PROVE,
    ],
};

/// A file of [`CONTRACT`]'s `include`.
pub(crate) static CONTRACT_FILE: Section = Section {
    name: "contract file",
    doc: "A part of a contract, in a file of its own.",
    rule: Rule::Free,
    fields: &[
        ENFORCE,
        BAND,
        READINGS,
        TERMS,
        OTHERWISE,
        CLOCK_SKEW,
        WARN_BEFORE,
        PARTIES,
        APPROVED_BY,
        PROVE,
    ],
};

pub(crate) static CLAIM: Section = Section {
    name: "claim",
    doc: "Something that must hold of the contract, over all requests that it speaks of and whatever is down.",
    rule: Rule::Free,
    fields: &[
        row("claim", Required, Text, "no stateless call leaves the first cloud", "In your own words."),
        row("given", Optional, In(&WHEN), "{ class: stateless }", "Of which requests. Default: all of them."),
        row("from", Optional, Instant, "2026-02-27", "From then on. Default: always."),
        row("until", Optional, Instant, "2026-04-27", "Until just before. Default: for ever."),
        row(
            "reading",
            Optional,
            Name,
            "every-call-is-a-call",
            "Under which reading. Default: as enforced, with its band.",
        ),
        row("then", Required, In(&THEN), "{ only: azure }", "What holds of them."),
    ],
};

pub(crate) static THEN: Section = Section {
    name: "conclusion",
    doc: "What holds of every such request.",
    rule: Rule::ExactlyOne,
    fields: &[
        row("only", Optional, Many(&Name), "[azure]", "It goes to one of these clouds, or nowhere."),
        row("never", Optional, Many(&Name), "[openai]", "It goes to none of these."),
        row(
            "is",
            Optional,
            Word(&["refused", "allowed"]),
            "refused",
            "It goes nowhere; or, while all endpoints are up, somewhere.",
        ),
    ],
};

pub(crate) static READING: Section = Section {
    name: "reading",
    doc: "A party's interpretation of \"stateful\".",
    rule: Rule::Free,
    fields: &[
        row(
            "stateful_from",
            Required,
            Word(&["pure", "cached", "sealed", "creates", "continues", "connection", "runtime", "never"]),
            "continues",
            "The lowest grade that is stateful; never when nothing is.",
        ),
        row(
            "inner_calls",
            Default("own"),
            Word(&["own", "inherit"]),
            "own",
            "How a call is judged that is made in the course of a session and arrives with its identity: own, by itself; inherit, as part of that session. Default own: a call is what it is.",
        ),
        row(
            "surfaces",
            Optional,
            Words(CLASSES),
            "{ openai.files.*: stateless }",
            "What the line cannot say: surfaces that are of a class whatever their grade. The first that matches counts.",
        ),
        row(
            "signals",
            Optional,
            Words(CLASSES),
            "{ /prompt_cache_key: stateful }",
            "The same of signals, as `riparian surfaces` shows their places: stateful makes a request stateful, stateless does not count.",
        ),
    ],
};

pub(crate) static TERM: Section = Section {
    name: "term",
    doc: "One clause: in force from `from` until just before `until`.",
    rule: Rule::AtLeastOne(&["only", "never", "prefer"]),
    fields: &[
        row("id", Required, Name, "azure-stateless", "Explanations and refusals cite it. Unique."),
        row("cite", Optional, Text, "\"Joint statement, 2026-02-27\"", "The source."),
        row(
            "parties",
            Optional,
            Many(&Text),
            "[Acme, Contoso]",
            "Who agreed to it, where that is not everybody.",
        ),
        APPROVED_BY,
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
        row(
            "on_expiry",
            Default("cut"),
            Word(&["grandfather", "drain", "cut"]),
            "grandfather",
            "What becomes of sessions that live by it when it ends: grandfather, they go on where they live until their own end; drain, until they rest for longer than `sessions.idle`; cut, they are refused at once and their sockets closed. A `never` in force holds all the same. Default cut: what is not allowed is refused.",
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
            "What a reading makes of the request. Default: either.",
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
        row("tenant", Optional, Many(&Name), "shop", "A caller of `tenants`. Default: anybody."),
        row(
            "data_region",
            Optional,
            Many(&Name),
            "eu",
            "Where its caller's data must stay, as `tenants` says. Default: anywhere.",
        ),
    ],
};
