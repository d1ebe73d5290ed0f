//! The only `impl ProxyHttp`. Each hook is short; together they read as the life of a request in the crate's doc.

use crate::answer;
use crate::endpoints::AtEndpoint;
use crate::gate::{HeldBytes, Stream};
use crate::hold::{Held, LATE, Swap};
use crate::house::House;
use crate::metrics::Outcome;
use crate::observe::{Observer, observe};
use crate::peer;
use crate::prepare::prepare;
use crate::receive::{Stop, receive};
use crate::record::{DecisionId, Record};
use crate::refuse::Refusal;
use crate::settle::settle;
use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::policy::{EndpointId, Place};
use riparian_filters::rewrite::{self, ModelSpan};
use riparian_filters::surface::Form;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Carries requests for a house.
pub struct Gateway {
    pub(crate) house: Arc<House>,
}

/// One request's context: its record, and what it holds while it is carried.
pub struct Context {
    record: Record,
    random: [u8; 16],
    /// Counts it as in flight; `None` when it was not let in.
    stream: Option<Stream>,
    carried: Option<Box<Carried>>,
}

/// A request on its way.
struct Carried {
    body: Held,
    _held: HeldBytes,
    span: ModelSpan,
    /// The form of the client's path, when it is recognised.
    form: Option<Form>,
    /// `None` when the real session is back in its place.
    swap: Option<Swap>,
    /// The place in the verdict's list of the endpoint that is tried.
    attempt: usize,
    at: Option<AtEndpoint>,
    observer: Option<Observer>,
    /// Why the newest attempt failed.
    failure: Option<Reason>,
}

impl Carried {
    /// Where `place` looks for the model in the body. One that finds it in its path needs nothing put in.
    fn span_for(&self, place: &Place) -> &ModelSpan {
        match (&self.span, self.form) {
            (ModelSpan::Absent(..) | ModelSpan::AbsentInForm(_), Some(form))
                if rewrite::stays_dated(place, form) =>
            {
                &ModelSpan::None
            }
            (span, _) => span,
        }
    }
}

/// No endpoint could be tried.
const NOWHERE: ErrorType = ErrorType::Custom("no endpoint to try");

impl Gateway {
    fn verdict(record: &Record) -> &Verdict {
        &record.decision.as_ref().expect("what is carried was decided").verdict
    }

    /// Goes on to the next endpoint of the candidate set, if there is one, and the budget allows it.
    fn next(&self, record: &Record, carried: &mut Carried) -> bool {
        let retries = &record.snapshot.policy.config.retries;
        let another = carried.attempt + 1 < Self::verdict(record).endpoints().len();
        if !another || record.attempts >= retries.attempts {
            return false;
        }
        if !self.house.budget.retry(retries) {
            self.house.metrics.retries_denied.increment(1);
            return false;
        }
        self.house.metrics.retries.increment(1);
        carried.attempt += 1;
        true
    }

    fn not_reached(&self, record: &Record, endpoint: EndpointId) {
        let place = record.snapshot.policy.place(endpoint);
        if record.snapshot.ready(endpoint).state.failed(&record.snapshot.policy.config.health) {
            tracing::warn!(cloud = %place.cloud_name, endpoint = %place.endpoint.name, "endpoint counts as down");
        }
    }

    /// What a request that reached no endpoint is told. A pinned one waits for its owner; nobody stands in.
    fn failure(record: &Record, reason: Reason) -> Reason {
        match (&record.decision, reason) {
            (Some(decision), Reason::UpstreamConnect) if matches!(decision.verdict, Verdict::Hold(_)) => {
                Reason::OwnerUnavailable
            }
            _ => reason,
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        let snapshot = self.house.snapshot.load_full();
        let stream = self.house.gate.enter(snapshot.policy.config.limits.streams);
        self.house.budget.request();
        let (id, random) = rand::random::<(u64, [u8; 16])>();
        let record = Record::new(DecisionId(id), snapshot, http::Method::GET, Instant::now());
        Context { record, random, stream, carried: None }
    }

    /// None: pingora's default adds a compression module, and a body must leave as it came.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    // 1 admit .. 8 select
    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        ctx.record.method = session.req_header().method.clone();
        session.as_mut().set_write_timeout(Some(ctx.record.snapshot.policy.config.limits.idle));
        let received = match &ctx.stream {
            Some(_) => receive(&self.house, session, &mut ctx.record, ctx.random).await,
            None => Err(Refusal::from(Reason::Overloaded).into()),
        };
        match received {
            Ok(received) => {
                ctx.carried = Some(Box::new(Carried {
                    body: received.body,
                    _held: received.held,
                    span: received.span,
                    form: received.form,
                    swap: Some(Swap::install(session)),
                    attempt: 0,
                    at: None,
                    observer: None,
                    failure: None,
                }));
                Ok(false)
            }
            // Whoever went away cannot be told; the error settles it.
            Err(Stop::Gone) => Err(Error::new_down(ErrorType::ConnectionClosed)),
            Err(Stop::Refuse(refusal)) => {
                ctx.record.reason = refusal.reason;
                ctx.record.outcome = Outcome::Refused;
                ctx.record.status = refusal.status;
                refusal.send(session, &ctx.record).await?;
                Ok(true)
            }
        }
    }

