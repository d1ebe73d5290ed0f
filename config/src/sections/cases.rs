//! Named cases: requests, and what must become of them.

use super::{CLASSES, GRADES, row};
use crate::table::Kind::{In, Instant, Json, List, Many, Map, Name, Path, Span, Text, Word};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Kind, Rule, Section};

static A_CASE: Kind = In(&CASE);
static A_TEXT: Kind = Text;

pub(crate) static CASES: Section = Section {
    name: "case file",
    doc: "Requests with names, and what must become of each: for those who answer for the contract to read and to sign.",
    rule: Rule::Free,
    fields: &[
        row(
            "cases",
            Required,
            List(&A_CASE),
            "[{ name: ..., given: ..., at: ..., expect: ... }]",
            "The cases.",
        ),
        row(
            "approved_by",
            Optional,
            Text,
            "\"General Counsel, 2026-05-02\"",
            "Who has read these cases and approved of them, and when.",
        ),
    ],
};

pub(crate) static CASE: Section = Section {
    name: "case",
    doc: "One request at one moment, and what must become of it.",
    rule: Rule::Free,
    fields: &[
        row(
            "name",
            Required,
            Text,
            "a stateless call stays with the first cloud",
            "In your own words. Unique.",
        ),
        row("cite", Optional, Text, "\"Joint statement, 2026-02-27\"", "What it follows from."),
        row(
            "given",
            Required,
            In(&GIVEN),
            "{ path: /v1/responses, body: { model: gpt-5.5 } }",
            "The request.",
        ),
        row("at", Required, Instant, "2026-03-15", "When it comes."),
        row(
            "pin",
            Optional,
            Map(&A_TEXT),
            "{ resp_1: bedrock-use1 }",
            "Where handles that it cites live: handle to endpoint. Others are unknown.",
        ),
        row(
            "since",
            Optional,
            Instant,
            "2026-03-01",
            "When the terms last allowed what is pinned to be where it is. Default: when the request comes.",
        ),
        row(
            "rested",
            Optional,
            Span { zero: true },
            "40m",
            "How long its session has rested. Default: since then.",
        ),
        row("down", Optional, Many(&Name), "[azure]", "Endpoints that are down, or clouds of which all are."),
        row(
            "reading",
            Optional,
            Name,
            "every-call-is-a-call",
            "Under this reading alone. Default: as the contract has it, with its band.",
        ),
        row("expect", Required, In(&EXPECT), "{ goes_to: azure }", "What must become of it."),
    ],
};

pub(crate) static GIVEN: Section = Section {
    name: "request",
    doc: "A request, as words or as a file.",
    rule: Rule::AtLeastOne(&["path", "request"]),
    fields: &[
        row("method", Default("POST"), Text, "GET", "Its method. Default POST."),
        row("path", Optional, Text, "/v1/chat/completions", "Its path, and its query if it has one."),
        row(
            "headers",
            Optional,
            Map(&A_TEXT),
            "{ x-session-id: s1 }",
            "Its headers; `Host` and `Content-Type` are made up where they are not given.",
        ),
        row(
            "body",
            Optional,
            Json,
            "{ model: gpt-5.5 }",
            "Its body: a map that is sent as JSON, or text that is sent as it is.",
        ),
        row("caller", Optional, Name, "shop", "Which caller of `tenants` asks. Default: nobody with a name."),
        row(
            "request",
            Optional,
            Path,
            "turn.http",
            "In the others' stead: a file with a raw HTTP/1.1 request, relative to this one.",
        ),
    ],
};

pub(crate) static EXPECT: Section = Section {
    name: "expectation",
    doc: "What must become of the request. All that is given must hold.",
    rule: Rule::AtLeastOne(&["verdict", "goes_to", "refused", "grade", "class", "terms", "in_band", "lease"]),
    fields: &[
        row(
            "verdict",
            Optional,
            Word(&["free", "hold", "refuse"]),
            "hold",
            "Free to choose, held by state, or refused.",
        ),
        row(
            "goes_to",
            Optional,
            Many(&Name),
            "azure",
            "Clouds or endpoints: it goes to one of these, failover included, and to no other.",
        ),
        row("refused", Optional, Name, "no_term", "It is refused, with this code."),
        row("grade", Optional, Word(GRADES), "continues", "How much state it has."),
        row("class", Optional, Word(CLASSES), "stateful", "What the enforced reading makes of it."),
        row(
            "terms",
            Optional,
            Many(&Name),
            "[azure-stateless]",
            "The terms that speak of it, all of them, in any order.",
        ),
        row("in_band", Optional, Kind::Flag, "true", "Whether the readings disagree about where it may go."),
        row(
            "lease",
            Optional,
            Word(&["grandfather", "drain"]),
            "grandfather",
            "By which kind of expiry it goes on.",
        ),
    ],
};
