//! What a file of surfaces may say: its sections and keys.

use crate::sections::{DIALECTS, GRADES, row};
use crate::table::Kind::{Flag, In, List, Many, Map, Name, Pattern, Pointer as At, Span, Text, Word, WordOr};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Field, Kind, Rule, Section};

const TIME: Kind = Span { zero: false };

pub(super) static FILE: Section = Section {
    name: "surface file",
    doc: "A family of API operations, or model vendors.",
    rule: Rule::AtLeastOne(&["surfaces", "vendors", "handles"]),
    fields: &[
        row("family", Optional, Name, "anthropic", "The beginning of its surfaces' ids."),
        row("title", Optional, Text, "Anthropic", "A few words for people."),
        row(
            "marks",
            Optional,
            In(&MARKS),
            "{ headers: [anthropic-version] }",
            "What tells its requests apart.",
        ),
        row(
            "only_marked",
            Default("false"),
            Flag,
            "true",
            "A request without a mark is never this family's.",
        ),
        row("bases", Optional, List(&Text), "[/v1]", "What may stand before every path; nothing by default."),
        row("encoded_slashes", Default("false"), Flag, "true", "A path segment may hold an encoded slash."),
        row("handles", Optional, Map(&In(&HANDLE)), "{ response: { title: Response } }", "Kinds of handles."),
        row(
            "usages",
            Optional,
            Map(&In(&USAGE)),
            "{ ours: { json: /usage, input: /in, output: /out } }",
            "Ways in which answers tell of tokens.",
        ),
        row("surfaces", Optional, List(&In(&SURFACE)), "[...]", "API operations."),
        row("vendors", Optional, Map(&In(&VENDOR)), "{ openai: { models: [gpt-*] } }", "Model vendors."),
    ],
};

static VENDOR: Section = Section {
    name: "vendor",
    doc: "Whose API or model it is. One without models has surfaces only.",
    rule: Rule::Free,
    fields: &[row(
        "models",
        Optional,
        List(&Pattern),
        "[llama-*]",
        "Names of models; the longest that matches decides.",
    )],
};

static USAGE: Section = Section {
    name: "usage",
    doc: "A way in which answers tell of tokens: where the counts' object is, and what in it adds up to what.",
    rule: Rule::AtLeastOne(&["input", "output"]),
    fields: &[
        row("json", Optional, Many(&At), "/usage", "In a JSON answer."),
        row("sse", Optional, Many(&At), "[/message/usage, /usage]", "In the data of an event."),
        row("event", Optional, Many(&At), "/usage", "In the payload of an event of an AWS event stream."),
        row("socket", Optional, Many(&At), "/response/usage", "In a message of a socket's server."),
        row("adds", Default("false"), Flag, "true", "Events add up; otherwise they are cumulative."),
        row(
            "input",
            Optional,
            Many(&Text),
            "[/prompt_tokens]",
            "All tokens of the input: pointers below that object, or `header:` and a name.",
        ),
        row("cached", Optional, Many(&Text), "[/cached_tokens]", "Those of the input read from a cache."),
        row("cache_write", Optional, Many(&Text), "[/written]", "Those of the input written to a cache."),
        row("output", Optional, Many(&Text), "[/completion_tokens]", "All tokens of the output."),
        row("reasoning", Optional, Many(&Text), "[/thoughts]", "Those of the output that were reasoning."),
    ],
};

static MARKS: Section = Section {
    name: "marks",
    doc: "What a request's head must have, any of it, to be known for this family's.",
    rule: Rule::AtLeastOne(&["headers", "hosts", "query", "authorization"]),
    fields: &[
        row(
            "headers",
            Optional,
            List(&Text),
            "[anthropic-version]",
            "One of these headers is there; lower case.",
        ),
        row("hosts", Optional, List(&Text), "[\"*.anthropic.com\"]", "`Host` is one of these; lower case."),
        row("query", Optional, List(&Text), "[key]", "One of these parameters is in the query."),
        row(
            "authorization",
            Optional,
            List(&Text),
            "[AWS4-HMAC-SHA256]",
            "`Authorization` begins with one of these.",
        ),
    ],
};

static HANDLE: Section = Section {
    name: "kind of handle",
    doc: "What its state is, and how long it lives.",
    rule: Rule::Free,
    fields: &[
        row("title", Required, Text, "Response", "A few words for people."),
        row(
            "mark",
            Optional,
            Word(&["located", "asserted", "sealed"]),
            "located",
            "What is particular about it.",
        ),
        row("prefixes", Optional, List(&Text), "[resp_]", "How its values begin; for people."),
        row("lives", Optional, TIME, "30d", "How long after its birth it is good."),
        row("idle", Optional, TIME, "20m", "How long it is good when nobody uses it."),
        row(
            "ask",
            Optional,
            Text,
            "\"/responses/{}\"",
            "A harmless GET that tells whether an endpoint has it.",
        ),
    ],
};

