//! Clouds, endpoints, credentials, products, vendors.

use super::{DIALECTS, FILE_REF, TIME, row};
use crate::table::Kind::{
    Count, Flag, In, List, Models, Name, Path, Pattern, Text, Url, Variable, Word, WordOr,
};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Rule, Section};

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
        row(
            "witness",
            Optional,
            In(&WITNESS),
            r#"{ certificate_names: ["*.openai.azure.com"] }"#,
            "Who must be at the other end of every connection to its endpoints; otherwise nothing is sent there.",
        ),
    ],
};

pub(crate) static WITNESS: Section = Section {
    name: "witness",
    doc: "What a connection must be found to have reached, beside the name in the URL; all that is given must hold.",
    rule: Rule::AtLeastOne(&["addresses", "certificate_names"]),
    fields: &[
        row(
            "addresses",
            Optional,
            List(&Text),
            "[20.0.0.0/8, \"2603:1000::/24\"]",
            "Ranges of addresses, one of which the other end's is in. Without it: any address.",
        ),
        row(
            "certificate_names",
            Optional,
            List(&Text),
            r#"["*.openai.azure.com"]"#,
            "Names, one of which the other end's certificate is for, as it writes them, beside the host in the URL; `*.` for every name below. Without it: any certificate that is good for that host.",
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
            "zero_retention",
            Default("false"),
            Flag,
            "true",
            "The account keeps nothing: an absent `store` is false there, and answers give birth to no stored handle. Default false, as accounts are made.",
        ),
        row(
            "resources",
            Optional,
            List(&Pattern),
            "[pmpt_abc, \"arn:aws:bedrock:us-east-1:123456789012:*\"]",
            "Files, prompts, ARNs and the like that were not made through the proxy and live here: requests that cite them go to the endpoints that name them.",
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
            "In the header of the dialect: `api-key` to Azure and Foundry, `x-api-key` to Anthropic, `x-goog-api-key` to Google, `Authorization: Bearer` to the others.",
        ),
        row(
            "bearer",
            Optional,
            In(&SECRET),
            "{ env: OPENAI_API_KEY }",
            "`Authorization: Bearer` to every dialect.",
        ),
        row(
            "sigv4",
            Optional,
            In(&SIGV4),
            "{ source: environment }",
            "AWS Signature Version 4: the client's own signature stays behind, and each request is signed anew.",
        ),
    ],
};

pub(crate) static SIGV4: Section = Section {
    name: "sigv4 credential",
    doc: "What requests to an AWS endpoint are signed with.",
    rule: Rule::AtLeastOne(&["source", "access_key_id"]),
    fields: &[
        row(
            "service",
            Optional,
            Text,
            "bedrock",
            "The service's name in signatures. Default: bedrock-agentcore where the host has that label, else bedrock, also for agents.",
        ),
        row("region", Optional, Text, "us-east-1", "The region in signatures. Default: the endpoint's."),
        row(
            "source",
            Optional,
            Word(&["environment"]),
            "environment",
            "environment reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if it is set, AWS_SESSION_TOKEN.",
        ),
        row(
            "access_key_id",
            Optional,
            In(&SECRET),
            "{ env: BEDROCK_KEY_ID }",
            "The key's id, instead of a source.",
        ),
        row(
            "secret_access_key",
            Optional,
            In(&SECRET),
            "{ file: /run/secrets/bedrock }",
            "The key; goes with access_key_id.",
        ),
        row(
            "session_token",
            Optional,
            In(&SECRET),
            "{ file: /run/secrets/bedrock-token }",
            "Of temporary keys; goes with access_key_id.",
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
