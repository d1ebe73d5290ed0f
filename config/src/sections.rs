//! Every section of the file and every key in it: the one place that says what may be written.
//!
//! To add a key, add its row here and read it in `decode`; the fault for unknown keys, the suggestions and the JSON
//! Schema follow.

mod cases;
mod clouds;
mod contract;
mod ledger;
mod meter;
mod running;

use crate::table::Kind::{Address, Flag, In, List, Map, Name, Path, Span, Version, Word};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Field, Kind, Need, Rule, Section};
pub(crate) use cases::*;
pub(crate) use clouds::*;
pub(crate) use contract::*;
pub(crate) use ledger::*;
pub(crate) use meter::*;
pub(crate) use running::*;

pub(crate) const fn row(
    key: &'static str,
    need: Need,
    kind: Kind,
    like: &'static str,
    doc: &'static str,
) -> Field {
    Field { key, need, kind, like, doc }
}

const TIME: Kind = Span { zero: false };
/// The words for grades, lowest first.
pub(crate) const GRADES: &[&str] =
    &["pure", "cached", "sealed", "creates", "continues", "connection", "runtime", "unknown"];
pub(crate) const CLASSES: &[&str] = &["stateless", "stateful"];
pub(crate) const DIALECTS: &[&str] = &[
    "openai",
    "azure-openai",
    "bedrock-openai",
    "anthropic",
    "bedrock",
    "bedrock-agents",
    "bedrock-agentcore",
    "google",
    "foundry",
    "mcp",
    "a2a",
];

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
            "surfaces",
            Optional,
            List(&Path),
            "[surfaces/ours.yaml]",
            "Files of further API operations, in the built-in files' format; relative to this file.",
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
        row(
            "tenants",
            Optional,
            Map(&In(&TENANT)),
            "{ shop: { credentials: [{ env: SHOP_KEY }] } }",
            "Callers that have a name. Whatever a named one proves itself with, it is one tenant, and keeps its pins and sessions when its credential is replaced.",
        ),
        row(
            "unknown_caller",
            Default("own"),
            Word(&["own", "refuse"]),
            "own",
            "What to do with a request of none of `tenants`: own makes it a tenant of its own by its credential; refuse answers it with 401. Default own, because without `tenants` there is nobody else.",
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
            "meter",
            Optional,
            In(&METER),
            "{ prices: [{ input: 1.25, output: 10 }] }",
            "What tokens cost, commitments, and shares.",
        ),
        row(
            "telemetry",
            Optional,
            In(&TELEMETRY),
            "{ access_log: stdout }",
            "The access log, and the headers on responses.",
        ),
        row(
            "ledger",
            Optional,
            In(&LEDGER),
            "{ path: /var/lib/riparian/ledger }",
            "A record of every decision that others can check. Without it there is none.",
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
        row(
            "client_ca",
            Optional,
            In(&FILE_REF),
            "{ file: /run/tls/clients.crt }",
            "The authorities that sign clients' certificates, PEM. A certificate's subject says who asks, whatever credential comes with it. Without this none is asked for.",
        ),
        row(
            "client_certificate",
            Default("required"),
            Word(&["required", "optional"]),
            "required",
            "Whether a client must have a certificate. One that is presented and not good ends the handshake either way. Default required, because whoever names an authority wants to know who asks.",
        ),
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
