//! How the process runs: sessions, limits, retries, health, telemetry.

use super::{FILE_REF, SECRET, TIME, row};
use crate::table::Kind::{
    Count, Flag, Header, In, List, Name, Path, Prefix, RedisUrl, Size, Text, Word, WordOr,
};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Rule, Section};

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
            "idle",
            Default("30m"),
            TIME,
            "30m",
            "A session without a request for so long has ended, and what a term drains is drained. Default 30m: longer than people pause between two turns, shorter than a process lives.",
        ),
        row(
            "baggage",
            Default("false"),
            Flag,
            "false",
            "Also tag the session in W3C baggage, upstream. Default false.",
        ),
        row(
            "unknown_handle",
            Default("refuse"),
            Word(&["refuse", "home", "ask"]),
            "refuse",
            "What to do with a handle that is not known here: refuse it; take it for one of the `home` cloud; or ask the endpoints that the contract allows, with a harmless GET. Default refuse, because a guess may reach the wrong cloud.",
        ),
        row(
            "home",
            Optional,
            Name,
            "azure",
            "The cloud where unknown handles are believed to live, and where LISTs are answered.",
        ),
        row(
            "pins",
            Optional,
            In(&PINS),
            "{ store: journal }",
            "Where pins are kept, and how many for how long.",
        ),
    ],
};

pub(crate) static TENANT: Section = Section {
    name: "tenant",
    doc: "A caller with a name, known by any of its credentials or by the subject of its client certificate.",
    rule: Rule::AtLeastOne(&["credentials", "subjects"]),
    fields: &[
        row(
            "credentials",
            Optional,
            List(&In(&SECRET)),
            "[{ env: SHOP_KEY }]",
            "What it sends as Authorization: Bearer, api-key, x-api-key, x-goog-api-key or ?key=, or its AWS access key id: at most 64, each a reference that is read at start and at reload. Riparian does not check AWS signatures of clients, so an access key id is a name, not a proof.",
        ),
        row(
            "subjects",
            Optional,
            List(&Text),
            "[\"CN=shop,O=acme\"]",
            "The subjects of its client certificates, as RFC 4514 writes them: the most specific part first, no spaces behind commas.",
        ),
        row(
            "home",
            Optional,
            Name,
            "azure",
            "The cloud where its LISTs are answered and its unknown handles are believed to live. Default `sessions.home`.",
        ),
        row(
            "data_region",
            Optional,
            Name,
            "eu",
            "Where its data must stay: terms may speak of that. Default: nothing is said.",
        ),
    ],
};

pub(crate) static PINS: Section = Section {
    name: "pins section",
    doc: "Which endpoint holds which state: where that is kept, and how much for how long.",
    rule: Rule::Free,
    fields: &[
        row(
            "store",
            Optional,
            Word(&["journal", "memory", "redis", "sealed"]),
            "journal",
            "journal: in memory and in a file behind it, so that a restart forgets nothing. memory: a restart forgets all. redis: replicas share it; needs `sessions.key`. sealed: nothing is kept, handles go to clients with a seal behind them that says where they live, and any replica with the keys opens it; needs `keys` and `sessions.key`. Without it `riparian run` keeps a journal in ./riparian-pins, and the demo memory.",
        ),
        row(
            "path",
            Optional,
            Path,
            "/var/lib/riparian/pins",
            "The journal's directory, made when it is not there; one process has it at a time. Default riparian-pins in the working directory.",
        ),
        row(
            "redis",
            Optional,
            In(&REDIS),
            "{ url: rediss://cache.example.com }",
            "The Redis, or what speaks like one, of the store redis.",
        ),
        row(
            "keys",
            Optional,
            List(&In(&SECRET)),
            "[{ env: RIPARIAN_SEAL_KEY }]",
            "The secrets of the store sealed, of at least 32 bytes each: the first one seals, each of them opens. Put a new one behind the others first, on every replica, then before them; take an old one out when `ttl` is over. Read at start and at reload.",
        ),
        row(
            "ttl",
            Default("30d"),
            TIME,
            "30d",
            "The longest that a pin is kept: from its birth, or from its last use where use renews its handle's life. Default 30d: what the vendors keep a stored response.",
        ),
        row(
            "max",
            Default("1000000"),
            Count(1, 1_000_000_000),
            "1000000",
            "Pins in all; over it the oldest go. Default 1000000. Not of the stores redis, whose `maxmemory` bounds it, and sealed.",
        ),
        row(
            "per_tenant",
            Default("100000"),
            Count(1, 1_000_000_000),
            "100000",
            "Pins of one tenant; over it that tenant's own oldest go. Default 100000. Not of the stores redis and sealed.",
        ),
        row(
            "sweep",
            Default("1m"),
            TIME,
            "1m",
            "How often expired pins are swept. Default 1m. Not of the stores redis and sealed.",
        ),
    ],
};

pub(crate) static REDIS: Section = Section {
    name: "redis section",
    doc: "A Redis that replicas share. Keys in it are digests, values hold names and are authenticated with `sessions.key`.",
    rule: Rule::Free,
    fields: &[
        row(
            "url",
            Required,
            RedisUrl,
            "rediss://cache.example.com:6379/0",
            "redis:// or rediss:// (TLS), a host, optionally a port (6379) and a database (0). Not a cluster.",
        ),
        row(
            "password",
            Optional,
            In(&SECRET),
            "{ env: REDIS_PASSWORD }",
            "What it asks of those who connect. Over redis:// only on loopback.",
        ),
        row(
            "ca",
            Optional,
            In(&FILE_REF),
            "{ file: /run/tls/ca.pem }",
            "The certificates that its own is checked with, PEM. Default the system's.",
        ),
        row(
            "prefix",
            Default("riparian:"),
            Prefix,
            r#""riparian:""#,
            "What the names of its keys begin with. Default riparian:.",
        ),
        row(
            "within",
            Default("50ms"),
            TIME,
            "50ms",
            "How long a question to it may take; then a request that needs it is refused. Default 50ms: less than a model's first byte by far.",
        ),
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
        row(
            "head",
            Default("32KiB"),
            Size(256),
            "32KiB",
            "A request's head; over it 431. Default 32KiB; at most 64KiB.",
        ),
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
