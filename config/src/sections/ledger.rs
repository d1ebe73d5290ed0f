//! The ledger.

use super::{SECRET, row};
use crate::table::Kind::{In, Path, Text, Word};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Rule, Section};

pub(crate) static LEDGER: Section = Section {
    name: "ledger section",
    doc: "A record of every decision that others can check: entries in a Merkle tree, signed.",
    rule: Rule::Free,
    fields: &[
        row(
            "path",
            Required,
            Path,
            "/var/lib/riparian/ledger",
            "Its folder, made when it is not there; one process has it at a time. What is under `public` in it may be published by any file server.",
        ),
        row(
            "durability",
            Default("group"),
            Word(&["required", "group", "best_effort"]),
            "group",
            "required: nothing is sent to an endpoint before its entry is on the disk. group: entries are synced together within 10 ms, and no request waits. Either refuses requests with 503 while no entry can be written. best_effort: requests go on, and entries that are missing are counted. Default group, because a sync a request is dear.",
        ),
        row(
            "key",
            Optional,
            In(&SECRET),
            "{ file: /run/secrets/ledger-key }",
            "The Ed25519 seed that signs checkpoints: 32 bytes in base64 or hexadecimal digits. Without it one is made in the folder.",
        ),
        row(
            "origin",
            Default("riparian"),
            Text,
            "riparian.example.com/ledger",
            "The log's name in its checkpoints and its key, such as a URL without a scheme; no spaces and no plus signs. Default riparian.",
        ),
    ],
};