    // 8 select: the next endpoint of the verdict's list, and no other
    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        let Context { record, carried, .. } = ctx;
        let carried = carried.as_deref_mut().expect("received before it is carried");
        loop {
            let endpoint = Self::verdict(record).endpoints()[carried.attempt];
            record.endpoint = Some(endpoint);
            record.attempts += 1;
            let snapshot = &record.snapshot;
            let (place, ready) = (snapshot.policy.place(endpoint), snapshot.ready(endpoint));
            if let Some(address) = ready.state.address() {
                let splice = rewrite::splice(place, record.model.as_deref(), carried.span_for(place));
                if let Some(swap) = &carried.swap {
                    swap.arm(carried.body.spliced(splice.as_ref()), place.timeouts());
                }
                return Ok(Box::new(peer::peer(place, ready, address)));
            }
            self.not_reached(record, endpoint);
            carried.failure = Some(Reason::UpstreamConnect);
            if !self.next(record, carried) {
                return Err(Error::new(NOWHERE));
            }
        }
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        if let (Some(endpoint), Some(carried)) = (ctx.record.endpoint, &mut ctx.carried) {
            let state = &ctx.record.snapshot.ready(endpoint).state;
            state.connected();
            carried.at = Some(AtEndpoint::begin(state));
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut e: Box<Error>,
    ) -> Box<Error> {
        let Context { record, carried, .. } = ctx;
        let (Some(endpoint), Some(carried)) = (record.endpoint, carried.as_deref_mut()) else { return e };
        self.not_reached(record, endpoint);
        carried.failure = Some(peer::reason(&e));
        // Nothing was sent, so another endpoint of the same set may be tried.
        e.set_retry(self.next(record, carried));
        e
    }

    // 9 prepare
    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let record = &ctx.record;
        let (Some(endpoint), Some(carried)) = (record.endpoint, &ctx.carried) else {
            return Err(Error::new(NOWHERE));
        };
        let body_bytes = carried.swap.as_ref().map_or(0, Swap::body_bytes);
        prepare(record, endpoint, body_bytes, head)
    }

    // 10 relay: the answer's head
    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        answer::check(response)?;
        answer::strip(response);
        if response.status.is_informational() {
            return Ok(());
        }
        let record = &mut ctx.record;
        record.first_byte = Some(Instant::now());
        record.status = response.status.as_u16();
        record.stream = response.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().len() >= SSE.len() && kind.as_bytes()[..SSE.len()].eq_ignore_ascii_case(SSE)
        });
        record.tag(response)?;
        if let Some(carried) = &mut ctx.carried {
            carried.observer = observe(&self.house, record, response);
        }
        Ok(())
    }

    // 11 observe: before these bytes are forwarded
    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        let Some(carried) = &mut ctx.carried else { return Ok(None) };
        if let Some(bytes) = body {
            ctx.record.response_bytes += bytes.len() as u64;
            if let Some(observer) = &mut carried.observer {
                observer.feed(&self.house, &ctx.record, bytes);
            }
        }
        if end_of_stream && let Some(observer) = carried.observer.take() {
            observer.end(&self.house);
        }
        Ok(None)
    }

    /// A connection that was made has failed. A request that may have been processed is not sent twice: only one that is idempotent
    /// by its method (RFC 9110, 9.2.2) or says so by an idempotency key goes on to the next endpoint, and only before the
    /// first byte of an answer.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let Context { record, carried, .. } = ctx;
        let Some(carried) = carried.as_deref_mut() else { return e };
        carried.failure = Some(peer::reason(&e));
        let untouched = session.response_written().is_none_or(|head| head.status.is_informational())
            && record.first_byte.is_none();
        let theirs = *e.esource() == ErrorSource::Upstream;
        let head = session.req_header();
        let repeatable = head.method.is_idempotent() || head.headers.contains_key("idempotency-key");
        // On a pooled connection that was closed under us the same endpoint may be tried again; that is an attempt, too.
        let again = reused && record.attempts < record.snapshot.policy.config.retries.attempts;
        e.set_retry(untouched && theirs && repeatable && (again || self.next(record, carried)));
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Context) -> FailToProxy {
        let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
        let record = &mut ctx.record;
        let late = *e.etype() == LATE;
        if *e.esource() == ErrorSource::Downstream && !late {
            record.outcome = Outcome::ClientAbort;
            if !answered {
                record.status = 0;
            }
        } else if answered {
            record.outcome = Outcome::Truncated;
        } else {
            let failure = ctx.carried.as_ref().and_then(|carried| carried.failure);
            let reason = if late { Reason::UpstreamTimeout } else { failure.unwrap_or(Reason::Internal) };
            let refusal = Refusal::from(Self::failure(record, reason));
            record.reason = refusal.reason;
            record.outcome = Outcome::Failed;
            record.status = refusal.status;
            // pingora closes the connection behind a failed attempt, so the answer must say so; and only the real session can.
            if let Some(swap) = ctx.carried.as_mut().and_then(|carried| carried.swap.take()) {
                swap.undo(session);
            }
            // The client may have gone meanwhile; then there is nobody to tell.
            let _ = refusal.send_and_close(session, record).await;
        }
        FailToProxy { error_code: record.status, can_reuse_downstream: false }
    }

    // 12 settle
    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Context) {
        if let Some(carried) = ctx.carried.take() {
            if e.is_none() {
                ctx.record.outcome = outcome(&ctx.record);
            }
            if let Some(swap) = carried.swap {
                swap.undo(session);
            }
        }
        settle(&ctx.record, &self.house.metrics, &self.house.log);
    }

    /// Errors of pingora's can carry bytes of a head; ours say what is safe in the access log.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Context,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

const SSE: &[u8] = b"text/event-stream";

/// An answer that ended without an error was passed on whole (one that is cut short is an error to pingora); by its status it
/// was a success or not.
fn outcome(record: &Record) -> Outcome {
    match record.status {
        400..500 => Outcome::ClientError,
        500.. => Outcome::ServerError,
        _ => Outcome::Ok,
    }
}
