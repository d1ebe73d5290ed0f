//! Every section of the file and every key in it: the one place that says what may be written.
//!
//! To add a key, add its row here and read it in `decode`; the fault for unknown keys, the suggestions and the JSON
//! Schema follow.

use crate::table::Kind::{
    Address, Count, Flag, Header, In, Instant, List, Many, Map, Models, Name, Path, Pattern, Size, Span,
    Text, Url, Variable, Version, Word, WordOr,
};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Field, Kind, Need, Rule, Section};

const fn row(key: &'static str, need: Need, kind: Kind, like: &'static str, doc: &'static str) -> Field {
    Field { key, need, kind, like, doc }
}

const TIME: Kind = Span { zero: false };
/// The words for grades, lowest first.
pub(crate) const GRADES: &[&str] =
    &["pure", "cached", "sealed", "creates", "continues", "connection", "runtime", "unknown"];
pub(crate) const CLASSES: &[&str] = &["stateless", "stateful"];
pub(crate) const DIALECTS: &[&str] = &["openai", "azure-openai", "bedrock-openai"];

pub(crate) static FILE: Section = Section {
    name: "configuration",
    doc: "What Riparian does: where clients come in, which clouds there are, and what the contract allows.",
    rule: Rule::Free,
    fields: &[
        row("version", Required, Version, "1", "The version of this format. Always 1."),
        row(
            "listeners",
            Required,
            List(&In(&LISTENER)),
            "[{ name: apps, bind: 127.0.0.1:8080 }]",
            "Where clients come in.",
        ),
        row(
            "admin",
            Optional,
            In(&ADMIN),
            "{ bind: 127.0.0.1:9901 }",
            "The operators' listener: /livez, /readyz, /metrics. Without it there is none.",
        ),
        row(
            "clouds",
            Required,
            Map(&In(&CLOUD)),
            "{ azure: { endpoints: [...] } }",
            "The contracting parties' platforms by name, at most 64. Terms use these names.",
        ),
        row(
            "products",
            Optional,
            Map(&In(&PRODUCT)),
            "{ frontier: { surfaces: [openai.responses.*] } }",
            "Which API is which product? Terms may speak of products.",
        ),
        row(
            "vendors",
            Optional,
            Map(&In(&VENDOR)),
            "{ meta: { models: [llama-*] } }",
            "Model vendors beside the built-in ones; the same name adds to a built-in one.",
        ),
        row(
            "contract",
            Required,
            In(&CONTRACT),
            "{ enforce: ..., readings: ..., terms: [...] }",
            "Readings, and terms with dates.",
        ),
        row(
            "sessions",
            Optional,
            In(&SESSIONS),
            "{ header: x-session-id }",
            "How sessions are recognised and kept.",
        ),
        row("limits", Optional, In(&LIMITS), "{ body: 32MiB }", "A limit on everything."),
        row(
            "retries",
            Optional,
            In(&RETRIES),
            "{ attempts: 3 }",
            "When another endpoint of the same candidate set is tried.",
        ),
        row("health", Optional, In(&HEALTH), "{ down_after: 3 }", "When an endpoint counts as down."),
        row(
            "balance",
            Default("rendezvous"),
            Word(&["rendezvous", "least_in_flight"]),
            "rendezvous",
            "How an endpoint is chosen within the candidate set: rendezvous keeps a session with its endpoint and so its caches warm; least_in_flight takes the least busy one.",
        ),
        row(
            "telemetry",
            Optional,
            In(&TELEMETRY),
            "{ access_log: stdout }",
            "The access log, and the headers on responses.",
        ),
    ],
};

