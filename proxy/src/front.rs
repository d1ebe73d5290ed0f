//! The listeners: connections in, and the strict look at every HTTP/1.1 head before anything else reads it.
//!
//! pingora's own server loop is not used. It repairs ambiguous heads before anybody can look at them, has no deadline on a whole
//! head, logs a failed bind and goes on, and drains for a fixed time. Here each connection is given to one of a few worker
//! threads, where it stays: whatever it needs is there, and nothing is waited for that another thread has.

use crate::carry::carry;
use crate::house::House;
use crate::http2::Http2App;
use crate::metrics::Outcome;
use crate::receive::head_limits;
use crate::record::{DecisionId, Record};
use crate::refuse::Refusal;
use crate::relay::buffer::Buffer;
use crate::relay::client::{Client, Http1};
use crate::relay::head::RequestHead;
use crate::relay::timer::Timer;
use crate::relay::wire::Wire;
use crate::settle::settle;
use crate::tls;
use crate::workers::Workers;
use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::l4::stream::Stream as L4;
use pingora_core::protocols::tls::TlsRef;
use pingora_core::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream};
use pingora_core::server::ShutdownWatch;
use riparian_filters::decision::Reason;
use riparian_filters::head::{self, HeadFault, HeadLimits};
use riparian_filters::identify::LastTenant;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// What connections of one listener meet.
pub(crate) struct Front {
    pub(crate) house: Arc<House>,
    pub(crate) http2: Arc<Http2App>,
    pub(crate) transport: Transport,
}

/// What is spoken before HTTP.
pub(crate) enum Transport {
    Plain,
    PriorKnowledge,
    /// Swapped at reload, so that a renewed certificate needs no restart.
    Tls(Arc<ArcSwap<Acceptor>>),
}

