//! A plain client for the fake clouds, and a relay that does everything wrong.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod relay;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use riparian_loadtest::FakeCloud;
use serde_json::Value;

pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is text")
    }
}

impl Client {
    pub(crate) fn new() -> Client {
        Client { pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) fn h2c() -> Client {
        Client { pool: Pool::builder(TokioExecutor::new()).http2_only(true).build_http() }
    }

    /// The head only: the body is the caller's to read, or to drop.
    pub(crate) async fn open(
        &self,
        cloud: &FakeCloud,
        line: &str,
        body: &str,
    ) -> Result<Response<Incoming>, Error> {
        self.open_with(cloud, line, body, &[]).await
    }

    /// `line` is `METHOD PATH`; the cloud's own credential goes along, unless `headers` has one.
    pub(crate) async fn open_with(
        &self,
        cloud: &FakeCloud,
        line: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, Error> {
        let (method, path) = line.split_once(' ').expect("a line has a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", cloud.url()));
        let bearer = format!("Bearer {}", cloud.spec().credential);
        for (name, value) in [("authorization", bearer.as_str()), ("content-type", "application/json")] {
            if headers.iter().all(|(given, _)| *given != name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.pool.request(request.body(Full::new(body.to_owned().into())).expect("a good request")).await
    }

    pub(crate) async fn send(&self, cloud: &FakeCloud, line: &str, body: &str) -> Reply {
        self.send_with(cloud, line, body, &[]).await
    }

    pub(crate) async fn send_with(
        &self,
        cloud: &FakeCloud,
        line: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let response = self.open_with(cloud, line, body, headers).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Reply { status: head.status, headers: head.headers, body }
    }
}

/// What the relay does to the bodies that pass through it.
pub(crate) type Mangle = fn(&Bytes) -> Bytes;

/// Relays each request to the next of `clouds`, whatever it is about, after `mangle`; answers pass whole.
pub(crate) async fn careless_relay(clouds: &[&FakeCloud], mangle: Mangle) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound address");
    let urls: Arc<[String]> = clouds.iter().map(|cloud| cloud.url()).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let pool: Pool<HttpConnector, Full<Bytes>> = Pool::builder(TokioExecutor::new()).build_http();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (urls, next, pool) = (Arc::clone(&urls), Arc::clone(&next), pool.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let url = urls[next.fetch_add(1, Ordering::Relaxed) % urls.len()].clone();
                let pool = pool.clone();
                async move {
                    let (mut head, body) = request.into_parts();
                    head.uri = format!("{url}{}", head.uri).parse().expect("a URL");
                    head.headers.remove("content-length");
                    let body = mangle(&body.collect().await.expect("a whole request").to_bytes());
                    let answer =
                        pool.request(Request::from_parts(head, Full::new(body))).await.expect("an answer");
                    Ok::<_, Infallible>(answer)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    addr
}
