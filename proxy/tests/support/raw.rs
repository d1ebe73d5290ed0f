//! A client that says exactly the bytes it is told to, and hears the answer piece by piece.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer than this for one thing; a proxy that hangs fails it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds that need not hold at once.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not yet, and never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One connection, speaking HTTP/1.1 by hand.
pub struct Raw<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By its length or its last chunk.
    Whole,
    /// By the connection's end, before it was whole.
    Cut,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn reason(&self) -> &str {
        self.header("x-riparian-reason").unwrap_or("")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw<TcpStream> {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The stream, and what was read of it and not used.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Sends bytes; a peer that has closed already is for the reading side to find out.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let _ = tokio::time::timeout(PATIENCE, sent).await.expect("the peer takes what is sent");
    }

    /// Sends a JSON body to `path`, with further header lines.
    pub async fn post(&mut self, path: &str, lines: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let credential = if lines.contains("authorization:") { "" } else { "authorization: Bearer app\r\n" };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: proxy\r\n{credential}content-type: application/json\r\n{lines}content-length: {}\r\n\r\n",
            body.len()
        );
        self.send([head.as_bytes(), body].concat()).await;
    }

    /// More bytes into the buffer; false at the connection's end, polite or not.
    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
        match read.expect("the proxy says something or closes") {
            Ok(read @ 1..) => {
                self.buffer.extend_from_slice(&piece[..read]);
                true
            }
            Ok(0) | Err(_) => false,
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                return Some(self.buffer.drain(..at + 2).take(at).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The head of the next answer, interim ones included; `None` when the connection ends before it.
    pub async fn head(&mut self) -> Option<Answer> {
        let status = String::from_utf8(self.line().await?).unwrap();
        assert!(status.starts_with("HTTP/1.1 "), "not a status line: {status:?}");
        let status = status[9..12].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = String::from_utf8(self.line().await?).unwrap();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Answer { status, headers, body: Vec::new(), end: End::Whole })
    }

    /// The next chunk of a chunked body; `Ok(None)` after the last one, `Err` when it is cut.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, End> {
        let size = self.line().await.ok_or(End::Cut)?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).expect("a chunk's size");
        while self.buffer.len() < size + 2 {
            if !self.more().await {
                return Err(End::Cut);
            }
        }
        let chunk: Vec<u8> = self.buffer.drain(..size + 2).take(size).collect();
        Ok((size > 0).then_some(chunk))
    }

    /// The rest of an answer whose head was read.
    pub async fn body(&mut self, mut answer: Answer) -> Answer {
        if matches!(answer.status, 100..200 | 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                match self.chunk().await {
                    Ok(Some(chunk)) => answer.body.extend(chunk),
                    Ok(None) => return answer,
                    Err(end) => return Answer { end, ..answer },
                }
            }
        }
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            if !self.more().await {
                return Answer { body: std::mem::take(&mut self.buffer), end: End::Cut, ..answer };
            }
        }
        Answer { body: self.buffer.drain(..length).collect(), ..answer }
    }

    /// One answer, whole or cut; `None` when the connection ends before its head does.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        Some(self.body(head).await)
    }

    /// Sends a JSON body and reads the answer.
    pub async fn ask(&mut self, path: &str, lines: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post(path, lines, body).await;
        self.answer().await.expect("an answer")
    }

    /// Whether the peer closes, saying nothing more.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }
}