/// HTTP/2 begins with these bytes (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Front {
    /// Accepts until the house drains; then the socket is closed, and connections end on their own.
    pub(crate) async fn accept(self, listener: TcpListener, workers: Arc<Workers>) {
        let front = Arc::new(self);
        let mut draining = front.house.draining.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = draining.wait_for(|draining| *draining) => return,
            };
            // A socket belongs to the runtime that it was made in; the worker makes its own of it.
            match accepted.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => {
                    let open = front.house.gate.connect();
                    let on = Arc::clone(&front);
                    workers.spawn(async move {
                        let _open = open;
                        if let Ok(stream) = TcpStream::from_std(stream) {
                            on.connection(stream).await;
                        }
                    });
                }
                // Out of descriptors, most likely: those in use come back sooner if we wait than if we spin.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let shutdown = self.house.draining.subscribe();
        if matches!(self.transport, Transport::Plain) {
            return self.http1(Wire::Tcp(stream), LastTenant::default(), shutdown).await;
        }
        let mut drain = shutdown.clone();
        let stream = tokio::select! {
            biased;
            // Boxed: its state would stay a part of the connection's for as long as that lives.
            stream = Box::pin(self.handshake(stream)) => stream,
            // It has asked for nothing yet, so it is as good as a connection that comes too late.
            _ = drain.wait_for(|draining| *draining) => None,
        };
        let Some((stream, subject)) = stream else { return };
        let h2 = matches!(self.transport, Transport::PriorKnowledge)
            || matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        if h2 {
            let http2 = subject.map(|subject| Http2App::certified(&self.http2, subject));
            http2.as_ref().unwrap_or(&self.http2).process_new(stream, &shutdown).await;
        } else {
            self.http1(Wire::Tls(stream), subject.map(LastTenant::certified).unwrap_or_default(), shutdown)
                .await;
        }
    }

    /// The stream, and the subject of the certificate that the client has proved to have.
    async fn handshake(&self, stream: TcpStream) -> Option<(Stream, Option<Arc<str>>)> {
        let peer = stream.peer_addr().ok()?;
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        let within = self.house.snapshot.load().policy.config.limits.head_within;
        if matches!(self.transport, Transport::PriorKnowledge) {
            // On this listener pingora would take a connection without the preface for HTTP/1.1, and wait for it without end.
            let mut preface = [0; PREFACE.len()];
            tokio::time::timeout(within, peek(&stream, &mut preface)).await.ok()?.ok()?;
            if preface != *PREFACE {
                return None;
            }
        }
        let mut stream = L4::from(stream);
        // Set once, here; nobody else can have.
        let _ = digest.peer_addr.set(Some(peer.into()));
        stream.set_socket_digest(digest);
        match &self.transport {
            Transport::Plain | Transport::PriorKnowledge => Some((Box::new(stream), None)),
            Transport::Tls(acceptor) => {
                let acceptor = acceptor.load_full();
                let stream = tokio::time::timeout(within, acceptor.tls_handshake(stream)).await.ok()?.ok()?;
                let certificate = stream.get_ssl().and_then(TlsRef::peer_certificate_der);
                // One that names nobody is as bad as one that nobody signed.
                let subject = certificate.map(|certificate| tls::subject(certificate).ok_or(())).transpose();
                let subject = subject.ok()?.map(Arc::from);
                Some((Box::new(stream), subject))
            }
        }
    }

    /// One HTTP/1.1 connection: head by head.
    async fn http1(&self, wire: Wire, tenant: LastTenant, mut shutdown: ShutdownWatch) {
        let mut client = Http1::new(wire, tenant);
        let mut timer = Timer::new();
        // Asked once, it wakes this task when we drain, whatever the task waits for then; the flag says why it was woken.
        let mut drain: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // Without a sender there is nobody left to drain.
            let _ = shutdown.wait_for(|draining| *draining).await;
        });
        std::future::poll_fn(|cx| Poll::Ready(drain.as_mut().poll(cx).is_ready())).await;
        loop {
            let (keepalive, within, limits) = self.deadlines();
            let drains = || self.house.is_draining();
            match read_head(&mut client, &mut timer, (keepalive, within), limits, drains).await {
                Ok(Some(head)) => {
                    client.begin(&head);
                    carry(&self.house, &mut Client::Http1(&mut client), &head, &mut timer).await;
                    if !client.is_reusable() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    Box::pin(self.refuse(&mut client, fault)).await;
                    break;
                }
            }
        }
        if client.is_owed_a_reading() {
            // A client that does not read its refusal has a second, not the connection.
            let _ = tokio::time::timeout(Duration::from_secs(1), linger(&mut client.wire)).await;
        } else {
            // Closing; a client that is gone already cannot be told.
            let _ = client.wire.shutdown().await;
        }
    }

    fn deadlines(&self) -> (Duration, Duration, HeadLimits) {
        let snapshot = self.house.snapshot.load();
        let limits = &snapshot.policy.config.limits;
        (limits.keepalive, limits.head_within, head_limits(&snapshot.policy))
    }

    /// Answers a head that no request could be made of, and settles it like any other request.
    async fn refuse(&self, client: &mut Http1, fault: HeadFault) {
        let house = &self.house;
        let id = DecisionId(rand::random());
        let mut record = Record::new(id, house.snapshot.load_full(), http::Method::GET, Instant::now());
        record.reason = fault.reason;
        record.status = fault.reason.status();
        record.outcome = Outcome::Refused;
        client.refuse_the_rest();
        let mut client = Client::Http1(client);
        let refusal = Refusal::with(fault.reason, fault.what);
        // The client may have gone meanwhile; then there is nobody to tell.
        let _ = refusal.send(&mut client, &record, Duration::from_secs(1)).await;
        settle(&record, house);
    }
}

/// Reads one head; what came behind it stays ahead. `None` when the client is done, or we are. The first byte may take the first
/// of the two times, and the head from there on the second.
async fn read_head(
    client: &mut Http1,
    timer: &mut Timer,
    (keepalive, within): (Duration, Duration),
    limits: HeadLimits,
    drains: impl Fn() -> bool,
) -> Result<Option<RequestHead>, HeadFault> {
    let mut due = tokio::time::Instant::now() + keepalive;
    let mut searched = None;
    std::future::poll_fn(|cx| {
        loop {
            if let Some(ahead) = &client.ahead {
                if searched.is_none() {
                    due = tokio::time::Instant::now() + within;
                }
                let from = searched.unwrap_or(0);
                if let Some(end) = head::end_of_head(ahead.bytes(), from) {
                    return Poll::Ready(take_head(client, end, limits).map(Some));
                }
                stays_bounded(ahead.bytes(), from, limits)?;
                searched = Some(ahead.len());
            } else if drains() {
                return Poll::Ready(Ok(None));
            }
            match client.wire.poll_ahead(&mut client.ahead, cx) {
                Poll::Ready(Ok(1..)) => {}
                // Gone, and if in mid-head: nobody is there to be told.
                Poll::Ready(_) => return Poll::Ready(Ok(None)),
                Poll::Pending => {
                    ready!(timer.poll(due, cx));
                    return Poll::Ready(match searched {
                        None => Ok(None),
                        Some(_) => Err(HeadFault { reason: Reason::HeadTimeout, what: "limits.head_within" }),
                    });
                }
            }
        }
    })
    .await
}

