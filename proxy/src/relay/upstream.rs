//! The endpoint's half: a request goes in, an answer comes out.

use super::buffer::Buffer;
use super::framing::Framing;
use super::head::{AnswerHead, number, says_close};
use super::lines::Lines;
use super::pool::{self, Key};
use super::wire::{COPY_MAX, Unwritten, Wire};
use crate::endpoints::Ready;
use crate::peer;
use crate::witness::{self, Reached};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use pingora_core::connectors::http::v2::{Connector, H2HandshakeSettings, handshake};
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::{HttpPeer, Peer};
use pingora_http::RequestHeader;
use riparian_config::HttpVersion;
use riparian_filters::decision::Reason;
use riparian_filters::policy::Place;
use smallvec::SmallVec;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A connection to an endpoint, or a stream of one.
pub(crate) enum Upstream {
    Http1(Box<Http1>),
    Http2(Box<Http2>),
}

/// An HTTP/1.1 connection.
pub(crate) struct Http1 {
    wire: Wire,
    key: Key,
    /// What was read and not used yet.
    ahead: Option<Buffer>,
    /// What is left of the answer's body.
    framing: Framing,
    /// Whether another request may follow.
    keep: bool,
}

/// A stream of an HTTP/2 connection.
pub(crate) struct Http2 {
    session: Http2Session,
    peer: HttpPeer,
}

/// An endpoint that was connected to does not answer as it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What comes next of an answer's body.
#[derive(Debug)]
pub(crate) enum Next {
    /// Bytes; with the flag set they are the last.
    Data(Buffer, bool),
    /// Nothing more, but for trailers.
    End(Option<HeaderMap>),
}

/// A request as it goes out.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Http1(Vec<u8>),
    Http2(Box<RequestHeader>),
}

impl Upstream {
    /// An idle connection to `place`, or a new one; and whether it was used before.
    ///
    /// # Errors
    /// When none can be had; the reason is what the client is told.
    pub(crate) async fn connect(
        connector: &Connector,
        place: &Place,
        ready: &Ready,
        address: SocketAddr,
    ) -> Result<(Self, bool), Reason> {
        if place.endpoint.http_version == HttpVersion::Http2 {
            return Box::pin(http2(connector, place, ready, address)).await;
        }
        let key = (ready.pool, address);
        let idle = std::future::poll_fn(|cx| Poll::Ready(pool::take(&key, cx))).await;
        let reused = idle.is_some();
        let wire = match idle {
            Some(wire) => wire,
            None => Box::pin(new(connector, place, ready, address)).await?,
        };
        Ok((
            Self::Http1(Box::new(Http1 { wire, key, ahead: None, framing: Framing::Over, keep: true })),
            reused,
        ))
    }