pub(crate) static LISTENER: Section = Section {
    name: "listener",
    doc: "A socket for clients.",
    rule: Rule::Free,
    fields: &[
        row("name", Required, Name, "apps", "Its name in the log. Unique."),
        row("bind", Required, Address, "127.0.0.1:8080", "IP address and port; port 0 takes a free one."),
        row(
            "protocol",
            Optional,
            Word(&["http1", "h2c"]),
            "http1",
            "In the clear: http1 (the default), or h2c, which is HTTP/2 with prior knowledge. With `tls` ALPN decides and this key must be absent.",
        ),
        row(
            "tls",
            Optional,
            In(&TLS),
            "{ certificate: { file: tls.crt }, key: { file: tls.key } }",
            "Speak TLS; HTTP/2 or HTTP/1.1 by ALPN.",
        ),
    ],
};

pub(crate) static TLS: Section = Section {
    name: "tls",
    doc: "What a listener proves itself with.",
    rule: Rule::Free,
    fields: &[
        row(
            "certificate",
            Required,
            In(&FILE_REF),
            "{ file: /run/tls/tls.crt }",
            "The certificate chain, PEM.",
        ),
        row("key", Required, In(&FILE_REF), "{ file: /run/tls/tls.key }", "Its private key, PEM."),
    ],
};

pub(crate) static FILE_REF: Section = Section {
    name: "file reference",
    doc: "A file.",
    rule: Rule::Free,
    fields: &[row("file", Required, Path, "/run/tls/tls.crt", "The file's path.")],
};

pub(crate) static ADMIN: Section = Section {
    name: "admin listener",
    doc: "The listener for operators. It has no authentication.",
    rule: Rule::Free,
    fields: &[
        row(
            "bind",
            Required,
            Address,
            "127.0.0.1:9901",
            "IP address and port; loopback, unless `beyond_loopback` is true.",
        ),
        row(
            "beyond_loopback",
            Default("false"),
            Flag,
            "true",
            "Whoever reaches the address may read the metrics. Default false, because nobody is asked who they are.",
        ),
    ],
};

pub(crate) static CLOUD: Section = Section {
    name: "cloud",
    doc: "A contracting party's platform.",
    rule: Rule::Free,
    fields: &[
        row(
            "owner",
            Optional,
            Name,
            "azure",
            "Whose hosts belong here: azure, aws, openai, anthropic, google. Default: the cloud's name.",
        ),
        row(
            "endpoints",
            Required,
            List(&In(&ENDPOINT)),
            "[{ name: azure-eastus2, ... }]",
            "The addresses in it.",
        ),
    ],
};

pub(crate) static ENDPOINT: Section = Section {
    name: "endpoint",
    doc: "One address in a cloud.",
    rule: Rule::Free,
    fields: &[
        row(
            "name",
            Required,
            Name,
            "azure-eastus2",
            "Unique over all clouds: pins, metrics and the log use it.",
        ),
        row(
            "dialect",
            Required,
            Word(DIALECTS),
            "azure-openai",
            "Which paths and which authentication header it takes.",
        ),
        row(
            "url",
            Required,
            Url,
            "https://contoso.openai.azure.com",
            "Where it is. A path replaces the dialect's own (/v1 or /openai/v1).",
        ),
        row("region", Optional, Text, "eastus2", "Where its state lives, for the reader of a log."),
        row(
            "credential",
            Required,
            WordOr(&["none", "passthrough"], &CREDENTIAL),
            "{ api_key: { env: AZURE_OPENAI_API_KEY } }",
            "What proves who asks. passthrough lets the client's own credential through; none sends nothing.",
        ),
        row(
            "models",
            Optional,
            Models,
            "{ gpt-5.5: gpt55-prod }",
            "The client's model name to the endpoint's own. When given, these models are served and no others; when absent, every model under its own name.",
        ),
        row(
            "weight",
            Default("100"),
            Count(1, 1_000_000),
            "70",
            "Its share within its cloud, against the weights of the others. Default 100.",
        ),
        row(
            "http_version",
            Default("1"),
            Count(1, 2),
            "1",
            "The HTTP version to speak to it. Default 1, so that one stream's back pressure never holds another's.",
        ),
        row(
            "connect_within",
            Optional,
            TIME,
            "5s",
            "For the connection, TLS included. Default: limits.connect_within.",
        ),
        row(
            "first_byte_within",
            Optional,
            TIME,
            "120s",
            "For the first byte of the answer. Default: limits.first_byte_within.",
        ),
        row("idle", Optional, TIME, "120s", "Between two bytes of the answer. Default: limits.idle."),
        row(
            "ca",
            Optional,
            In(&FILE_REF),
            "{ file: /run/ca.pem }",
            "Certificates (PEM) to trust instead of the system's. https only.",
        ),
        row(
            "host_of",
            Optional,
            Name,
            "aws",
            "Only where the host belongs to another owner than the cloud's: says so in so many words.",
        ),
    ],
};

