//! One `Decision`, and the closed list of reasons that six readers share: the response header, the access log, the metric
//! label, `explain`, the refusal's `code` and the table in the docs all use [`Reason::as_str`].

use crate::identify::{Session, Tenant};
use crate::policy::{EndpointId, SurfaceNumber};
use crate::readings::Classes;
use crate::table::CloudSet;
use riparian_config::{Class, Grade, OnExpiry, Timestamp};
use smallvec::SmallVec;
use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $word:literal $status:literal $advice:literal;)*) => {
        /// Why a request went where it went, or why it went nowhere. A closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it, everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The HTTP status of the answer; 200 where the request goes on and the endpoint answers.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// One sentence for the client, safe to show: it names no host, no credential and no other tenant.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

reasons! {
    /// The terms in force name clouds, and one of their endpoints serves the request.
    Designated "designated" 200 "The request goes to a cloud that the contract designates.";
    /// A handle's owner is allowed, and up.
    Held "held" 200 "The request goes to the endpoint that holds the state it cites.";

    /// No term in force speaks of the request, and `otherwise` is `refuse`.
    NoTerm "no_term" 403 "No term of the contract in force allows this request.";
    /// The terms in force leave no cloud: their `only` sets have nothing in common.
    TermsConflict "terms_conflict" 403 "Terms of the contract contradict each other for this request and leave no cloud.";
    /// A `never` took the last cloud away.
    Forbidden "forbidden" 403 "A term of the contract forbids every cloud that would otherwise be allowed.";
    /// The readings disagree about where the request may go, and the contract's `band` allows none of it.
    ReadingsDisagree "readings_disagree" 403 "The parties read the contract differently for this request, and no cloud is allowed under every reading.";
    /// The request's own header leaves none of the clouds that the terms allow.
    Narrowed "narrowed" 403 "The request's own x-riparian-clouds header leaves none of the clouds that the contract allows.";
    /// Within `clock_skew` of a boundary: both sides allow something, but nothing in common. It passes.
    EpochBoundary "epoch_boundary" 503 "The contract's terms change at this moment, and no cloud is allowed both before and after.";
    /// The operation is not in the surface table, and no term names the grade `unknown`.
    Unrecognised "unrecognised" 403 "This API operation is not recognised, so it cannot be judged; it is refused unless a term allows grade unknown.";
    /// The owner's cloud is outside the designation: the terms changed under a living session.
    OwnerNotDesignated "owner_not_designated" 403 "The state that this request cites lives in a cloud that the contract in force does not allow for it.";
    /// The term ended by which the session went where it lives, and it has rested since for longer than `sessions.idle`.
    SessionDrained "session_drained" 403 "The term ended under which this session began; it was let go on while it was in use, and it has rested since.";
    /// The owner is no longer in the configuration.
    OwnerRemoved "owner_removed" 403 "The state that this request cites lives at an endpoint that is no longer configured.";

    /// A handle that was never seen, or has expired, or belongs to another tenant: these are not told apart.
    UnknownHandle "unknown_handle" 400 "The request cites state that is not known here: it was never seen, has expired, or was created before the proxy.";
    /// Two handles in one request live at two endpoints.
    OwnersDiffer "owners_differ" 400 "The request cites state at two different endpoints; no single endpoint can serve it.";
    /// Its vendor shut the operation down.
    Retired "retired" 410 "The vendor has shut this API operation down.";
    /// No endpoint of the designated clouds has this operation and this model.
    NotServed "not_served" 404 "No endpoint of the clouds that the contract designates serves this operation with this model.";

    /// The pinned endpoint is down. Never replaced.
    OwnerUnavailable "owner_unavailable" 503 "The endpoint that holds the state this request cites is unavailable; no other can stand in for it.";
    /// Where the state lives that the request cites cannot be looked up now.
    PinsUnavailable "pins_unavailable" 503 "Where the state that this request cites lives cannot be looked up now.";
    /// Every candidate is down.
    EndpointsDown "endpoints_down" 503 "Every endpoint that the contract allows for this request is unavailable.";

    /// The header that narrows the clouds names what is none, or comes twice.
    NarrowingMalformed "narrowing_malformed" 400 "The x-riparian-clouds header is malformed: it is one list of the names of clouds, with commas between them.";
    /// The head is not what RFC 9112 allows, or is ambiguous.
    HeadMalformed "head_malformed" 400 "The request's head is malformed or ambiguous.";
    /// The head is over a limit.
    HeadTooLarge "head_too_large" 431 "The request's head is over the limit.";
    /// The target is over the limit.
    TargetTooLong "target_too_long" 414 "The request's target is over the limit.";
    /// The head did not arrive in time.
    HeadTimeout "head_timeout" 408 "The request's head did not arrive in time.";
    /// A socket was asked for where none is carried.
    UpgradeRefused "upgrade_refused" 426 "This proxy does not carry WebSocket upgrades here; use HTTP.";
    /// An operation that is a socket was asked for without an upgrade, or over HTTP/2, where none is carried.
    UpgradeRequired "upgrade_required" 426 "This operation is a WebSocket; it is asked for by an upgrade over HTTP/1.1.";
    /// A socket was asked for in another version of the protocol.
    SocketVersion "socket_version" 426 "This version of the WebSocket protocol is not spoken; version 13 is.";
    /// None of the named callers, where nobody else is let in.
    UnknownCaller "unknown_caller" 401 "The caller is not known here: its credential or certificate is none of those that are configured.";
    /// `CONNECT` and `TRACE` are never carried.
    MethodRefused "method_refused" 405 "This method is not carried.";

    /// The body is not what its surface takes.
    BodyMalformed "body_malformed" 400 "The request's body is malformed.";
    /// Two parsers could read the body differently.
    BodyAmbiguous "body_ambiguous" 400 "The request's body is ambiguous: two parsers could read it differently.";
    /// Over `limits.body`.
    BodyTooLarge "body_too_large" 413 "The request's body is over the limit.";
    /// A content encoding, or a content type that the surface does not take: the body cannot be read.
    BodyEncoded "body_encoded" 415 "The request's body is encoded, or of a type that this operation does not take, so it cannot be read.";
    /// The body did not arrive in time.
    BodyTimeout "body_timeout" 408 "The request's body did not arrive in time.";
    /// The surface needs a model and the request names none.
    ModelMissing "model_missing" 400 "The request names no model.";
    /// The path names one model and the body another.
    ModelAmbiguous "model_ambiguous" 400 "The request's path and body name different models.";

    /// Frames that RFC 6455 does not allow, or a kind of message that the socket does not take.
    SocketMalformed "socket_malformed" 400 "What was sent over the socket is malformed, or of a kind that it does not take.";
    /// The terms changed under a living socket, and its cloud is not allowed any more: it is closed.
    TermsChanged "terms_changed" 403 "The contract's terms changed, and they do not allow this socket any more.";
    /// The process ends: new sockets are not begun.
    Draining "draining" 503 "The proxy is about to end; another one takes new work.";

    /// A limit of the whole process: requests in flight, or bytes of held bodies.
    Overloaded "overloaded" 503 "The proxy is at its limit of requests in flight or of held bodies.";

    /// What a request does could not be written down, and nothing may be done that is not. It passes.
    LedgerUnavailable "ledger_unavailable" 503 "The proxy cannot write down what it does now, and does nothing that is not written down.";

    /// No endpoint of the candidate set accepted a connection.
    UpstreamConnect "upstream_connect" 502 "No endpoint that the contract allows for this request accepted a connection.";
    /// The endpoint's certificate was not accepted.
    TlsVerify "tls_verify" 502 "The endpoint's certificate could not be verified.";
    /// Who was connected to is not whom the cloud's `witness` names.
    EgressMismatch "egress_mismatch" 502 "What was connected to is not what the configuration says this endpoint must be; nothing was sent to it.";
    /// The endpoint did not answer in time.
    UpstreamTimeout "upstream_timeout" 504 "The endpoint did not answer in time.";
    /// The endpoint broke the connection, or answered what is no HTTP.
    UpstreamReset "upstream_reset" 502 "The endpoint broke the connection before it answered.";
    /// A fault of the proxy's own.
    Internal "internal" 500 "The proxy failed to carry the request.";
}

impl Reason {
    /// Whether the request goes on.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::Designated | Self::Held)
    }

    /// Whether a client may try the same request again later: where it may, the answer has `Retry-After`.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::OwnerUnavailable
                | Self::PinsUnavailable
                | Self::EndpointsDown
                | Self::Overloaded
                | Self::LedgerUnavailable
                | Self::Draining
                | Self::EpochBoundary
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided about where a request may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Any of these, in this order. Never empty.
    Free(Candidates),
    /// This one and no other.
    Hold(EndpointId),
    /// None.
    Refuse(Reason),
}

