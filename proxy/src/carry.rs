//! The life of a request, from its head to its settlement: the stages of the crate's doc, in their order.

use crate::answer;
use crate::endpoints::AtEndpoint;
use crate::house::House;
use crate::metrics::Outcome;
use crate::observe::{Observer, observe};
use crate::prepare::{prepare, prepare_socket};
use crate::receive::{Received, Stop, receive};
use crate::record::{DecisionId, Record, Tried};
use crate::refuse::Refusal;
use crate::relay::client::{Client, Unreachable};
use crate::relay::head::{AnswerHead, RequestHead};
use crate::relay::timer::Timer;
use crate::relay::upstream::{Broken, Next, Upstream};
use crate::seals::{Sealing, open_head, pass};
use crate::settle::settle;
use crate::socket;
use http::header;
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::frame;
use riparian_filters::policy::{EndpointId, Place};
use riparian_filters::rewrite::{self, ModelSpan};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Settles a request when it is over, however that comes about: also when its task is dropped.
struct Settling<'h> {
    house: &'h House,
    record: Record,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.record.end_turn(&self.house.sessions);
        settle(&self.record, self.house);
    }
}

/// Carries one request.
pub(crate) async fn carry(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
) {
    let snapshot = house.snapshot.load_full();
    let let_in = house.gate.enter(snapshot.policy.config.limits.streams);
    house.budget.request();
    let (id, random) = rand::random::<(u64, [u8; 16])>();
    let record = Record::new(DecisionId(id), snapshot, head.method.clone(), std::time::Instant::now());
    let mut settling = Settling { house, record };
    let record = &mut settling.record;
    if house.is_draining() {
        client.close_behind();
    }
    let closed = match &let_in {
        None => Some(Reason::Overloaded),
        Some(_) if !house.can_write_down() => Some(Reason::LedgerUnavailable),
        Some(_) => None,
    };
    if let Client::Http1(_) = client
        && frame::is_websocket(&head.headers)
    {
        return Box::pin(socket::carry(house, client, head, timer, record, (random, closed))).await;
    }
    let bare = open_head(record, client.last_tenant(), head);
    let head = bare.as_deref().unwrap_or(head);
    let received = match closed {
        None => receive(house, client, head, timer, record, random).await,
        Some(reason) => Err(Refusal::from(reason).into()),
    };
    let received = match received {
        Ok(received) => received,
        Err(Stop::Gone) => {
            record.outcome = Outcome::ClientAbort;
            return client.close_behind();
        }
        Err(Stop::Refuse(refusal)) => {
            return Box::pin(refuse(client, record, &refusal, Outcome::Refused)).await;
        }
    };
    let carried = Carry { house, client, head, timer, record }.forward(received).await;
    over(client, record, carried).await;
}

/// Writes down how a request ended, and tells a client that has not been told.
pub(crate) async fn over(client: &mut Client<'_>, record: &mut Record, carried: Result<(), Failed>) {
    match carried {
        Ok(()) => record.outcome = outcome(record.status),
        Err(Failed::Gone) => {
            record.outcome = Outcome::ClientAbort;
            client.close_behind();
        }
        Err(Failed::Cut) => {
            record.outcome = Outcome::Truncated;
            client.cut();
        }
        Err(Failed::Unanswered(reason)) => {
            let refusal = Refusal::from(told(record, reason));
            Box::pin(refuse(client, record, &refusal, Outcome::Failed)).await;
        }
    }
}

/// Answers with a refusal.
pub(crate) async fn refuse(
    client: &mut Client<'_>,
    record: &mut Record,
    refusal: &Refusal,
    outcome: Outcome,
) {
    record.reason = refusal.reason;
    record.outcome = outcome;
    record.status = refusal.status;
    let within = record.snapshot.policy.config.limits.idle;
    if refusal.send(client, record, within).await.is_err() {
        // There was nobody to tell.
        client.close_behind();
    }
}

/// An answer that ended was passed on whole; by its status it was a success or not.
fn outcome(status: u16) -> Outcome {
    match status {
        400..500 => Outcome::ClientError,
        500.. => Outcome::ServerError,
        _ => Outcome::Ok,
    }
}

