//! An upstream that says exactly what a test tells it to: for what no honest cloud does.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running raw upstream.
pub struct Origin {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// One connection to it.
pub struct Caller {
    pub stream: TcpStream,
    requests: Arc<AtomicUsize>,
    buffer: Vec<u8>,
}

impl Origin {
    /// `serve` is called for every connection.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(Caller) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (seen, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Caller { stream, requests: Arc::clone(&seen), buffer: Vec::new() }));
            }
        });
        Self { address, requests, connections, task }
    }

    /// One that says the same to every request, and then closes if `close`.
    pub async fn saying(answer: impl Into<Vec<u8>>, close: bool) -> Self {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        Self::start(move |mut caller| {
            let answer = Arc::clone(&answer);
            async move {
                while caller.request().await.is_some() {
                    caller.say(answer.as_slice()).await;
                    if close {
                        return;
                    }
                }
            }
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that arrived whole.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Caller {
    /// The next request, head and body; `None` when the caller is gone.
    pub async fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned))
            .map_or(0, |length| length.trim().parse().unwrap());
        while self.buffer.len() < length {
            self.more().await?;
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some((head, self.buffer.drain(..length).collect()))
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    /// Says bytes; whether they were taken.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Waits until the other side closes.
    pub async fn gone(&mut self) {
        while self.more().await.is_some() {}
    }
}

/// A head for an event stream in chunks.
pub const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A configuration with one cloud `only` and these endpoints (name, URL, further keys that begin with `, `).
pub fn endpoints(endpoints: &[(&str, &str, &str)], rest: &str) -> String {
    let lines: String = endpoints
        .iter()
        .map(|(name, url, more)| {
            format!("      - {{ name: {name}, dialect: openai, url: \"{url}\", credential: none{more} }}\n")
        })
        .collect();
    format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
admin: {{ bind: 127.0.0.1:0 }}
clouds:
  only:
    endpoints:
{lines}contract:
  enforce: never
  readings: {{ never: {{ stateful_from: never }} }}
  terms: [{{ id: all, only: only }}]
{}
",
        rest.trim_matches('\n')
    )
}
