//! What the ledger says of a decision: facts, never content.
//!
//! An entry is one JSON object in the canonical form of RFC 8785: members in the order of their names, no space, numbers that are
//! integers. The structs below have their fields in that order, and serde writes them as they stand; a test compares. What is not
//! known is absent.
//!
//! | kind | when | how many |
//! |---|---|---|
//! | `sent` | before the first byte of a request goes to an endpoint | one for each upstream request |
//! | `ended` | when a request is over, refused ones too | one for each decision |
//! | `refused` | each second | one for each reason why requests were refused before anything was judged, or too often to be told one by one |
//! | `gap` | when entries were lost, or could not be taken for a time | one for each such time |
//! | `started` | when a process begins to write | one |

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The version of this form.
pub const VERSION: u32 = 1;

/// The longest entry in bytes: what the two bytes of its length in a tile can say.
pub const ENTRY_MAX: usize = 65_535;

/// The longest text that a client chooses (a model's name), in bytes; what is longer is cut.
pub const TEXT_MAX: usize = 256;

/// Text that is borrowed where it is written and owned where it is read.
pub type Text<'a> = Cow<'a, str>;

/// What an entry is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request is about to be sent to an endpoint.
    Sent,
    /// A request is over.
    #[default]
    Ended,
    /// Requests that were refused, counted.
    Refused,
    /// Entries that are missing, counted.
    Gap,
    /// A process begins to write.
    Started,
}

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<'a> {
    /// `sent`: which of the decision's attempts this is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `ended`: every attempt, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt<'a>>,
    /// How readings that disagree about where it may go were brought together, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Text<'a>>,
    /// Endpoints that it was allowed to reach, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Text<'a>>,
    /// The class under each reading, by the reading's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<Text<'a>, Text<'a>>,
    /// The cloud of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Text<'a>>,
    /// The hash of the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Text<'a>>,
    /// `refused` and `gap`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The decision's id: 16 hexadecimal digits, as in the answer's header and the access log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Text<'a>>,
    /// From the head of the request to its end, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// The endpoint of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text<'a>>,
    /// The reading that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced: Option<Text<'a>>,
    /// The span of unchanging terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// How much state the request depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Text<'a>>,
    /// What it is.
    pub kind: Kind,
    /// By which kind of expiry it went on although the terms in force would not allow it: `grandfather` or `drain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Text<'a>>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Text<'a>>,
    /// The model, as the client named it, at most [`TEXT_MAX`] bytes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Text<'a>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Text<'a>>,
    /// `sent`: who is at the other end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer<'a>>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    /// Bytes of the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// The session, a keyed digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Text<'a>>,
    /// What the readings that make the other class of it would have said, by their names: clouds, or why none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadows: BTreeMap<Text<'a>, Text<'a>>,
    /// `refused` and `gap`: when the time began that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Text<'a>>,
    /// The status that the client saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Text<'a>>,
    /// The tenant, a keyed digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text<'a>>,
    /// The terms that matched, in the contract's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Text<'a>>,
    /// When the entry was made, RFC 3339 in UTC, by the wall clock: order is by index.
    pub time: Text<'a>,
    /// Tokens, where the answer told of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// [`VERSION`].
    pub v: u32,
    /// The model's vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Text<'a>>,
    /// `free`, `hold` or `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Text<'a>>,
}

/// One attempt at an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt<'a> {
    /// Its cloud.
    pub cloud: Text<'a>,
    /// The endpoint.
    pub endpoint: Text<'a>,
    /// Who was connected to; absent where no connection came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer<'a>>,
    /// Whether anything of the request was sent: then there is an entry `sent` for it, unless one is missing in a `gap`.
    pub sent: bool,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer<'a> {
    /// Address and port.
    pub address: Text<'a>,
    /// SHA-256 of the public key in its certificate (its `SubjectPublicKeyInfo`), in hexadecimal digits; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_key: Option<Text<'a>>,
    /// The name that was asked for and verified; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<Text<'a>>,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Of the input, those that came from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Of the input, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Of the output, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Whether the answer broke off before its last word on usage.
    #[serde(default)]
    pub partial: bool,
    /// Of the output, those of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl Entry<'_> {
    /// An entry of this kind, made at `time`.
    #[must_use]
    pub fn new(kind: Kind, time: String) -> Self {
        Self { kind, time: Cow::Owned(time), v: VERSION, ..Self::default() }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, self).expect("plain members, into memory");
        debug_assert!(bytes.len() <= ENTRY_MAX, "what fills an entry is bounded where it is put in");
        bytes
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// When it is none of this version.
    pub fn decode(bytes: &[u8]) -> Result<Entry<'static>, String> {
        let entry: Entry<'static> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if entry.v == VERSION { Ok(entry) } else { Err(format!("of version {}, not {VERSION}", entry.v)) }
    }
}

