//! What a cloud remembers of a request, and what it counts.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// The request header whose value a cloud repeats in its answer: as a response header and within the text. Whoever gets
/// somebody else's nonce has seen two requests mixed up.
pub const NONCE_HEADER: &str = "x-loadtest-nonce";

/// How a request ended, as its cloud sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Still being read or answered.
    Open,
    /// Answered in full.
    Ok,
    /// 401: no credential, or not this cloud's.
    WrongCredential,
    /// 404: a model or deployment that this cloud does not have.
    WrongModel,
    /// It cites a response or conversation that was never made here: a misplaced continuation.
    ForeignHandle,
    /// It cites something that was made here but is not kept: `store: false`, deleted, or the oldest of too many.
    GoneHandle,
    /// 400: another turn of the same conversation is under way.
    Locked,
    /// No such path at this kind of cloud, or its `api-version` is missing.
    UnknownPath,
    /// `Host` is not the one that the spec demands.
    WrongHost,
    /// The body is not what the operation needs.
    BadBody,
    /// The other side went away before it had sent its body, or before it had read the answer.
    ClientGone,
    /// A [`crate::Fault`] was played that leaves no good answer.
    Faulted,
}

/// Whether the request carried this cloud's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// None that this kind of cloud reads.
    Absent,
    /// One, but not this cloud's.
    Wrong,
    /// This cloud's.
    Right,
}

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Position in the order of arrival at this cloud, from 0.
    pub number: u64,
    /// When its head had arrived.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    /// The protocol on the connection.
    pub version: http::Version,
    /// The operation that was recognised, for instance `responses.create`.
    pub operation: Option<&'static str>,
    /// The model it asked for: the deployment of the path if there is one, else that of the body.
    pub model: Option<String>,
    /// The model in the body, also where the path decides.
    pub body_model: Option<String>,
    /// Bytes of body that arrived.
    pub body_bytes: u64,
    /// SHA-256 of the body; zeroes if it did not arrive in full, or [`crate::CloudSpec::digest`] is off.
    pub body_sha256: [u8; 32],
    /// `host`, `user-agent`, `accept`, `accept-encoding`, `content-*`, `transfer-encoding`, `te`, `connection`,
    /// `traceparent`, `baggage`, `openai-*` and every `x-*`, in the order of arrival. Of a header that carries a credential
    /// (`authorization`, `api-key`, `x-api-key`, ...) only `right` or `wrong` is kept.
    pub headers: Vec<(String, String)>,
    /// Whether it carried this cloud's credential.
    pub credential: Credential,
    /// It carried a credential that is not this cloud's beside, or instead of, the right one.
    pub stray_credential: bool,
    /// Its `x-loadtest-nonce`.
    pub nonce: Option<String>,
    /// Its `x-loadtest-tenant`.
    pub tenant: Option<String>,
    /// It brought a handle that another cloud of the fleet had minted, or a session that began at another one.
    pub misplaced: bool,
    /// It brought a handle that another tenant had got.
    pub foreign_tenant: bool,
    /// It asked for a stream.
    pub stream: bool,
    /// Ids that were born here by this request and are kept.
    pub created: Vec<String>,
    /// Ids that it cites, known here or not.
    pub cited: Vec<String>,
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// Bytes of answer body that were handed over; all of them if the answer ended well.
    pub answer_bytes: u64,
    /// SHA-256 of the answer's body; zeroes if it was not handed over in full, or [`crate::CloudSpec::digest`] is off.
    pub answer_sha256: [u8; 32],
    /// How it ended.
    pub outcome: Outcome,
    /// How long after `at` the other side went away, if it did.
    pub client_gone_after: Option<Duration>,
}

impl Seen {
    /// The first recorded header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body's SHA-256 in lower-case hex.
    pub fn body_sha256_hex(&self) -> String {
        hex(&self.body_sha256)
    }

    /// It creates or cites state that is kept here (or should be).
    pub fn touches_state(&self) -> bool {
        !self.created.is_empty() || !self.cited.is_empty()
    }
}

/// SHA-256 of some bytes, as [`Seen::body_sha256`] has it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many requests ended how, since the start or the last [`crate::FakeCloud::clear`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose head arrived.
    pub requests: u64,
    /// Still open.
    pub open: u64,
    /// [`Outcome::Ok`].
    pub ok: u64,
    /// [`Outcome::WrongCredential`].
    pub wrong_credential: u64,
    /// [`Outcome::WrongModel`].
    pub wrong_model: u64,
    /// [`Outcome::ForeignHandle`].
    pub foreign_handle: u64,
    /// [`Outcome::GoneHandle`].
    pub gone_handle: u64,
    /// [`Outcome::Locked`].
    pub locked: u64,
    /// [`Outcome::UnknownPath`].
    pub unknown_path: u64,
    /// [`Outcome::WrongHost`].
    pub wrong_host: u64,
    /// [`Outcome::BadBody`].
    pub bad_body: u64,
    /// [`Outcome::ClientGone`].
    pub client_gone: u64,
    /// [`Outcome::Faulted`].
    pub faulted: u64,
    /// Answered requests that left and cited nothing here.
    pub stateless: u64,
    /// Answered requests that left state here and cited none.
    pub creates: u64,
    /// Answered requests that cited state which is here.
    pub continues: u64,
    /// Requests with [`Seen::misplaced`].
    pub misplaced: u64,
    /// Requests with [`Seen::foreign_tenant`].
    pub foreign_tenant: u64,
    /// Requests that asked for a stream.
    pub streams: u64,
    /// Requests with a credential that is not this cloud's.
    pub stray_credentials: u64,
    /// Bytes of request bodies.
    pub body_bytes: u64,
    /// Connections accepted.
    pub connections: u64,
}

impl Counts {
    pub(crate) fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Open => &mut self.open,
            Outcome::Ok => &mut self.ok,
            Outcome::WrongCredential => &mut self.wrong_credential,
            Outcome::WrongModel => &mut self.wrong_model,
            Outcome::ForeignHandle => &mut self.foreign_handle,
            Outcome::GoneHandle => &mut self.gone_handle,
            Outcome::Locked => &mut self.locked,
            Outcome::UnknownPath => &mut self.unknown_path,
            Outcome::WrongHost => &mut self.wrong_host,
            Outcome::BadBody => &mut self.bad_body,
            Outcome::ClientGone => &mut self.client_gone,
            Outcome::Faulted => &mut self.faulted,
        }
    }
}
