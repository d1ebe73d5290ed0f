//! Connections that are used again. Over HTTP/1.1 there are as many as needed, or a set number for which requests wait in
//! the order of arrival (the wait counts as latency, as it does for a client); over HTTP/2 a few that all streams share.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};

use super::dial::{Dial, Http, Line};
use super::upload::Upload;

/// Connections of HTTP/2, where the plan does not say.
const SHARED: usize = 4;

/// The connections to one target.
pub(crate) struct Pool {
    dial: Dial,
    idle: Mutex<Vec<http1::SendRequest<Upload>>>,
    /// Of HTTP/1.1, if their number is set.
    permits: Option<Arc<Semaphore>>,
    shared: Vec<AsyncMutex<Option<http2::SendRequest<Upload>>>>,
    next: AtomicUsize,
    /// Whether the target speaks HTTP/2; it says so only once.
    two: tokio::sync::OnceCell<bool>,
}

/// The right to a connection while its answer is read. Dropped, the connection ends with it.
pub(crate) struct Lease {
    sender: Option<http1::SendRequest<Upload>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(dial: Dial, http: Http, connections: Option<usize>) -> Pool {
        let shared = (0..connections.unwrap_or(SHARED).max(1)).map(|_| AsyncMutex::new(None)).collect();
        Pool {
            dial,
            idle: Mutex::default(),
            permits: connections.map(|count| Arc::new(Semaphore::new(count.max(1)))),
            shared,
            next: AtomicUsize::new(0),
            two: match http {
                Http::One => tokio::sync::OnceCell::new_with(Some(false)),
                Http::Two => tokio::sync::OnceCell::new_with(Some(true)),
                Http::ByAlpn => tokio::sync::OnceCell::new(),
            },
        }
    }

    pub(crate) fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Whether requests go over HTTP/2; asks the target at first.
    pub(crate) async fn is_two(&self) -> io::Result<bool> {
        let ask = || async { Ok(matches!(self.dial.open().await?, Line::Two(_))) };
        self.two.get_or_try_init(ask).await.copied()
    }

    /// Sends a request and waits for the head of its answer. One that an idle connection's end has met before it was
    /// written goes over another.
    pub(crate) async fn send(&self, request: Request<Upload>) -> io::Result<(Response<Incoming>, Lease)> {
        if self.is_two().await? { self.send_shared(request).await } else { self.send_alone(request).await }
    }

    async fn send_alone(&self, mut request: Request<Upload>) -> io::Result<(Response<Incoming>, Lease)> {
        let permit = match &self.permits {
            Some(permits) => Some(Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?),
            None => None,
        };
        loop {
            let mut sender = match self.take_idle() {
                Some(sender) => sender,
                None => match self.dial.open().await? {
                    Line::One(sender) => sender,
                    Line::Two(_) => return Err(io::Error::other("the target changed its mind about ALPN")),
                },
            };
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lease { sender: Some(sender), _permit: permit })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(io::Error::other(error.into_error())),
                },
            }
        }
    }

    fn take_idle(&self) -> Option<http1::SendRequest<Upload>> {
        let mut idle = self.idle.lock().expect("no code panics while it holds the list");
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    async fn send_shared(&self, mut request: Request<Upload>) -> io::Result<(Response<Incoming>, Lease)> {
        loop {
            let mut sender = self.share().await?;
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lease { sender: None, _permit: None })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(io::Error::other(error.into_error())),
                },
            }
        }
    }

    async fn share(&self) -> io::Result<http2::SendRequest<Upload>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len();
        let mut slot = self.shared[number].lock().await;
        if let Some(sender) = slot.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        match self.dial.open().await? {
            Line::Two(sender) => Ok(slot.insert(sender).clone()),
            Line::One(_) => Err(io::Error::other("the target changed its mind about ALPN")),
        }
    }

    /// Gives back a connection whose answer has been read to its end.
    pub(crate) fn give_back(&self, mut lease: Lease) {
        if let Some(sender) = lease.sender.take().filter(|sender| !sender.is_closed()) {
            self.idle.lock().expect("no code panics while it holds the list").push(sender);
        }
    }
}
