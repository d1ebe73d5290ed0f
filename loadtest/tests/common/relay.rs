//! A relay to one cloud that does one thing wrong, so that each check of the oracle is seen to fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use riparian_loadtest::{FakeCloud, NONCE_HEADER};

/// What the relay does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nothing.
    Nothing,
    /// One byte of each request's text is another.
    RequestByte,
    /// One byte of each answer is another, where no client looks.
    AnswerByte,
    /// Streams end half way, as if that were their end.
    ShortStream,
    /// The same, with a made-up `[DONE]`.
    MadeUpDone,
    /// Each answer is the one before.
    AnswerBefore,
    /// Each request is sent twice.
    Twice,
    /// Half a body is sent on as if it were whole.
    HalfBody,
    /// A failure is answered as a success.
    HiddenFailure,
}

type Answer = Response<Full<Bytes>>;

struct Relay {
    url: String,
    wrong: Wrong,
    pool: Pool<HttpConnector, Full<Bytes>>,
    before: Mutex<Option<(http::response::Parts, Bytes)>>,
}

/// Starts one on a free port.
pub(crate) async fn relay(cloud: &FakeCloud, wrong: Wrong) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound address");
    let pool = Pool::builder(TokioExecutor::new()).build_http();
    let relay = Arc::new(Relay { url: cloud.url(), wrong, pool, before: Mutex::new(None) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let relay = Arc::clone(&relay);
            let service = service_fn(move |request| {
                let relay = Arc::clone(&relay);
                async move { Ok::<_, Infallible>(relay.carry(request).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    addr
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

impl Relay {
    async fn carry(&self, request: Request<Incoming>) -> Answer {
        let (mut head, mut body) = request.into_parts();
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => sent.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(_) if self.wrong == Wrong::HalfBody => break,
                Err(_) => return status(StatusCode::BAD_REQUEST),
            }
        }
        if self.wrong == Wrong::RequestByte {
            let last = sent.iter().rposition(|byte| *byte == b'o').expect("there is some text");
            sent[last] = b'0';
        }
        head.uri = format!("{}{}", self.url, head.uri).parse().expect("a URL");
        head.headers.remove("content-length");
        let sent = Bytes::from(sent);
        if self.wrong == Wrong::Twice {
            let _ = self.pool.request(Request::from_parts(head.clone(), Full::new(sent.clone()))).await;
        }
        let nonce = head.headers.get(NONCE_HEADER).cloned();
        let answer = match self.pool.request(Request::from_parts(head, Full::new(sent))).await {
            Ok(answer) => answer,
            Err(_) => return status(StatusCode::BAD_GATEWAY),
        };
        let (mut head, body) = answer.into_parts();
        let Ok(body) = body.collect().await else { return status(StatusCode::BAD_GATEWAY) };
        let body = self.spoil(&mut head, body.to_bytes(), nonce);
        head.headers.remove("content-length");
        Response::from_parts(head, Full::new(body))
    }

    fn spoil(
        &self,
        head: &mut http::response::Parts,
        body: Bytes,
        nonce: Option<http::HeaderValue>,
    ) -> Bytes {
        let streams =
            head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
        let half = |tail: &[u8]| {
            let events: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
            [&events[..events.len() / 4 * 2].concat()[..], tail].concat().into()
        };
        match self.wrong {
            Wrong::AnswerByte => {
                let text = String::from_utf8(body.to_vec()).expect("answers are text");
                text.replacen("fp_fake", "fp_fakf", 1).into()
            }
            Wrong::ShortStream if streams => half(b""),
            Wrong::MadeUpDone if streams => half(b"data: [DONE]\n\n"),
            Wrong::AnswerBefore => {
                let mut before = self.before.lock().expect("nobody panics here");
                let own = (head.clone(), body.clone());
                match before.replace(own) {
                    Some((other, body)) => {
                        *head = other;
                        body
                    }
                    None => body,
                }
            }
            Wrong::HiddenFailure if head.status.is_server_error() => {
                head.status = StatusCode::OK;
                head.headers.extend(nonce.map(|nonce| (http::HeaderName::from_static(NONCE_HEADER), nonce)));
                Bytes::from_static(b"{\"id\": \"made-up\"}")
            }
            _ => body,
        }
    }
}
