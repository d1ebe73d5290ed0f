//! The session that replays: every call goes to the real one, but for the body's, which comes from memory.

use super::{Attempt, LATE, lock};
use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::{Digest, l4::socket::SocketAddr};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A downstream session that replays a held body as often as pingora asks for it.
pub(super) struct Replay {
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
    pub(super) fn new(real: Box<ServerSession>, shared: Arc<Mutex<Attempt>>) -> Self {
        Self { real: Some(real), shared, chunk: 0 }
    }

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