pub(crate) static CREDENTIAL: Section = Section {
    name: "credential",
    doc: "A secret by reference, and the header that it goes into.",
    rule: Rule::ExactlyOne,
    fields: &[
        row(
            "api_key",
            Optional,
            In(&SECRET),
            "{ env: AZURE_OPENAI_API_KEY }",
            "`api-key` to Azure, `Authorization: Bearer` to the others.",
        ),
        row(
            "bearer",
            Optional,
            In(&SECRET),
            "{ env: OPENAI_API_KEY }",
            "`Authorization: Bearer` to every dialect.",
        ),
    ],
};

pub(crate) static SECRET: Section = Section {
    name: "secret reference",
    doc: "Where a secret's value is to be found; the value itself never stands in the file.",
    rule: Rule::ExactlyOne,
    fields: &[
        row("env", Optional, Variable, "OPENAI_API_KEY", "An environment variable."),
        row("file", Optional, Path, "/run/secrets/openai", "A file; one trailing line end is dropped."),
    ],
};

pub(crate) static PRODUCT: Section = Section {
    name: "product",
    doc: "A product that a contract speaks of.",
    rule: Rule::Free,
    fields: &[row(
        "surfaces",
        Required,
        List(&Pattern),
        "[openai.responses.*]",
        "The surfaces that make it up.",
    )],
};

pub(crate) static VENDOR: Section = Section {
    name: "vendor",
    doc: "A model vendor, known by the names of its models.",
    rule: Rule::Free,
    fields: &[row(
        "models",
        Required,
        List(&Pattern),
        "[llama-*]",
        "Names of models; the longest pattern that matches decides.",
    )],
};

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

pub(crate) static SESSIONS: Section = Section {
    name: "sessions section",
    doc: "How sessions are recognised and kept.",
    rule: Rule::Free,
    fields: &[
        row(
            "header",
            Default("x-session-id"),
            Header,
            "x-session-id",
            "A client may name its session here. It counts only within its tenant and never decides a cloud by itself.",
        ),
        row(
            "key",
            Optional,
            In(&SECRET),
            "{ env: RIPARIAN_SESSION_KEY }",
            "The key of all digests, at least 32 bytes. Without it one is made at start: then session tags do not survive a restart.",
        ),
        row(
            "baggage",
            Default("false"),
            Flag,
            "false",
            "Also tag the session in W3C baggage, upstream. Default false.",
        ),
        row("pins", Optional, In(&PINS), "{ ttl: 30d }", "The pin table."),
    ],
};

pub(crate) static PINS: Section = Section {
    name: "pins section",
    doc: "The pin table, in memory.",
    rule: Rule::Free,
    fields: &[
        row(
            "ttl",
            Default("30d"),
            TIME,
            "30d",
            "How long a pin is kept. Default 30d: what the vendors keep a stored response.",
        ),
        row(
            "max",
            Default("1000000"),
            Count(1, 1_000_000_000),
            "1000000",
            "Pins in all; over it the ones closest to their end go. Default 1000000.",
        ),
        row(
            "per_tenant",
            Default("100000"),
            Count(1, 1_000_000_000),
            "100000",
            "Pins of one tenant; over it that tenant's own go. Default 100000.",
        ),
        row("sweep", Default("1m"), TIME, "1m", "How often expired pins are swept. Default 1m."),
    ],
};