/// What a request that reached no endpoint is told. A pinned one waits for its owner; nobody stands in.
pub(crate) fn told(record: &Record, reason: Reason) -> Reason {
    match (&record.decision, reason) {
        (Some(decision), Reason::UpstreamConnect) if matches!(decision.verdict, Verdict::Hold(_)) => {
            Reason::OwnerUnavailable
        }
        _ => reason,
    }
}

/// Why a request was not carried to its end.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client went away, or cannot be written to.
    Gone,
    /// The answer broke off after its head was passed on.
    Cut,
    /// No answer came.
    Unanswered(Reason),
}

impl From<Unreachable> for Failed {
    fn from(_: Unreachable) -> Self {
        Self::Gone
    }
}

/// Why an attempt at one endpoint failed.
enum Attempt {
    /// Nothing was sent.
    NotReached(Reason),
    /// A connection that was made has failed before its answer; the flag says whether it had been used before.
    Broken(bool),
    /// The request is over.
    Over(Failed),
}

/// An answer's head, where it comes from, and what counts it there.
pub(crate) struct Answer {
    pub(crate) upstream: Upstream,
    pub(crate) head: AnswerHead,
    pub(crate) at: AtEndpoint,
}

/// What came of work that the client's going away, or a deadline, can end.
enum Watched<T> {
    Done(T),
    Gone,
    Late,
}

/// One request on its way.
pub(crate) struct Carry<'a, 'c, 'h> {
    pub(crate) house: &'h Arc<House>,
    pub(crate) client: &'a mut Client<'c>,
    pub(crate) head: &'a RequestHead,
    pub(crate) timer: &'a mut Timer,
    pub(crate) record: &'a mut Record,
}

