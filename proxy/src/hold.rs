//! Read the body before choosing, replay it after.
//!
//! The one place that knows pingora's trick. pingora 0.9.1 replays at most 64 KiB of a body that was read before the upstream was
//! chosen. So the downstream session, a public box, is swapped for a [`Replay`]: a "custom" session that wraps the real one,
//! hands the held chunks back (a reference count each, no copy), and rewinds when pingora begins another attempt, which it says by
//! calling `enable_retry_buffering` once an attempt. [`Swap::undo`] puts the real session back, so that keep-alive survives.
//! The trait is hidden from pingora's docs, hence the exact version in `Cargo.toml`.
//!
//! It also keeps two deadlines that pingora has no place for: for the first byte of the answer, and between two bytes of it.
//! pingora polls the downstream for the client's going away all the while; that wait ends when a deadline passes.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::{Digest, l4::socket::SocketAddr};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use riparian_config::Timeouts;
use riparian_filters::rewrite::Splice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// The error that ends an attempt whose answer is late. It comes from the downstream half of pingora's loop.
pub(crate) const LATE: ErrorType = ErrorType::Custom("late answer");

/// A held body, as chunks in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) bytes: u64,
}

impl Held {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        self.chunks.push(chunk);
    }

    /// The body with one stretch of it changed. Every other byte is shared with the original.
    pub(crate) fn spliced(&self, splice: Option<&Splice>) -> Self {
        let Some(splice) = splice else { return self.clone() };
        let mut out = Self { chunks: Vec::with_capacity(self.chunks.len() + 2), bytes: 0 };
        let (mut at, mut inserted) = (0u64, false);
        let insert = |out: &mut Self, inserted: &mut bool| {
            if !std::mem::replace(inserted, true) {
                out.push(Bytes::copy_from_slice(&splice.with));
            }
        };
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            let within =
                |offset: u64| usize::try_from(offset.clamp(at, end) - at).expect("within a chunk in memory");
            let (from, to) = (within(splice.at.start), within(splice.at.end));
            if from > 0 {
                out.push(chunk.slice(..from));
            }
            if splice.at.start < end {
                insert(&mut out, &mut inserted);
            }
            if to < chunk.len() {
                out.push(chunk.slice(to..));
            }
            at = end;
        }
        insert(&mut out, &mut inserted);
        out
    }
}

/// What the attempt that is going on replays, and by when it must be answered. Shared by the gateway's hooks and the session
/// that pingora holds; both run in one task, so the lock is never waited for.
struct Attempt {
    body: Held,
    timeouts: Option<Timeouts>,
    began: Instant,
    /// When the newest byte of the answer was written.
    answered: Option<Instant>,
    /// The real session, when it comes back.
    returned: Option<Box<ServerSession>>,
}

impl Attempt {
    fn deadline(&self) -> Option<Instant> {
        let timeouts = self.timeouts?;
        Some(self.answered.map_or(self.began + timeouts.first_byte, |at| at + timeouts.idle))
    }
}

/// Undoes the swap, and tells the replayed session what to replay.
pub(crate) struct Swap(Arc<Mutex<Attempt>>);

fn lock(attempt: &Mutex<Attempt>) -> MutexGuard<'_, Attempt> {
    attempt.lock().expect("no holder of this lock panics")
}

impl Swap {
    /// Swaps the downstream session for one that replays. To be called once a request, when its body has been read.
    pub(crate) fn install(session: &mut Session) -> Self {
        let attempt = Attempt {
            body: Held::default(),
            timeouts: None,
            began: Instant::now(),
            answered: None,
            returned: None,
        };
        let shared = Arc::new(Mutex::new(attempt));
        let real = std::mem::replace(
            &mut session.downstream_session,
            Box::new(ServerSession::new_custom(Box::new(()))),
        );
        let replay = Replay { real: Some(real), shared: Arc::clone(&shared), chunk: 0 };
        *session.downstream_session = ServerSession::new_custom(Box::new(replay));
        Self(shared)
    }

    /// What the next attempt replays, and how long it may take.
    pub(crate) fn arm(&self, body: Held, timeouts: Timeouts) {
        let mut attempt = lock(&self.0);
        attempt.body = body;
        attempt.timeouts = Some(timeouts);
        attempt.began = Instant::now();
    }

    /// Bytes of what the attempt replays.
    pub(crate) fn body_bytes(&self) -> u64 {
        lock(&self.0).body.bytes
    }

    /// Puts the real session back.
    pub(crate) fn undo(self, session: &mut Session) {
        // Dropping the replayed session returns the real one.
        *session.downstream_session = ServerSession::new_custom(Box::new(()));
        let returned = lock(&self.0).returned.take();
        if let Some(real) = returned {
            session.downstream_session = real;
        }
    }
}

struct Replay {
    real: Option<Box<ServerSession>>,
    shared: Arc<Mutex<Attempt>>,
    /// The next chunk to hand back.
    chunk: usize,
}