    /// A new connection to `place` that speaks HTTP/1.1, whatever its requests speak, and will not be used for another request.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn dial(
        connector: &Connector,
        place: &Place,
        ready: &Ready,
        address: SocketAddr,
    ) -> Result<(Self, bool), Reason> {
        let wire = new(connector, place, ready, address).await?;
        let key = (ready.pool, address);
        let http1 = Http1 { wire, key, ahead: None, framing: Framing::Over, keep: false };
        Ok((Self::Http1(Box::new(http1)), false))
    }

    /// The connection under an answer that has switched protocols, with what came behind its head.
    pub(crate) fn into_wire(self) -> Option<(Wire, Option<Buffer>)> {
        match self {
            Self::Http1(upstream) => Some((upstream.wire, upstream.ahead)),
            Self::Http2(_) => None,
        }
    }

    /// Sends a request. A connection that breaks meanwhile may still hold an answer.
    pub(crate) async fn send(&mut self, request: Outgoing, body: &[Bytes]) -> Result<(), Broken> {
        match (self, request) {
            (Self::Http1(upstream), Outgoing::Http1(mut head)) => {
                // Up to here a copy is cheaper than a gathered write.
                if body.iter().map(Bytes::len).sum::<usize>() <= COPY_MAX {
                    body.iter().for_each(|chunk| head.extend_from_slice(chunk));
                    return upstream.send(&head, &[]).await;
                }
                upstream.send(&head, body).await
            }
            (Self::Http2(upstream), Outgoing::Http2(head)) => upstream.send(head, body).await,
            _ => unreachable!("a head is written for the version that is spoken"),
        }
    }

    /// The next head: an interim one, or the answer's.
    pub(crate) async fn head(&mut self) -> Result<AnswerHead, Broken> {
        match self {
            Self::Http1(upstream) => std::future::poll_fn(|cx| upstream.poll_head(cx)).await,
            Self::Http2(upstream) => {
                upstream.session.read_response_header().await.map_err(|_| Broken)?;
                let head = upstream.session.response_header().ok_or(Broken)?;
                Ok(AnswerHead { status: head.status, lines: Lines::from(&head.headers) })
            }
        }
    }

    /// Begins the body of the answer with this head; true when there is none.
    pub(crate) fn begin(&mut self, head: &AnswerHead, method: &Method) -> bool {
        match self {
            Self::Http1(upstream) => {
                upstream.begin(head, method);
                upstream.framing.is_over()
            }
            Self::Http2(upstream) => upstream.session.response_finished(),
        }
    }

    /// What comes next of the body.
    pub(crate) async fn next(&mut self) -> Result<Next, Broken> {
        match self {
            Self::Http1(upstream) => std::future::poll_fn(|cx| upstream.poll_next(cx)).await,
            Self::Http2(upstream) => upstream.next().await,
        }
    }

    /// The same, if it is there already.
    pub(crate) async fn next_now(&mut self) -> Option<Result<Next, Broken>> {
        match self {
            Self::Http1(upstream) => {
                std::future::poll_fn(|cx| match upstream.poll_next(cx) {
                    Poll::Ready(next) => Poll::Ready(Some(next)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            }
            Self::Http2(_) => None,
        }
    }

    /// The answer has ended: the connection waits for its next request, if it is fit for one.
    pub(crate) fn release(self, connector: &Connector) {
        match self {
            Self::Http1(upstream) => {
                if upstream.keep && upstream.framing.is_over() && upstream.ahead.is_none() {
                    pool::put(upstream.key, upstream.wire);
                }
            }
            Self::Http2(upstream) => {
                let Http2 { session, peer } = *upstream;
                connector.release_http_session(session, &peer, Some(pool::IDLE));
            }
        }
    }
}

// The futures below are boxed where they are waited for: connecting is rare, and its state would make every request's larger.

async fn http2(
    connector: &Connector,
    place: &Place,
    ready: &Ready,
    address: SocketAddr,
) -> Result<(Upstream, bool), Reason> {
    let peer = peer::peer(place, ready, address);
    let fault = |error: Box<pingora_error::Error>| peer::reason(&error);
    let (session, reused) = match connector.reused_http_session(&peer).await.map_err(fault)? {
        Some(session) => (session, true),
        None if ready.witness.is_some() => (witnessed(connector, place, ready, &peer).await?, false),
        None => match connector.new_http_session::<_, ()>(&peer).await.map_err(fault)? {
            HttpSession::H2(session) => (session, false),
            // It was to speak HTTP/2, and does not.
            _ => return Err(Reason::UpstreamReset),
        },
    };
    Ok((Upstream::Http2(Box::new(Http2 { session, peer })), reused))
}

/// What the library's connector does for a new connection, but that nothing is said on it before it is known whose it is.
async fn witnessed(
    connector: &Connector,
    place: &Place,
    ready: &Ready,
    peer: &HttpPeer,
) -> Result<Http2Session, Reason> {
    let fault = |error: Box<pingora_error::Error>| peer::reason(&error);
    let stream = connector.transport().new_stream(peer).await.map_err(fault)?;
    witness::check(place, ready, &Reached::stream(&stream))?;
    if place.endpoint.url.tls && stream.selected_alpn_proto() != Some(ALPN::H2) {
        return Err(Reason::UpstreamReset);
    }
    let mut settings = H2HandshakeSettings::new();
    settings.max_streams = peer.options.max_h2_streams;
    settings.ping_interval = peer.options.h2_ping_interval;
    let connection = handshake(stream, settings).await.map_err(fault)?;
    let session = connection.spawn_stream().await.map_err(fault)?.ok_or(Reason::UpstreamReset)?;
    if connection.more_streams_allowed() {
        connector.in_use_pool().insert(peer.reuse_hash(), connection);
    }
    Ok(session)
}

async fn new(
    connector: &Connector,
    place: &Place,
    ready: &Ready,
    address: SocketAddr,
) -> Result<Wire, Reason> {
    let wire = match place.endpoint.url.tls {
        true => tls(connector, place, ready, address).await?,
        false => plain(place, address).await?,
    };
    let reached = match &wire {
        Wire::Tcp(stream) => Reached::plain(stream),
        Wire::Tls(stream) => Reached::stream(stream),
    };
    witness::check(place, ready, &reached)?;
    Ok(wire)
}

async fn plain(place: &Place, address: SocketAddr) -> Result<Wire, Reason> {
    let connected = tokio::time::timeout(place.timeouts().connect, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| Reason::UpstreamTimeout)?.map_err(|_| Reason::UpstreamConnect)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(peer::KEEPALIVE.idle)
        .with_interval(peer::KEEPALIVE.interval)
        .with_retries(u32::try_from(peer::KEEPALIVE.count).unwrap_or(3));
    let set =
        stream.set_nodelay(true).and_then(|()| socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive));
    set.map_err(|_| Reason::UpstreamConnect)?;
    Ok(Wire::Tcp(stream))
}

async fn tls(
    connector: &Connector,
    place: &Place,
    ready: &Ready,
    address: SocketAddr,
) -> Result<Wire, Reason> {
    let mut peer = peer::peer(place, ready, address);
    // Whoever comes here speaks HTTP/1.1.
    peer.options.alpn = ALPN::H1;
    let connected = connector.transport().new_stream(&peer).await;
    connected.map(Wire::Tls).map_err(|error| peer::reason(&error))
}

impl Http1 {
    async fn send(&mut self, head: &[u8], body: &[Bytes]) -> Result<(), Broken> {
        let mut parts: SmallVec<[IoSlice<'_>; 8]> = SmallVec::with_capacity(body.len() + 1);
        parts.push(IoSlice::new(head));
        parts.extend(body.iter().map(|chunk| IoSlice::new(chunk)));
        let mut unwritten = Unwritten(&mut parts);
        std::future::poll_fn(|cx| {
            match unwritten.poll(&mut self.wire, cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                // It does not read on; why, it may have said.
                Poll::Ready(Err(_)) => {
                    self.keep = false;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {}
            }
            // An answer before the request's end ends the request: whoever refuses a body need not read it.
            if ready!(self.poll_early(cx))? {
                self.keep = false;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ready when an answer is there, or the end of one that will not come.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        loop {
            ready!(self.poll_more(cx))?;
            let Some(ahead) = &mut self.ahead else { continue };
            while let Some((head, length)) = AnswerHead::parse(ahead.bytes()).map_err(|_| Broken)? {
                if !head.status.is_informational() {
                    return Poll::Ready(Ok(true));
                }
                // Nobody waits for it any more.
                ahead.consume(length);
            }
        }
    }

    /// Reads more of what the endpoint sends.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match ready!(self.wire.poll_ahead(&mut self.ahead, cx)) {
            // The end, or no room: a head of this size is none.
            Ok(0) | Err(_) => Poll::Ready(Err(Broken)),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnswerHead, Broken>> {
        loop {
            if let Some(ahead) = &mut self.ahead
                && let Some((head, length)) = AnswerHead::parse(ahead.bytes()).map_err(|_| Broken)?
            {
                ahead.consume(length);
                if ahead.is_empty() {
                    self.ahead = None;
                }
                return Poll::Ready(Ok(head));
            }
            ready!(self.poll_more(cx))?;
        }
    }

    /// How the body ends (RFC 9112, 6.3), of a head that was found to have one end.
    fn begin(&mut self, head: &AnswerHead, method: &Method) {
        self.keep &= !head.lines.all(&CONNECTION).any(says_close);
        self.framing = if *method == Method::HEAD || head.status == 204 || head.status == 304 {
            Framing::Over
        } else if head.lines.get(&TRANSFER_ENCODING).is_some() {
            Framing::chunked()
        } else if let Some(length) = head.lines.get(&CONTENT_LENGTH).and_then(number) {
            Framing::length(length)
        } else {
            self.keep = false;
            Framing::Close
        };
    }

    /// Everything that has arrived comes at once, however many chunks it is.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Broken>> {
        loop {
            if self.framing.is_over() {
                return Poll::Ready(Ok(Next::End(None)));
            }
            let mut piece = match self.ahead.take() {
                Some(ahead) => ahead,
                None => {
                    let mut piece = Buffer::take();
                    let read = ready!(self.wire.poll_read(cx, piece.spare())).map_err(|_| Broken)?;
                    if read == 0 {
                        if self.framing != Framing::Close {
                            return Poll::Ready(Err(Broken));
                        }
                        self.framing = Framing::Over;
                        continue;
                    }
                    piece.filled(read);
                    piece
                }
            };
            let decoded = self.framing.decode(piece.bytes_mut()).map_err(|_| Broken)?;
            if decoded.used < piece.len() {
                // More than one answer to one request: the rest is nobody's.
                self.keep = false;
            }
            piece.truncate(decoded.data);
            let over = self.framing.is_over();
            if over || !piece.is_empty() {
                return Poll::Ready(Ok(Next::Data(piece, over)));
            }
        }
    }
}

impl Http2 {
    async fn send(&mut self, head: Box<RequestHeader>, body: &[Bytes]) -> Result<(), Broken> {
        self.session.write_request_header(head, body.is_empty()).map_err(|_| Broken)?;
        for (number, chunk) in body.iter().enumerate() {
            let last = number + 1 == body.len();
            if self.session.write_request_body(chunk.clone(), last).await.is_err() {
                // It reads no further; why, it may have said.
                break;
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Next, Broken> {
        if let Some(data) = self.session.read_response_body().await.map_err(|_| Broken)? {
            // A frame is at most as long as a buffer: pingora announces 64 KiB.
            let over = self.session.response_finished();
            return Ok(Next::Data(Buffer::with(&data), over));
        }
        // A stream that was reset without an error has not ended.
        if !self.session.check_response_end_or_error().map_err(|_| Broken)? {
            return Err(Broken);
        }
        self.session.read_trailers().await.map(Next::End).map_err(|_| Broken)
    }
}
