//! The client's half: a request comes out of it, an answer goes in.

use super::buffer::{self, Buffer};
use super::framing::Framing;
use super::head::{AnswerHead, RequestHead, says_close, write_line};
use super::held::{Arrived, Held};
use super::wire::{COPY_MAX, Unwritten, Wire};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use pingora_core::protocols::http::v2::server::HttpSession;
use pingora_error::ErrorType;
use pingora_http::ResponseHeader;
use riparian_filters::identify::LastTenant;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Its client went away.
    Gone,
    /// Nobody knows where it ends.
    Malformed,
}

/// A client that cannot be written to: it went away, or does not read.
#[derive(Debug)]
pub(crate) struct Unreachable;

/// Who asked.
pub(crate) enum Client<'c> {
    Http1(&'c mut Http1),
    Http2(Box<HttpSession>, Box<LastTenant>),
}

/// A client's HTTP/1.1 connection.
pub(crate) struct Http1 {
    pub(crate) wire: Wire,
    /// What was read and not used yet; `None` while nothing is.
    pub(crate) ahead: Option<Buffer>,
    /// What is left of the request's body.
    framing: Framing,
    /// What of the answer is not sent yet: its head, until the first bytes of its body.
    out: Vec<u8>,
    /// How the answer's body ends.
    answer: Answering,
    /// Whether another request may follow.
    keep: bool,
    /// Who asked last: most connections have one credential, whose digest is made once.
    tenant: LastTenant,
}

/// How far the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answering {
    NotYet,
    /// By its length, or without a body.
    Plain,
    Chunked,
    Whole,
}

impl Http1 {
    pub(crate) fn new(wire: Wire, tenant: LastTenant) -> Self {
        Self {
            wire,
            ahead: None,
            framing: Framing::Over,
            out: Vec::new(),
            answer: Answering::NotYet,
            keep: true,
            tenant,
        }
    }

    /// Begins a request.
    pub(crate) fn begin(&mut self, head: &RequestHead) {
        self.framing = head.framing();
        self.answer = Answering::NotYet;
        self.out.clear();
        self.keep = !head.headers.get_all(CONNECTION).iter().any(says_close);
    }