impl Drop for Replay {
    fn drop(&mut self) {
        lock(&self.shared).returned = self.real.take();
    }
}

impl Replay {
    fn real(&self) -> &ServerSession {
        self.real.as_deref().expect("taken only when dropped")
    }

    fn real_mut(&mut self) -> &mut ServerSession {
        self.real.as_deref_mut().expect("taken only when dropped")
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = lock(&self.shared).body.chunks.get(self.chunk).cloned();
        self.chunk += usize::from(chunk.is_some());
        chunk
    }

    fn is_replayed(&self) -> bool {
        self.chunk >= lock(&self.shared).body.chunks.len()
    }

    fn answered(&self) {
        lock(&self.shared).answered = Some(Instant::now());
    }

    /// An interim answer is none: an endpoint could send them without end, and would never be late.
    fn answered_with(&self, head: &ResponseHeader) {
        if !head.status.is_informational() {
            self.answered();
        }
    }

    fn answered_by(&self, task: &HttpTask) {
        match task {
            HttpTask::Header(head, _) => self.answered_with(head),
            _ => self.answered(),
        }
    }
}

#[async_trait]
impl CustomSession for Replay {
    fn req_header(&self) -> &RequestHeader {
        self.real().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.real_mut().req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.next_chunk())
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.is_replayed() {
            return Ok(self.next_chunk());
        }
        let deadline = lock(&self.shared).deadline();
        let real = self.real_mut();
        // Pends until the client goes away, which is an error, or the answer is late.
        match deadline {
            None => real.read_body_or_idle(true).await,
            Some(deadline) => tokio::time::timeout_at(deadline, real.read_body_or_idle(true))
                .await
                .unwrap_or_else(|_| Err(Error::new(LATE))),
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.is_replayed()
    }

    fn is_body_empty(&mut self) -> bool {
        lock(&self.shared).body.chunks.is_empty()
    }

    /// pingora calls it exactly once an attempt, before it pumps the body.
    fn enable_retry_buffering(&mut self) {
        self.chunk = 0;
    }

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.real_mut().drain_request_body().await
    }

    async fn write_response_header(&mut self, response: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.answered_with(&response);
        self.real_mut().write_response_header(response).await
    }

    async fn write_response_header_ref(&mut self, response: &ResponseHeader, _end: bool) -> Result<()> {
        self.answered_with(response);
        self.real_mut().write_response_header_ref(response).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.answered();
        self.real_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.real_mut().write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        tasks.iter().for_each(|task| self.answered_by(task));
        self.real_mut().response_duplex_vec(tasks).await
    }

    fn proxy_tasks_enabled(&self) -> bool {
        self.real().supports_proxy_task_api()
    }

    fn set_proxy_tasks_enabled(&mut self, enabled: bool) {
        self.real_mut().set_proxy_tasks_enabled(enabled);
    }

    fn send_proxy_task(&mut self, task: HttpTask) {
        self.answered_by(&task);
        self.real_mut().send_downstream_proxy_task(task);
    }

    fn has_pending_proxy_tasks(&self) -> bool {
        self.real().has_pending_downstream_proxy_tasks()
    }

    async fn write_proxy_tasks(&mut self) -> Result<bool> {
        self.real_mut().write_downstream_proxy_tasks().await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.real().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.real().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.real_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.real().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.real().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.real().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.real_mut().shutdown().await;
    }

    async fn finish(&mut self) -> Result<()> {
        self.real_mut().finish_body().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.real().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.real().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.real().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.real_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.real().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.real().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.real().to_h1_raw()
    }

    fn is_upgrade_req(&self) -> bool {
        self.real().is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.real().was_upgraded()
    }

    // Custom messages are a feature of custom protocols; HTTP has none.

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(chunks: &[&'static [u8]]) -> Held {
        let mut held = Held::default();
        chunks.iter().for_each(|chunk| held.push(Bytes::from_static(chunk)));
        held
    }

    #[test]
    fn a_splice_changes_its_stretch_and_nothing_else_wherever_chunks_end() {
        let body: &'static [u8] = b"{\"model\":\"gpt\",\"x\":1}";
        for splice in [
            Splice { at: 9..14, with: b"\"deployment\"".to_vec() },
            Splice { at: 9..14, with: b"\"g\"".to_vec() },
            Splice { at: 1..1, with: b"\"model\":\"m\",".to_vec() },
            Splice { at: 0..0, with: b"<".to_vec() },
            Splice { at: 21..21, with: b">".to_vec() },
        ] {
            let (from, to) =
                (usize::try_from(splice.at.start).unwrap(), usize::try_from(splice.at.end).unwrap());
            let expected = [&body[..from], &splice.with, &body[to..]].concat();
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let spliced =
                        held(&[&body[..first], &body[first..second], &body[second..]]).spliced(Some(&splice));
                    assert_eq!(
                        spliced.chunks.concat(),
                        expected,
                        "{splice:?} with chunks ending at {first} and {second}"
                    );
                    assert_eq!(spliced.bytes, expected.len() as u64);
                }
            }
        }
    }
}