pub(crate) static LIMITS: Section = Section {
    name: "limits section",
    doc: "Limits of one process, and what happens there.",
    rule: Rule::Free,
    fields: &[
        row(
            "body",
            Default("32MiB"),
            Size(1),
            "32MiB",
            "One request body; over it 413. Default 32MiB: what the vendors take, images in base64 included.",
        ),
        row(
            "held_bodies",
            Default("512MiB"),
            Size(1),
            "512MiB",
            "All bodies held at once; over it 503. Default 512MiB.",
        ),
        row("head", Default("32KiB"), Size(256), "32KiB", "A request's head; over it 431. Default 32KiB."),
        row("target", Default("8KiB"), Size(64), "8KiB", "A request's target; over it 414. Default 8KiB."),
        row(
            "headers",
            Default("100"),
            Count(1, 256),
            "100",
            "Header lines of a request; over it 431. Default 100; 256 is what the HTTP engine can take.",
        ),
        row(
            "head_within",
            Default("10s"),
            TIME,
            "10s",
            "From a head's first byte to its last; then 408. Default 10s.",
        ),
        row(
            "body_within",
            Default("60s"),
            TIME,
            "60s",
            "From a head's end to its body's; then 408. Default 60s.",
        ),
        row(
            "connect_within",
            Default("5s"),
            TIME,
            "5s",
            "For a connection to an endpoint, TLS included; then the next endpoint, or 504. Default 5s.",
        ),
        row(
            "first_byte_within",
            Default("120s"),
            TIME,
            "120s",
            "For an answer's first byte; then 504. Default 120s: reasoning models think before they speak.",
        ),
        row(
            "idle",
            Default("120s"),
            TIME,
            "120s",
            "Between two bytes of an answer, and for a client that does not read; then the stream is cut. Default 120s.",
        ),
        row(
            "keepalive",
            Default("60s"),
            TIME,
            "60s",
            "An idle client connection is closed after it. Default 60s.",
        ),
        row(
            "streams",
            Default("10000"),
            Count(1, 10_000_000),
            "10000",
            "Requests in flight at once; over it 503. Default 10000.",
        ),
        row(
            "drain_within",
            Default("10m"),
            TIME,
            "10m",
            "After SIGTERM, streams that still run are cut. Default 10m.",
        ),
    ],
};

pub(crate) static RETRIES: Section = Section {
    name: "retries section",
    doc: "When and how often another endpoint of the same candidate set is tried.",
    rule: Rule::Free,
    fields: &[
        row(
            "attempts",
            Default("3"),
            Count(1, 16),
            "3",
            "Attempts a request, the first included. Default 3.",
        ),
        row(
            "budget_percent",
            Default("20"),
            Count(0, 100),
            "20",
            "Retries as a share of requests, in per cent; over it nothing is retried. Default 20.",
        ),
        row(
            "budget_floor",
            Default("10"),
            Count(0, 100_000),
            "10",
            "Retries a second that are always allowed, so that a quiet proxy can fail over. Default 10.",
        ),
    ],
};

pub(crate) static HEALTH: Section = Section {
    name: "health section",
    doc: "When an endpoint counts as down, found out from the requests themselves.",
    rule: Rule::Free,
    fields: &[
        row("down_after", Default("3"), Count(1, 1000), "3", "Failed connections in a row. Default 3."),
        row("down_for", Default("5s"), TIME, "5s", "How long until it is tried again. Default 5s."),
    ],
};

pub(crate) static TELEMETRY: Section = Section {
    name: "telemetry section",
    doc: "What the proxy says of itself.",
    rule: Rule::Free,
    fields: &[
        row(
            "access_log",
            Default("stdout"),
            WordOr(&["stdout", "stderr", "off"], &FILE_REF),
            "stdout",
            "One JSON line a request, without bodies, keys or prompts. Default stdout.",
        ),
        row(
            "response_headers",
            Default("true"),
            Flag,
            "true",
            "x-riparian-decision, -cloud, -endpoint, -grade, -class, -reason on every response. Default true.",
        ),
    ],
};