    /// Whether another request may follow the one that has ended.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep && self.framing.is_over() && self.answer == Answering::Whole
    }

    /// The answer was sent, but not everything was read: closing now would take the answer away.
    pub(crate) fn is_owed_a_reading(&self) -> bool {
        self.answer == Answering::Whole && !self.framing.is_over()
    }

    /// What is sent from now on is not read as anything: it ends with the connection.
    pub(crate) fn refuse_the_rest(&mut self) {
        self.framing = Framing::Close;
    }

    /// Reads more of the body into `held`, and returns how many bytes came; `None` at its end. Bytes behind the body stay ahead.
    fn poll_body(&mut self, held: &mut Held, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, BodyFault>> {
        loop {
            if self.framing.is_over() {
                held.close();
                return Poll::Ready(Ok(None));
            }
            let came = match self.ahead.take() {
                Some(mut first) if held.open.is_none() => {
                    let decoded = self.framing.decode(first.bytes_mut()).map_err(|_| BodyFault::Malformed)?;
                    self.ahead = first.split_off(decoded.used);
                    first.truncate(decoded.data);
                    held.open = Some(first);
                    decoded.data
                }
                ahead => {
                    debug_assert!(ahead.is_none(), "what is ahead of a body comes before anything is read");
                    let open = held.open.get_or_insert_with(Buffer::take);
                    let room = open.spare();
                    let read = ready!(self.wire.poll_read(cx, room)).map_err(|_| BodyFault::Gone)?;
                    if read == 0 {
                        return Poll::Ready(Err(BodyFault::Gone));
                    }
                    let decoded = self.framing.decode(&mut room[..read]).map_err(|_| BodyFault::Malformed)?;
                    if decoded.used < read {
                        self.ahead = Some(Buffer::with(&room[decoded.used..read]));
                    }
                    open.filled(decoded.data);
                    decoded.data
                }
            };
            held.bytes += came as u64;
            if held.open.as_mut().is_some_and(|open| open.spare().is_empty()) {
                held.close();
            }
            if came > 0 {
                return Poll::Ready(Ok(Some(came)));
            }
        }
    }

    /// Writes what is unsent, `data` as a part of the answer's body, and at its `end` what ends it.
    async fn write(&mut self, data: &[u8], end: bool, within: Duration) -> Result<(), Unreachable> {
        let mut tail: &[u8] = b"";
        if self.answer == Answering::Chunked {
            if !data.is_empty() {
                // Writing into memory does not fail.
                let _ = io::Write::write_fmt(&mut self.out, format_args!("{:x}\r\n", data.len()));
                tail = if end { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            } else if end {
                tail = b"0\r\n\r\n";
            }
        }
        let written = if data.len() <= COPY_MAX {
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(tail);
            if self.out.is_empty() { Ok(()) } else { self.send(&[], &[], within).await }
        } else {
            self.send(data, tail, within).await
        };
        // A stream that waits for its next piece keeps no room for it.
        self.out = Vec::new();
        written?;
        if end {
            self.answer = Answering::Whole;
        }
        Ok(())
    }

    async fn send(&mut self, data: &[u8], tail: &[u8], within: Duration) -> Result<(), Unreachable> {
        let mut parts = [IoSlice::new(&self.out), IoSlice::new(data), IoSlice::new(tail)];
        let used = if data.is_empty() { 1 } else { 3 };
        let mut unwritten = Unwritten(&mut parts[..used]);
        let wire = &mut self.wire;
        let mut late: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(written) = unwritten.poll(wire, cx) {
                return Poll::Ready(written.map_err(|_| Unreachable));
            }
            // Only a write that waits needs a deadline.
            let late = late.get_or_insert_with(|| Box::pin(sleep(within)));
            late.as_mut().poll(cx).map(|()| Err(Unreachable))
        })
        .await
    }

    /// Ready when the client has gone. What it sends ahead meanwhile is kept, as far as there is room.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ahead.as_ref().is_none_or(Buffer::has_room) {
            match ready!(self.wire.poll_ahead(&mut self.ahead, cx)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

impl Client<'_> {
    /// Who asked last on this connection.
    pub(crate) fn last_tenant(&mut self) -> &mut LastTenant {
        match self {
            Self::Http1(client) => &mut client.tenant,
            Self::Http2(_, tenant) => tenant,
        }
    }

    /// Whether there is no body to read.
    pub(crate) fn has_no_body(&self) -> bool {
        match self {
            Self::Http1(client) => client.framing.is_over(),
            Self::Http2(session, _) => session.is_body_empty(),
        }
    }

    /// Whether more has come than what was read, as far as that is known.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            Self::Http1(client) => client.ahead.is_some(),
            Self::Http2(..) => false,
        }
    }

    /// Whether the body was read to its end.
    pub(crate) fn has_read_body(&self) -> bool {
        match self {
            Self::Http1(client) => client.framing.is_over(),
            Self::Http2(session, _) => session.is_body_done(),
        }
    }

    /// Reads more of the body, and returns what has come; `None` at its end.
    pub(crate) async fn body<'h>(&mut self, held: &'h mut Held) -> Result<Option<Arrived<'h>>, BodyFault> {
        match self {
            Self::Http1(client) => {
                let came = std::future::poll_fn(|cx| client.poll_body(held, cx)).await?;
                Ok(came.map(|came| Arrived { held, came }))
            }
            Self::Http2(session, _) => match session.read_body_bytes().await {
                Ok(None) => Ok(None),
                Ok(Some(chunk)) => {
                    let came = chunk.len();
                    held.push(chunk);
                    Ok(Some(Arrived { held, came }))
                }
                Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => Err(BodyFault::Malformed),
                Err(_) => Err(BodyFault::Gone),
            },
        }
    }

    /// Tells a client that waits for it to send its body. Over HTTP/2 none can be told: the library has no interim answers.
    pub(crate) async fn go_ahead(&mut self, within: Duration) -> Result<(), Unreachable> {
        match self {
            Self::Http1(client) => {
                client.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                client.write(&[], false, within).await
            }
            Self::Http2(..) => Ok(()),
        }
    }

    /// No other request may follow on this connection: nobody knows where it would begin.
    pub(crate) fn close_behind(&mut self) {
        if let Self::Http1(client) = self {
            client.keep = false;
        }
    }

    /// Passes on an interim answer.
    pub(crate) async fn interim(&mut self, head: &AnswerHead, within: Duration) -> Result<(), Unreachable> {
        if let Self::Http1(client) = self {
            head.write(&mut client.out);
            client.out.extend_from_slice(b"\r\n");
            client.write(&[], false, within).await?;
        }
        Ok(())
    }

    /// Begins the answer. Its head leaves with the first bytes of its body, or by [`Client::flush`]. A body whose length the head
    /// does not tell is chunked.
    pub(crate) fn head(
        &mut self,
        head: AnswerHead,
        method: &Method,
        no_body: bool,
    ) -> Result<(), Unreachable> {
        match self {
            Self::Http1(client) => {
                let without = no_body || *method == Method::HEAD || head.status == 204 || head.status == 304;
                let chunked = !without && head.lines.get(&CONTENT_LENGTH).is_none();
                client.answer = if chunked { Answering::Chunked } else { Answering::Plain };
                client.out.reserve(HEAD);
                head.write(&mut client.out);
                if chunked {
                    write_line(&mut client.out, TRANSFER_ENCODING.as_str(), b"chunked");
                }
                if !client.keep {
                    write_line(&mut client.out, CONNECTION.as_str(), b"close");
                }
                client.out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Self::Http2(session, _) => session
                .write_response_header(Box::new(response_header(head)), no_body)
                .map_err(|_| Unreachable),
        }
    }

    /// Sends the head, although no byte of the body is there yet.
    pub(crate) async fn flush(&mut self, within: Duration) -> Result<(), Unreachable> {
        match self {
            Self::Http1(client) => client.write(&[], false, within).await,
            Self::Http2(..) => Ok(()),
        }
    }

    /// Sends bytes of the body; with `end` they are the last.
    pub(crate) async fn write(
        &mut self,
        data: Buffer,
        end: bool,
        within: Duration,
    ) -> Result<(), Unreachable> {
        match self {
            Self::Http1(client) => client.write(data.bytes(), end, within).await,
            Self::Http2(session, _) => {
                session.set_write_timeout(Some(within));
                session.write_body(data.freeze(), end).await.map_err(|_| Unreachable)
            }
        }
    }

    /// The same for as many bytes as there are.
    pub(crate) async fn write_all(
        &mut self,
        bytes: &[u8],
        end: bool,
        within: Duration,
    ) -> Result<(), Unreachable> {
        if bytes.is_empty() {
            return if end { self.end(None, within).await } else { self.flush(within).await };
        }
        let mut pieces = bytes.chunks(buffer::SIZE).peekable();
        while let Some(piece) = pieces.next() {
            self.write(Buffer::with(piece), end && pieces.peek().is_none(), within).await?;
        }
        Ok(())
    }

    /// Ends the answer with trailers, which only HTTP/2 passes on.
    pub(crate) async fn end(
        &mut self,
        trailers: Option<HeaderMap>,
        within: Duration,
    ) -> Result<(), Unreachable> {
        match self {
            Self::Http1(client) => client.write(&[], true, within).await,
            Self::Http2(session, _) => match trailers {
                Some(trailers) => session.write_trailers(trailers),
                None => session.finish(),
            }
            .map_err(|_| Unreachable),
        }
    }

    /// Breaks the answer off, so that nobody takes it for whole. Over HTTP/1.1 that is its connection's end.
    pub(crate) fn cut(&mut self) {
        match self {
            Self::Http1(client) => client.keep = false,
            Self::Http2(session, _) => session.shutdown(),
        }
    }

    /// Waits until the client has gone.
    pub(crate) async fn gone(&mut self) {
        match self {
            Self::Http1(client) => std::future::poll_fn(|cx| client.poll_gone(cx)).await,
            Self::Http2(session, _) => {
                // Whatever it says, there will be no more of it.
                let _ = session.idle().await;
            }
        }
    }
}

fn response_header(head: AnswerHead) -> ResponseHeader {
    let mut response = http::Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.lines.into();
    ResponseHeader::from(response.into_parts().0)
}

/// Room for an answer's head and a short body.
const HEAD: usize = 2048;
