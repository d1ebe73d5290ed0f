//! HTTP/2 from clients: pingora speaks it, and each of its streams is a request like any other.

use crate::carry::carry;
use crate::house::House;
use crate::relay::client::Client;
use crate::relay::head::RequestHead;
use crate::relay::timer::Timer;
use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use riparian_config::Limits;
use riparian_filters::identify::LastTenant;
use std::sync::Arc;

/// Carries requests that come over HTTP/2, which pingora speaks.
pub(crate) struct Http2App {
    house: Arc<House>,
    server: HttpServerOptions,
    http2: H2Options,
    /// Who is at the other end of a connection, where a certificate says so.
    subject: Option<Arc<str>>,
}

impl Http2App {
    pub(crate) fn new(house: &Arc<House>, limits: &Limits) -> Self {
        let mut server = HttpServerOptions::default();
        server.h2c = true;
        server.h2_idle_timeout = Some(limits.keepalive);
        Self { house: Arc::clone(house), server, http2: http2(limits), subject: None }
    }

    /// For the connection of a client that has proved to be `subject`.
    pub(crate) fn certified(&self, subject: Arc<str>) -> Arc<Self> {
        let (server, http2) = (self.server.clone(), self.http2.clone());
        Arc::new(Self { house: Arc::clone(&self.house), server, http2, subject: Some(subject) })
    }
}

#[async_trait]
impl HttpServerApp for Http2App {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let ServerSession::H2(session) = session else { return None };
        let request = session.req_header();
        let head = RequestHead {
            method: request.method.clone(),
            uri: request.uri.clone(),
            headers: request.headers.clone(),
        };
        let tenant = self.subject.clone().map(LastTenant::certified).unwrap_or_default();
        let mut client = Client::Http2(Box::new(session), Box::new(tenant));
        carry(&self.house, &mut client, &head, &mut Timer::new()).await;
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.http2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.server)
    }
}

/// Complete, because pingora's own safe defaults go when any are given.
fn http2(limits: &Limits) -> H2Options {
    let mut options = H2Options::new();
    options
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        // Streams that were reset and still take memory (CVE-2023-44487), by the peer and by us.
        .max_concurrent_reset_streams(32)
        .max_pending_accept_reset_streams(32)
        .max_local_error_reset_streams(Some(128))
        .max_frame_size(16 * 1024)
        // What a client may send ahead of our reading: one stream's share, and a connection's.
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buffer_size(64 * 1024);
    options
}