static SURFACE: Section = Section {
    name: "surface",
    doc: "One API operation.",
    rule: Rule::Free,
    fields: &[
        row("id", Required, Name, "openai.chat.create", "Unique; begins with the family's name."),
        row(
            "rows",
            Optional,
            List(&Name),
            "[oai.chat.create]",
            "The rows of the state taxonomy that it covers.",
        ),
        row("title", Required, Text, "Create a chat completion", "A few words for people."),
        row("vendor", Required, Name, "openai", "Whose API it is."),
        row("methods", Required, List(&Text), "[POST]", "Upper case."),
        row("path", Required, Text, "/chat/completions", "After the base path, `{name}` for a segment."),
        row(
            "dated",
            Default("no_form"),
            Word(&["no_form", "deployment", "plain"]),
            "plain",
            "Its form under Azure's dated paths.",
        ),
        row("served_by", Required, List(&Word(DIALECTS)), "[openai]", "Which dialects have it."),
        row("body", Default("none"), Word(&["none", "json", "multipart"]), "json", "What its body is."),
        row(
            "model",
            Default("none"),
            Word(&["none", "required", "optional", "path", "query"]),
            "required",
            "Where the model's name is.",
        ),
        row(
            "model_at",
            Optional,
            At,
            "/modelId",
            "Where in the body the model's name is; /model by default.",
        ),
        row("grade", Required, Word(GRADES), "pure", "The grade when no signal says more."),
        row("signals", Optional, List(&In(&SIGNAL)), "[]", "What speaks of state."),
        row(
            "path_handle",
            Optional,
            Name,
            "response",
            "The `{name}` in the path that is a handle of that kind.",
        ),
        row("cache_key", Optional, At, "/prompt_cache_key", "Where a client's cache key is."),
        row("births", Optional, List(&In(&BIRTH)), "[]", "Handles that its answers give birth to."),
        row(
            "expires",
            Optional,
            List(&In(&EXPIRY)),
            "[{ handle: container, json: /container/expires_at }]",
            "Where answers say until when a handle is good.",
        ),
        row(
            "stored",
            Optional,
            In(&ECHO),
            "{ json: /store }",
            "Where the answer says whether it was stored.",
        ),
        row(
            "usage",
            Optional,
            Many(&Name),
            "openai_chat",
            "How its answers tell of tokens; of several ways the first that an answer shows.",
        ),
        row("deletes", Optional, Name, "response", "A success ends the cited handles of this kind."),
        row("collective", Default("false"), Flag, "true", "A LIST whose answer differs from cloud to cloud."),
        row(
            "socket",
            Optional,
            Word(&["upgrade", "message"]),
            "message",
            "A WebSocket, and when its cloud is chosen.",
        ),
        row("retired", Optional, Text, "\"2026-08-26\"", "The day on which its vendor shut it down."),
    ],
};

static SIGNAL: Section = Section {
    name: "signal",
    doc: "Something in a request that speaks of state.",
    rule: Rule::Free,
    fields: &[
        row(
            "at",
            Required,
            Text,
            "/store",
            "A pointer into the body, or `path:`, `query:`, `header:`, `field:` and a name.",
        ),
        row(
            "when",
            Required,
            WordOr(&["present", "string", "is_true", "unless_false"], &CONDITION),
            "present",
            "What must be there.",
        ),
        row(
            "grade",
            Default("pure"),
            Word(GRADES),
            "creates",
            "The grade that the request then has at least.",
        ),
        row("handle", Optional, Name, "response", "The kind of handle that the value is."),
        row(
            "take",
            Default("whole"),
            Word(&["whole", "last_segment"]),
            "last_segment",
            "How much of the value the handle is.",
        ),
    ],
};

pub(super) static CONDITION: Section = Section {
    name: "condition",
    doc: "What must be there.",
    rule: Rule::ExactlyOne,
    fields: &[
        row("one_of", Optional, Many(&Text), "[item_reference]", "One of these strings."),
        row("prefix", Optional, Many(&Text), "[\"ft:\"]", "A string that begins with one of these."),
        row(
            "only_keys",
            Optional,
            Many(&Text),
            "[id, type]",
            "An object with these keys and no others, `id` among them.",
        ),
    ],
};

static BIRTH: Section = Section {
    name: "birth",
    doc: "A handle that an answer gives birth to.",
    rule: Rule::AtLeastOne(PLACES),
    fields: &[
        row("handle", Required, Name, "response", "The kind of handle."),
        JSON,
        SSE,
        EVENT,
        SOCKET,
        HEADER,
        row(
            "take",
            Default("whole"),
            Word(&["whole", "last_segment"]),
            "last_segment",
            "How much of the value the handle is.",
        ),
        row("always", Default("false"), Flag, "true", "Although the answer says that it was not stored."),
    ],
};

static EXPIRY: Section = Section {
    name: "expiry",
    doc: "Until when a handle is good.",
    rule: Rule::AtLeastOne(PLACES),
    fields: &[
        row("handle", Required, Name, "container", "The kind of handle."),
        JSON,
        SSE,
        EVENT,
        SOCKET,
        HEADER,
    ],
};

static ECHO: Section = Section {
    name: "echo",
    doc: "Where something is in an answer.",
    rule: Rule::AtLeastOne(PLACES),
    fields: &[JSON, SSE, EVENT, SOCKET, HEADER],
};

const PLACES: &[&str] = &["json", "sse", "event", "socket", "header"];
const JSON: Field = row("json", Optional, At, "/id", "In a JSON answer.");
const SSE: Field = row("sse", Optional, At, "/response/id", "In the data of each event.");
const EVENT: Field =
    row("event", Optional, At, "/sessionId", "In the payload of each event of an AWS event stream.");
const SOCKET: Field = row("socket", Optional, At, "/response/id", "In each message of a socket's server.");
const HEADER: Field = row("header", Optional, Text, "mcp-session-id", "In this header; lower case.");
