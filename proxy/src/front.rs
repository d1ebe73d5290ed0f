//! The listeners: connections in, and the strict look at every HTTP/1.1 head before pingora sees it.
//!
//! pingora's own server loop is not used. It repairs ambiguous heads before anybody can look at them, has no deadline on a whole
//! head, logs a failed bind and goes on, and drains for a fixed time. Here the head is read first, within a deadline and a
//! size, checked byte by byte, and handed to pingora as bytes that are already there; what pingora parses has one reading.

use crate::gateway::Gateway;
use crate::house::House;
use crate::metrics::Outcome;
use crate::receive::head_limits;
use crate::record::{DecisionId, Record};
use crate::refuse::Refusal;
use crate::settle::settle;
use arc_swap::ArcSwap;
use bytes::BytesMut;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora_core::listeners::tls::{Acceptor, TlsSettings};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream as L4;
use pingora_core::protocols::{ALPN, GetSocketDigest, SocketDigest, Stream};
use pingora_proxy::HttpProxy;
use riparian_config::ListenerProtocol;
use riparian_filters::decision::Reason;
use riparian_filters::head::{self, HeadFault, HeadLimits};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What connections of one listener meet.
pub(crate) struct Front {
    pub(crate) proxy: Arc<HttpProxy<Gateway>>,
    pub(crate) house: Arc<House>,
    pub(crate) transport: Transport,
}

/// What is spoken before HTTP.
pub(crate) enum Transport {
    Plain,
    PriorKnowledge,
    /// Swapped at reload, so that a renewed certificate needs no restart.
    Tls(Arc<ArcSwap<Acceptor>>),
}

/// A TLS acceptor for a listener's certificate.
///
/// # Errors
/// When the certificate or the key cannot be read or do not belong together.
pub(crate) fn acceptor(protocol: &ListenerProtocol) -> Result<Option<Acceptor>, String> {
    let ListenerProtocol::Tls { certificate, key } = protocol else { return Ok(None) };
    check_pair(certificate, key)?;
    let text = |path: &std::path::Path| {
        path.to_str().map(str::to_owned).ok_or(format!("{}: is no text", path.display()))
    };
    let mut settings =
        TlsSettings::intermediate(&text(certificate)?, &text(key)?).map_err(|error| error.to_string())?;
    settings.enable_h2();
    Ok(Some(settings.build()))
}

/// pingora ends the process on a certificate that it cannot use; a reload must not.
fn check_pair(certificate: &std::path::Path, key: &std::path::Path) -> Result<(), String> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map(drop)
        .map_err(|error| format!("{} with {}: {error}", certificate.display(), key.display()))
}

/// HTTP/2 begins with these bytes (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Front {
    /// Accepts until the house drains; then the socket is closed, and connections end on their own.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let front = Arc::new(self);
        let mut draining = front.house.draining.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = draining.wait_for(|draining| *draining) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let front = Arc::clone(&front);
                    tokio::spawn(async move { front.connection(stream).await });
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
        let _open = self.house.gate.connect();
        let mut shutdown = self.house.draining.subscribe();
        let stream = tokio::select! {
            biased;
            stream = self.handshake(stream) => stream,
            // It has asked for nothing yet, so it is as good as a connection that comes too late.
            _ = shutdown.wait_for(|draining| *draining) => None,
        };
        let Some(stream) = stream else { return };
        let h2 = match self.transport {
            Transport::PriorKnowledge => true,
            Transport::Plain => false,
            Transport::Tls(_) => matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
        };
        if h2 {
            self.proxy.process_new(stream, &shutdown).await;
        } else {
            self.http1(stream, shutdown).await;
        }
    }

    async fn handshake(&self, stream: TcpStream) -> Option<Stream> {
        stream.set_nodelay(true).ok()?;
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
            Transport::Plain | Transport::PriorKnowledge => Some(Box::new(stream)),
            Transport::Tls(acceptor) => {
                let acceptor = acceptor.load_full();
                let stream = tokio::time::timeout(within, acceptor.tls_handshake(stream)).await.ok()?.ok()?;
                Some(Box::new(stream))
            }
        }
    }

    /// One HTTP/1.1 connection: head by head.
    async fn http1(&self, mut stream: Stream, mut shutdown: watch::Receiver<bool>) {
        let mut settings: Option<HttpPersistentSettings> = None;
        loop {
            let (keepalive, within, limits) = self.deadlines();
            let head = match read_head(&mut stream, keepalive, within, limits, &mut shutdown).await {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(fault) => {
                    self.refuse(&mut stream, fault).await;
                    break;
                }
            };
            let mut session = ServerSession::new_http1(stream);
            match settings.take() {
                Some(settings) => settings.apply_to_session(&mut session),
                None => session.set_keepalive(Some(keepalive.as_secs().max(1))),
            }
            session.set_pipelined_prefix(head);
            match self
                .proxy
                .process_new_http(session, &shutdown)
                .await
                .map(pingora_core::apps::ReusedHttpStream::consume)
            {
                Some((reused, kept)) => (stream, settings) = (reused, kept),
                None => return,
            }
        }
        // Closing; a client that is gone already cannot be told.
        let _ = AsyncWriteExt::shutdown(&mut stream).await;
    }

    fn deadlines(&self) -> (Duration, Duration, HeadLimits) {
        let snapshot = self.house.snapshot.load();
        let limits = &snapshot.policy.config.limits;
        (limits.keepalive, limits.head_within, head_limits(&snapshot.policy))
    }

    /// Answers a head that no session could be made of, and settles it like any other request.
    async fn refuse(&self, stream: &mut Stream, fault: HeadFault) {
        let house = &self.house;
        let id = DecisionId(rand::random());
        let mut record = Record::new(id, house.snapshot.load_full(), http::Method::GET, Instant::now());
        record.reason = fault.reason;
        record.status = fault.reason.status();
        record.outcome = Outcome::Refused;
        let refusal = Refusal::with(fault.reason, fault.what);
        if let Ok((response, body)) = refusal.response(&record) {
            let mut bytes = format!(
                "HTTP/1.1 {} {}\r\n",
                refusal.status,
                response.status.canonical_reason().unwrap_or("")
            )
            .into_bytes();
            for (name, value) in &response.headers {
                bytes.extend_from_slice(name.as_str().as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"connection: close\r\n\r\n");
            bytes.extend_from_slice(&body);
            // A client that does not read its refusal has a second, not the connection.
            let _ = tokio::time::timeout(Duration::from_secs(1), async {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                linger(stream).await
            })
            .await;
        }
        settle(&record, &house.metrics, &house.log);
    }
}

