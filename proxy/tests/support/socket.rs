//! Sockets by hand, from both ends: what is sent is said frame by frame, and nothing of Riparian's own reading is used.

use super::raw::{Answer, PATIENCE, Raw};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What one end said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code (1005 for none) and the reason.
    Close(u16, String),
    /// The connection ended.
    End,
}

/// One end of a socket.
pub struct Socket<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
    /// A client's frames are masked.
    masks: bool,
    /// The message that is not whole.
    message: Vec<u8>,
    kind: u8,
    random: u64,
    /// Every byte that was read as frames.
    pub read: Vec<u8>,
    pub keeps: bool,
}

/// A frame.
pub fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(bit | u8::try_from(short).unwrap()),
        middle @ 126..65536 => {
            out.push(bit | 126);
            out.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            out.push(bit | 127);
            out.extend((long as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| out.extend(mask)).unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// A request for a socket; `lines` may replace what is usual.
pub fn request(path: &str, lines: &str) -> String {
    let usual = [
        ("host", "proxy"),
        ("authorization", "Bearer app"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut head = format!("GET {path} HTTP/1.1\r\n");
    for (name, value) in usual {
        if !lines.contains(&format!("{name}:")) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head + lines + "\r\n"
}

impl Socket<TcpStream> {
    /// A client's socket; the answer when it is no 101.
    pub async fn try_open(address: SocketAddr, path: &str, lines: &str) -> Result<(Self, Answer), Answer> {
        let mut raw = Raw::connect(address).await;
        raw.send(request(path, lines)).await;
        let head = raw.head().await.expect("an answer");
        if head.status != 101 {
            return Err(raw.body(head).await);
        }
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(head.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
        assert!(head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
        let (stream, buffer) = raw.into_parts();
        Ok((Self::over(stream, buffer, true), head))
    }

    pub async fn open(address: SocketAddr, path: &str) -> Self {
        match Self::try_open(address, path, "").await {
            Ok((socket, _)) => socket,
            Err(answer) => panic!("{}: {}", answer.status, answer.text()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub fn over(stream: S, buffer: Vec<u8>, masks: bool) -> Self {
        Self {
            stream,
            buffer,
            masks,
            message: Vec::new(),
            kind: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            read: Vec::new(),
            keeps: false,
        }
    }

    /// A number below `end`, the same in each run.
    pub fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 16).unwrap() % end
    }

    /// The bytes of a frame from this end.
    pub fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = u32::try_from(self.below(usize::try_from(u32::MAX).unwrap())).unwrap();
        frame(first, self.masks.then(|| mask.to_be_bytes()), payload)
    }

    /// The bytes of a message in random fragments, with pings between them.
    pub fn fragments(&mut self, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = payload;
        let mut first = opcode;
        loop {
            let cut = if self.below(3) == 0 { rest.len() } else { self.below(rest.len() + 1) };
            let last = cut == rest.len() && self.below(2) == 0;
            let fin = if last { 0x80 } else { 0 };
            out.extend(self.frame(fin | first, &rest[..cut]));
            if last {
                return out;
            }
            (rest, first) = (&rest[cut..], 0);
            if self.below(3) == 0 {
                out.extend(self.frame(0x80 | PING, b"between"));
            }
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let _ = tokio::time::timeout(PATIENCE, sent).await.expect("the peer takes what is sent");
    }

    pub async fn text(&mut self, text: impl AsRef<str>) {
        let frame = self.frame(0x80 | TEXT, text.as_ref().as_bytes());
        self.send(frame).await;
    }

    pub async fn close(&mut self, code: u16, why: &str) {
        let frame = self.frame(0x80 | CLOSE, &[&code.to_be_bytes()[..], why.as_bytes()].concat());
        self.send(frame).await;
    }

    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
        match read.expect("the peer says something or closes") {
            Ok(read @ 1..) => {
                self.buffer.extend_from_slice(&piece[..read]);
                true
            }
            Ok(0) | Err(_) => false,
        }
    }

    async fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < bytes {
            if !self.more().await {
                return None;
            }
        }
        let taken: Vec<u8> = self.buffer.drain(..bytes).collect();
        if self.keeps {
            self.read.extend_from_slice(&taken);
        }
        Some(taken)
    }

    /// The next frame: its first byte, and its payload.
    async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(2).await?;
        let masked = head[1] & 0x80 != 0;
        assert_eq!(masked, !self.masks, "a client's frames are masked, and a server's are not");
        let length = match head[1] & 0x7f {
            126 => usize::from(u16::from_be_bytes(self.take(2).await?.try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.take(8).await?.try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        let mask = if masked { self.take(4).await? } else { vec![0; 4] };
        let mut payload = self.take(length).await?;
        payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
        Some((head[0], payload))
    }

    /// What is said next: a whole message, or a control frame.
    pub async fn next(&mut self) -> Said {
        loop {
            let Some((first, payload)) = self.next_frame().await else { return Said::End };
            assert_eq!(first & 0x70, 0, "no reserved bit");
            match first & 0x0f {
                PING => return Said::Ping(payload),
                PONG => return Said::Pong(payload),
                CLOSE if payload.is_empty() => return Said::Close(1005, String::new()),
                CLOSE => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return Said::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap());
                }
                opcode => {
                    if opcode == 0 {
                        assert_ne!(self.kind, 0, "a continuation of something");
                    } else {
                        assert_eq!(self.kind, 0, "one message at a time");
                        self.kind = opcode;
                    }
                    self.message.extend(payload);
                    if first & 0x80 != 0 {
                        let message = std::mem::take(&mut self.message);
                        return match std::mem::take(&mut self.kind) {
                            TEXT => Said::Text(String::from_utf8(message).unwrap()),
                            _ => Said::Binary(message),
                        };
                    }
                }
            }
        }
    }

    /// The next message; control frames are passed over.
    pub async fn message(&mut self) -> Said {
        loop {
            match self.next().await {
                Said::Ping(_) | Said::Pong(_) => {}
                said => return said,
            }
        }
    }

    /// The next message, which is a text.
    pub async fn hear(&mut self) -> String {
        match self.message().await {
            Said::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next message, as JSON.
    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.hear().await).unwrap()
    }

    /// Everything up to the close frame, whose code it is; 1006 when there is none.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Said::Close(code, why) => return (code, why),
                Said::End => return (1006, String::new()),
                _ => {}
            }
        }
    }
}

/// An endpoint that takes sockets.
pub struct SocketCloud {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl SocketCloud {
    /// `serve` is called for each socket, when its handshake was answered.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(Socket) -> F + Send + Sync + 'static,
    ) -> Self {
        let serve = Arc::new(serve);
        Self::raw(move |mut stream, seen| {
            let serve = Arc::clone(&serve);
            async move {
                let Some(head) = read_head(&mut stream).await else { return };
                let answer = answer(&head);
                seen.lock().unwrap().push(head);
                if stream.write_all(answer.as_bytes()).await.is_ok() {
                    serve(Socket::over(stream, Vec::new(), false)).await;
                }
            }
        })
        .await
    }

    /// `serve` is called for each connection, and answers the handshake itself; it notes the heads that it reads.
    pub async fn raw<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (seen, accepted) = (Arc::clone(&heads), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self { address, heads, connections, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all handshakes.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for SocketCloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a head, and not a byte more.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// What accepts TLS with this certificate.
pub fn tls(certificate: &str, key: &str) -> tokio_rustls::TlsAcceptor {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ServerConfig, crypto};
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// A header of a head.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The right answer to a handshake. The key's digest is held against the RFC's example where it is made.
pub fn answer(head: &str) -> String {
    let key = header(head, "sec-websocket-key").expect("a key");
    let accept = riparian_filters::frame::accept(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\nx-request-id: theirs\r\n\r\n"
    )
}

/// Says each message again, in fragments of its own.
pub async fn echo(mut socket: Socket) {
    loop {
        let again = match socket.next().await {
            Said::Text(text) => socket.fragments(TEXT, text.as_bytes()),
            Said::Binary(bytes) => socket.fragments(BINARY, &bytes),
            Said::Ping(payload) => socket.frame(0x80 | PONG, &payload),
            Said::Pong(_) => continue,
            Said::Close(code, why) => {
                socket.close(code, &why).await;
                return;
            }
            Said::End => return,
        };
        socket.send(again).await;
    }
}

/// Answers each `response.create` as the Responses API does over a socket, with ids that begin with `name`.
pub async fn responses(mut socket: Socket, name: &'static str, number: Arc<AtomicUsize>) {
    loop {
        match socket.message().await {
            Said::Text(text) => {
                let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                let id = format!("resp_{name}_{}", number.fetch_add(1, Ordering::SeqCst));
                let store = event["store"] != serde_json::json!(false);
                for kind in ["response.created", "response.completed"] {
                    let event = serde_json::json!({
                        "type": kind, "response": { "id": id, "object": "response", "store": store, "asked": event }
                    });
                    socket.text(event.to_string()).await;
                }
            }
            Said::Close(code, why) => {
                socket.close(code, &why).await;
                return;
            }
            _ => return,
        }
    }
}