impl Carry<'_, '_, '_> {
    async fn forward(mut self, received: Received) -> Result<(), Failed> {
        let (answer, endpoint) = self.reach(&received).await?;
        // Nothing is sent again once there is an answer.
        drop(received);
        self.relay(answer, endpoint).await
    }

    /// Stage 8, select: tries the verdict's endpoints in their order, and no other, until one answers.
    pub(crate) async fn reach(&mut self, received: &Received) -> Result<(Answer, EndpointId), Failed> {
        let mut chosen = 0;
        loop {
            let endpoint = self.verdict().endpoints()[chosen];
            self.record.endpoint = Some(endpoint);
            self.record.attempts += 1;
            self.record.tried.push(Tried { endpoint, met: None, sent: false });
            let again = match self.ask(endpoint, received).await {
                Ok(answer) => return Ok((answer, endpoint)),
                Err(Attempt::Over(failed)) => return Err(failed),
                // Nothing was sent, so another endpoint of the same set may be tried.
                Err(Attempt::NotReached(reason)) => {
                    if reason == Reason::EgressMismatch {
                        self.house.metrics.egress_mismatches.increment(1);
                    }
                    self.not_reached(endpoint);
                    if self.next(&mut chosen) { continue } else { reason }
                }
                Err(Attempt::Broken(reused)) => {
                    if self.may_repeat() && (self.same_again(reused) || self.next(&mut chosen)) {
                        continue;
                    }
                    Reason::UpstreamReset
                }
            };
            return Err(Failed::Unanswered(again));
        }
    }

    fn verdict(&self) -> &Verdict {
        &self.record.decision.as_ref().expect("what is carried was decided").verdict
    }

    /// A request that may have been processed is not sent twice: only one that is idempotent by its method (RFC 9110, 9.2.2) or says so
    /// by an idempotency key, and only before the first byte of an answer.
    fn may_repeat(&self) -> bool {
        self.head.method.is_idempotent() || self.head.headers.contains_key("idempotency-key")
    }

    /// A pooled connection that was closed under us says nothing of its endpoint; another attempt at it is an attempt, too.
    fn same_again(&self, reused: bool) -> bool {
        reused && self.record.attempts < self.record.snapshot.policy.config.retries.attempts
    }

    /// Goes on to the next endpoint of the candidate set, if there is one, and the budget allows it.
    fn next(&self, chosen: &mut usize) -> bool {
        let retries = &self.record.snapshot.policy.config.retries;
        let another = *chosen + 1 < self.verdict().endpoints().len();
        if !another || self.record.attempts >= retries.attempts {
            return false;
        }
        if !self.house.budget.retry(retries) {
            self.house.metrics.retries_denied.increment(1);
            return false;
        }
        self.house.metrics.retries.increment(1);
        *chosen += 1;
        true
    }

    fn not_reached(&self, endpoint: EndpointId) {
        let snapshot = &self.record.snapshot;
        let place = snapshot.policy.place(endpoint);
        if snapshot.ready(endpoint).state.failed(&snapshot.policy.config.health) {
            tracing::warn!(cloud = %place.cloud_name, endpoint = %place.endpoint.name, "endpoint counts as down");
        }
    }

    /// Stages 9 and 10: connects, sends, and waits for the head of the answer.
    async fn ask(&mut self, endpoint: EndpointId, received: &Received) -> Result<Answer, Attempt> {
        let snapshot = Arc::clone(&self.record.snapshot);
        let (place, ready) = (snapshot.policy.place(endpoint), snapshot.ready(endpoint));
        let due = Instant::now() + place.timeouts().first_byte;
        let address = ready.state.address().ok_or(Attempt::NotReached(Reason::UpstreamConnect))?;
        let connector = &self.house.connector;
        let connected = match &received.socket {
            None => self.watch(due, Upstream::connect(connector, place, ready, address)).await?,
            Some(_) => self.watch(due, Box::pin(Upstream::dial(connector, place, ready, address))).await?,
        };
        let (mut upstream, reused) = connected.map_err(Attempt::NotReached)?;
        ready.state.connected();
        self.tried().met = Some(Arc::clone(upstream.met()));
        let at = AtEndpoint::begin(&ready.state);

        let splice = rewrite::splice(place, self.record.model.as_deref(), span_for(received, place));
        let body = received.body.spliced(splice.as_ref());
        let request = match &received.socket {
            None => prepare(self.record, endpoint, &body, self.head),
            Some(asking) => prepare_socket(self.record, endpoint, self.head, asking),
        };
        let request = request.ok_or(Attempt::Over(Failed::Unanswered(Reason::Internal)))?;
        self.note(due).await?;
        let broken = |_| Attempt::Broken(reused);
        self.watch(due, upstream.send(request, &body)).await?.map_err(broken)?;
        loop {
            let head = self.watch(due, upstream.head()).await?.map_err(broken)?;
            let switched = received.socket.as_ref().is_some_and(|asking| asking.is_accepted(&head));
            if switched {
                return Ok(Answer { upstream, head, at });
            }
            if !answer::is_sound(&head) {
                return Err(Attempt::Over(Failed::Unanswered(Reason::UpstreamReset)));
            }
            if !head.status.is_informational() {
                return Ok(Answer { upstream, head, at });
            }
            Box::pin(self.interim(head)).await.map_err(Attempt::Over)?;
        }
    }

    /// What is said of the attempt that is being made.
    fn tried(&mut self) -> &mut Tried {
        self.record.tried.last_mut().expect("it was noted when it began")
    }

    /// Nothing is sent that the ledger does not know of.
    async fn note(&mut self, due: Instant) -> Result<(), Attempt> {
        if let Some(ledger) = &self.house.ledger {
            let unavailable = |_| Attempt::Over(Failed::Unanswered(Reason::LedgerUnavailable));
            let kept = ledger.sending(self.record).map_err(unavailable)?;
            if kept.is_awaited() {
                Box::pin(self.watch(due, kept.wait())).await?.map_err(unavailable)?;
            }
        }
        self.tried().sent = true;
        Ok(())
    }

    /// An interim answer is passed on (RFC 9110, 15.2), but for the go-ahead, which the client has had from us.
    async fn interim(&mut self, mut head: AnswerHead) -> Result<(), Failed> {
        if head.status != http::StatusCode::CONTINUE {
            answer::strip(&mut head.lines);
            self.client.interim(&head, self.idle()).await?;
        }
        Ok(())
    }

    fn idle(&self) -> Duration {
        self.record.snapshot.policy.config.limits.idle
    }

    /// Stages 10 and 11: passes the answer on, and reads along.
    pub(crate) async fn relay(mut self, answer: Answer, endpoint: EndpointId) -> Result<(), Failed> {
        let Answer { mut upstream, mut head, at: _at } = answer;
        let without_body = upstream.begin(&head, &self.head.method);
        answer::strip(&mut head.lines);
        let within = self.idle();
        let record = &mut *self.record;
        record.first_byte = Some(std::time::Instant::now());
        record.status = head.status.as_u16();
        record.stream = head.lines.get(&header::CONTENT_TYPE).is_some_and(is_event_stream);
        record.tag(&mut head.lines);
        let mut seals = Sealing::begin(record);
        let mut observer = observe(self.house, record, &head, without_body, seals.as_deref_mut()).await;
        seals = seals.filter(|seals| {
            seals.head(&mut head, observer.as_ref().is_some_and(Observer::reads_handles)) && !without_body
        });
        if self.house.is_draining() {
            self.client.close_behind();
        }
        let idle = record.snapshot.policy.place(endpoint).timeouts().idle;
        self.client.head(head, &self.head.method, without_body)?;
        // Until it has ended; should this task be dropped, that is what it was.
        self.record.outcome = Outcome::Truncated;
        if without_body {
            self.ended(&mut observer).await;
            self.client.end(None, within).await?;
            upstream.release(&self.house.connector);
            return Ok(());
        }
        // What has come with the head leaves with it; a head that comes alone does not wait.
        let mut early = upstream.next_now().await;
        if early.is_none() {
            self.client.flush(within).await?;
        }
        loop {
            let next = match early.take() {
                Some(next) => Watched::Done(next),
                None => watch(self.client, self.timer, Instant::now() + idle, upstream.next()).await,
            };
            match next {
                Watched::Done(Ok(Next::Data(data, last))) => {
                    self.record.response_bytes += data.len() as u64;
                    let mut sealed = None;
                    if let Some(seals) = &mut seals {
                        let bytes = (data.bytes(), last);
                        sealed =
                            Box::pin(pass(self.house, self.record, observer.as_mut(), seals, bytes)).await;
                    } else if let Some(observer) = &mut observer {
                        observer.feed(self.house, self.record, data.bytes(), None).await;
                    }
                    if last {
                        self.ended(&mut observer).await;
                    }
                    match sealed {
                        Some(sealed) => Box::pin(self.client.write_all(&sealed, last, within)).await?,
                        None => self.client.write(data, last, within).await?,
                    }
                    if last {
                        break;
                    }
                }
                Watched::Done(Ok(Next::End(trailers))) => {
                    self.ended(&mut observer).await;
                    if let Some(seals) = seals.as_mut().filter(|seals| seals.frames.is_some()) {
                        Box::pin(self.client.write_all(&seals.rest(), false, within)).await?;
                    }
                    self.client.end(trailers, within).await?;
                    break;
                }
                Watched::Gone => return Err(Failed::Gone),
                Watched::Done(Err(Broken)) | Watched::Late => {
                    self.client.flush(within).await?;
                    return Err(Failed::Cut);
                }
            }
        }
        upstream.release(&self.house.connector);
        Ok(())
    }

    async fn ended(&mut self, observer: &mut Option<Observer>) {
        if let Some(observer) = observer.take() {
            observer.end(self.house, self.record).await;
        }
    }

    async fn watch<T>(&mut self, due: Instant, work: impl Future<Output = T>) -> Result<T, Attempt> {
        match watch(self.client, self.timer, due, work).await {
            Watched::Done(done) => Ok(done),
            Watched::Gone => Err(Attempt::Over(Failed::Gone)),
            Watched::Late => Err(Attempt::Over(Failed::Unanswered(Reason::UpstreamTimeout))),
        }
    }
}

/// Works until that is done, the client has gone, or `due` has passed.
async fn watch<T>(
    client: &mut Client<'_>,
    timer: &mut Timer,
    due: Instant,
    work: impl Future<Output = T>,
) -> Watched<T> {
    let mut work = std::pin::pin!(work);
    let mut gone = std::pin::pin!(client.gone());
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Watched::Done(done));
        }
        if gone.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Watched::Gone);
        }
        timer.poll(due, cx).map(|()| Watched::Late)
    })
    .await
}

/// Where `place` looks for the model in the body. One that finds it in its path needs nothing put in.
fn span_for<'r>(received: &'r Received, place: &Place) -> &'r ModelSpan {
    match (&received.span, received.form) {
        (ModelSpan::Absent(..) | ModelSpan::AbsentInForm(_), Some(form))
            if rewrite::stays_dated(place, form) =>
        {
            &ModelSpan::None
        }
        (span, _) => span,
    }
}

fn is_event_stream(kind: &http::HeaderValue) -> bool {
    const SSE: &[u8] = b"text/event-stream";
    kind.as_bytes().get(..SSE.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(SSE))
}