/// Reads what the client still sends, and throws it away: closing over unread bytes would reset the connection, and the client
/// would lose the refusal that is on its way.
async fn linger(stream: &mut Stream) -> std::io::Result<()> {
    AsyncWriteExt::shutdown(stream).await?;
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
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

/// What one read asks for; more than nearly every head.
const READ: usize = 4096;

/// Reads one head, and what of the body came with it. `None` when the client is done, or we are.
async fn read_head<S: tokio::io::AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    keepalive: Duration,
    within: Duration,
    limits: HeadLimits,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<Option<BytesMut>, HeadFault> {
    let mut bytes = BytesMut::with_capacity(READ);
    let first = tokio::select! {
        biased;
        read = tokio::time::timeout(keepalive, stream.read_buf(&mut bytes)) => read,
        _ = shutdown.wait_for(|draining| *draining) => return Ok(None),
    };
    if !matches!(first, Ok(Ok(1..))) {
        return Ok(None);
    }
    let deadline = tokio::time::Instant::now() + within;
    let mut searched = 0;
    loop {
        if let Some(end) = head::end_of_head(&bytes, searched) {
            head::check_raw(&bytes[..end], limits)?;
            return Ok(Some(bytes));
        }
        if has_bare_line_feed(&bytes, searched) {
            return Err(HeadFault {
                reason: Reason::HeadMalformed,
                what: "line feed without a carriage return",
            });
        }
        searched = bytes.len();
        if bytes.len() > limits.bytes {
            return Err(HeadFault { reason: Reason::HeadTooLarge, what: "head over the limit" });
        }
        bytes.reserve(READ);
        match tokio::time::timeout_at(deadline, stream.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            // Gone in mid-head: nobody is there to be told.
            Ok(_) => return Ok(None),
            Err(_) => return Err(HeadFault { reason: Reason::HeadTimeout, what: "limits.head_within" }),
        }
    }
}

/// Such a head never comes to its end; better said at once than at the deadline.
fn has_bare_line_feed(bytes: &[u8], from: usize) -> bool {
    (from..bytes.len()).any(|at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 256, target: 64, lines: 8 };
    const SECOND: Duration = Duration::from_secs(1);

    async fn read(pieces: &[&[u8]], end: bool) -> Result<Option<BytesMut>, Reason> {
        let (mut client, mut server) = tokio::io::duplex(64);
        let (_keep, mut shutdown) = watch::channel(false);
        let send = async {
            for piece in pieces {
                let _ = client.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            if end {
                drop(client);
            } else {
                std::future::pending::<()>().await;
            }
        };
        let receive = read_head(&mut server, SECOND, SECOND, LIMITS, &mut shutdown);
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
            assert!(read.starts_with(HEAD), "cut at {cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_deadline_and_an_idle_connection_ends_in_silence() {
        assert_eq!(read(&[b"POST / HTTP/1.1\r\n"], false).await, Err(Reason::HeadTimeout));
        assert_eq!(read(&[], false).await, Ok(None));
        assert_eq!(read(&[b"POST"], true).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn endless_and_lenient_heads_are_refused_as_soon_as_that_is_clear() {
        let endless = vec![b'a'; 300];
        assert_eq!(read(&[b"GET / HTTP/1.1\r\nX: ", &endless], false).await, Err(Reason::HeadTooLarge));
        assert_eq!(read(&[b"GET / HTTP/1.1\nHost: a\n\n"], false).await, Err(Reason::HeadMalformed));
    }
}