/// Takes a whole head out of what has come.
fn take_head(client: &mut Http1, end: usize, limits: HeadLimits) -> Result<RequestHead, HeadFault> {
    let ahead = client.ahead.as_mut().expect("it holds the head");
    head::check_raw(&ahead.bytes()[..end], limits)?;
    let head = RequestHead::parse(&Bytes::copy_from_slice(&ahead.bytes()[..end]));
    ahead.consume(end);
    if ahead.is_empty() {
        client.ahead = None;
    }
    head.ok_or(HeadFault { reason: Reason::HeadMalformed, what: "head cannot be parsed" })
}

/// Refuses as soon as it is clear what will become of it.
fn stays_bounded(bytes: &[u8], from: usize, limits: HeadLimits) -> Result<(), HeadFault> {
    if has_bare_line_feed(bytes, from) {
        let what = "line feed without a carriage return";
        return Err(HeadFault { reason: Reason::HeadMalformed, what });
    }
    if bytes.len() > limits.bytes {
        return Err(HeadFault { reason: Reason::HeadTooLarge, what: "head over the limit" });
    }
    Ok(())
}

/// Reads what the client still sends, and throws it away: closing over unread bytes would reset the connection, and the client
/// would lose the refusal that is on its way.
async fn linger(wire: &mut Wire) -> io::Result<()> {
    wire.shutdown().await?;
    let mut sink = Buffer::take();
    while std::future::poll_fn(|cx| wire.poll_read(cx, sink.spare())).await? > 0 {}
    Ok(())
}

/// Waits until the first bytes of a connection are there, and copies them without taking them.
async fn peek(stream: &TcpStream, bytes: &mut [u8]) -> std::io::Result<()> {
    loop {
        let there = stream.peek(bytes).await?;
        if there == 0 || there == bytes.len() || !PREFACE.starts_with(&bytes[..there]) {
            return Ok(());
        }
        // `peek` is ready as soon as one byte is there; the rest of the preface comes in the same packet but for slow clients.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Such a head never comes to its end; better said at once than at the deadline.
fn has_bare_line_feed(bytes: &[u8], from: usize) -> bool {
    (from..bytes.len()).any(|at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const LIMITS: HeadLimits = HeadLimits { bytes: 256, target: 64, lines: 8 };
    const SECOND: Duration = Duration::from_secs(1);

    async fn read(pieces: &[&[u8]], end: bool) -> Result<Option<RequestHead>, Reason> {
        let (mut sender, server) = tokio::io::duplex(64);
        let mut client = Http1::new(Wire::Tls(Box::new(server)), LastTenant::default());
        let send = async {
            for piece in pieces {
                let _ = sender.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            if end {
                drop(sender);
            } else {
                std::future::pending::<()>().await;
            }
        };
        let mut timer = Timer::new();
        let receive = read_head(&mut client, &mut timer, (SECOND, SECOND), LIMITS, || false);
        tokio::select! {
            read = receive => read.map_err(|fault| fault.reason),
            () = async { send.await; std::future::pending().await } => unreachable!(),
        }
    }

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_head_is_read_however_it_is_cut() {
        for cut in 0..HEAD.len() {
            let read = read(&[&HEAD[..cut], &HEAD[cut..]], false).await.unwrap().unwrap();
            assert_eq!((read.method.as_str(), read.headers.len()), ("POST", 2), "cut at {cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_deadline_and_an_idle_connection_ends_in_silence() {
        assert_eq!(read(&[b"POST / HTTP/1.1\r\n"], false).await.unwrap_err(), Reason::HeadTimeout);
        assert!(matches!(read(&[], false).await, Ok(None)));
        assert!(matches!(read(&[b"POST"], true).await, Ok(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn endless_and_lenient_heads_are_refused_as_soon_as_that_is_clear() {
        let endless = vec![b'a'; 300];
        assert_eq!(
            read(&[b"GET / HTTP/1.1\r\nX: ", &endless], false).await.unwrap_err(),
            Reason::HeadTooLarge
        );
        assert_eq!(read(&[b"GET / HTTP/1.1\nHost: a\n\n"], false).await.unwrap_err(), Reason::HeadMalformed);
    }

    /// Ten thousand streams that wait are ten thousand of these.
    #[test]
    fn the_state_of_a_connection_is_small() {
        fn size<A, B, C>(_: impl Fn(&'static Front, A, B) -> C) -> usize {
            std::mem::size_of::<C>()
        }
        let state = size(|front: &'static Front, stream, ()| front.connection(stream));
        assert!(state < 5 * 1024, "{state} bytes: box what is seldom waited for");
    }
}