impl Verdict {
    /// `free`, `hold` or `refuse`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Free(_) => "free",
            Self::Hold(_) => "hold",
            Self::Refuse(_) => "refuse",
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Free(_) => Reason::Designated,
            Self::Hold(_) => Reason::Held,
            Self::Refuse(reason) => *reason,
        }
    }

    /// Every endpoint that may be tried, in order; retries and failover walk along it and know nothing else.
    #[must_use]
    pub fn endpoints(&self) -> &[EndpointId] {
        match self {
            Self::Free(candidates) => candidates,
            Self::Hold(owner) => std::slice::from_ref(owner),
            Self::Refuse(_) => &[],
        }
    }
}

/// How many endpoints one request may try. After sixteen failures in a row of endpoints that count as up, one more attempt
/// would only make the client wait longer; and a list that is never longer never allocates.
pub const CANDIDATES_MAX: usize = 16;

/// Endpoints in the order in which they are tried, at most [`CANDIDATES_MAX`].
pub type Candidates = SmallVec<[EndpointId; CANDIDATES_MAX]>;

/// All that was decided for one request, with reasons. It is computed once, before any balancing; retry, failover,
/// the log and the answer's headers read it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Which API operation; `None` when unrecognised.
    pub surface: Option<SurfaceNumber>,
    /// How much state.
    pub grade: Grade,
    /// What the enforced reading makes of it.
    pub class: Class,
    /// The index of the vendor in the surface table, if the request has one.
    pub vendor: Option<usize>,
    /// Who asks.
    pub tenant: Tenant,
    /// Which session, and where that was found.
    pub session: Option<Session>,
    /// Which span of unchanging terms, counted from the oldest.
    pub epoch: u32,
    /// Indexes of the terms that matched under the enforced reading, in the contract's order.
    pub terms: SmallVec<[u16; 4]>,
    /// What each reading makes of it.
    pub classes: Classes,
    /// What those readings would have allowed that make the other class of it.
    pub shadow: Option<Box<Shadow>>,
    /// Whether the readings disagree about where it may go.
    pub in_band: bool,
    /// By which kind of expiry its session goes on that the terms in force would not allow any more.
    pub lease: Option<OnExpiry>,
    /// When the terms in force last allowed its session to be where it is: now, unless it goes on by a lease.
    pub since: Timestamp,
    /// Where it may go.
    pub verdict: Verdict,
}

/// What a reading that is not enforced would have said: no traffic is mirrored to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Where it would have allowed the request to go.
    pub clouds: CloudSet,
    /// Why nowhere.
    pub refusal: Option<Reason>,
    /// Indexes of the terms that match under it, in the contract's order.
    pub terms: SmallVec<[u16; 4]>,
}
