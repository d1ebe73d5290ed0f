//! The operators' listener: `/livez`, `/readyz`, `/metrics`, `/explain`. Read-only, and no secret is in anything it shows.

mod explain;

use crate::house::House;
use crate::terms;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use riparian_config::Timestamp;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; a scraper has one.
const CONNECTIONS: usize = 64;

/// A request on this listener is answered from memory; a client that takes longer to ask is cut off.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Serves until the process ends: an operator watches a drain, too.
pub(crate) async fn serve(house: Arc<House>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/explain" => explain::answer(&house, request).await,
                    _ => answer(&house, &request),
                })
            });
            // What goes wrong between us and a scraper is the scraper's to report.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

fn answer(house: &House, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match unready(house) {
            None if request.uri().query() == Some("verbose") => {
                text(StatusCode::OK, format!("ok\n{}", terms::verbose(house, Timestamp::now())))
            }
            None => text(StatusCode::OK, "ok\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        },
        "/metrics" => {
            let mut response = text(StatusCode::OK, house.metrics.render());
            let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "known: /livez /readyz /metrics /explain\n"),
    }
}

/// Why no new work should come here.
fn unready(house: &House) -> Option<&'static str> {
    if house.is_draining() {
        Some("draining\n")
    } else if !house.ready.load(Ordering::Acquire) {
        Some("starting\n")
    } else if !house.can_write_down() {
        Some("the ledger cannot be written\n")
    } else {
        None
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