/// At most [`TEXT_MAX`] bytes of what a client said.
#[must_use]
pub fn cut(text: &str) -> Text<'_> {
    Cow::Borrowed(&text[..text.floor_char_boundary(TEXT_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Entry<'static> {
        let peer = Peer {
            address: "20.1.2.3:443".into(),
            certificate_key: Some("ab".into()),
            sni: Some("models.example".into()),
        };
        Entry {
            attempt: Some(1),
            attempts: vec![Attempt {
                cloud: "azure".into(),
                endpoint: "e".into(),
                peer: Some(peer.clone()),
                sent: true,
            }],
            band: Some("conservative".into()),
            candidates: vec!["e".into(), "f".into()],
            classes: [("b".into(), "stateful".into()), ("a".into(), "stateless".into())].into(),
            cloud: Some("azure".into()),
            config: Some("c".into()),
            count: Some(3),
            decision: Some("00000000000000ff".into()),
            duration_us: Some(12),
            endpoint: Some("e".into()),
            enforced: Some("a".into()),
            epoch: Some(2),
            grade: Some("pure".into()),
            kind: Kind::Ended,
            lease: Some("drain".into()),
            method: Some("POST".into()),
            model: Some("gpt \"5\"\\\n\u{1}\u{7f}é😀".into()),
            outcome: Some("ok".into()),
            peer: Some(peer),
            reason: Some("designated".into()),
            request_bytes: Some(1),
            response_bytes: Some(u64::MAX >> 11),
            session: Some("s".into()),
            shadows: [("b".into(), "refuse".into())].into(),
            since: Some("2026-11-21T00:00:00Z".into()),
            status: Some(200),
            surface: Some("openai.responses.create".into()),
            tenant: Some("t".into()),
            terms: vec!["one".into()],
            time: "2026-11-21T00:00:00Z".into(),
            usage: Some(Usage {
                cached: Some(1),
                input: Some(2),
                output: Some(3),
                partial: true,
                reasoning: Some(4),
            }),
            v: VERSION,
            vendor: Some("openai".into()),
            verdict: Some("free".into()),
        }
    }

    /// `serde_json`'s own map is sorted by name, as RFC 8785 wants members to be; names here are ASCII.
    #[test]
    fn members_stand_in_the_order_of_their_names_and_nothing_is_lost() {
        let entry = full();
        let bytes = entry.encode();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), serde_json::to_string(&value).unwrap());
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    }

    /// RFC 8785, 3.2.2.2: short escapes where there are, small hexadecimal digits elsewhere, all else as it is.
    #[test]
    fn text_is_escaped_as_rfc_8785_has_it() {
        let mut entry = Entry::new(Kind::Ended, "t".to_owned());
        entry.model = Some("\u{8}\t\n\u{c}\r\"\\\u{1f}/\u{7f}\u{20ac}".into());
        let text = String::from_utf8(entry.encode()).unwrap();
        assert_eq!(
            text,
            "{\"kind\":\"ended\",\"model\":\"\\b\\t\\n\\f\\r\\\"\\\\\\u001f/\u{7f}\u{20ac}\",\"time\":\"t\",\"v\":1}"
        );
    }

    #[test]
    fn another_version_or_an_unknown_member_is_not_read() {
        assert!(Entry::decode(br#"{"kind":"ended","time":"t","v":2}"#).is_err());
        assert!(Entry::decode(br#"{"kind":"ended","prompt":"p","time":"t","v":1}"#).is_err());
    }

    #[test]
    fn what_a_client_says_is_cut_between_characters() {
        let long = "é".repeat(TEXT_MAX);
        assert_eq!(cut(&long).len(), TEXT_MAX);
        assert_eq!(cut(&format!("a{long}")).len(), TEXT_MAX - 1);
        assert_eq!(cut("gpt"), "gpt");
    }
}
