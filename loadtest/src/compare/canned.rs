//! A cloud that costs next to nothing: one thread, raw HTTP/1.1, answers that were made beforehand. What stands before it can
//! then be measured on the same machine. It is strict where a fast failure could pass for speed: the path, the key, the
//! model and the body's length are checked, and a credential of the client's own is refused.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;

use super::matter::{self, KEY, MODEL, SCRIPT_HEADER};
use super::wire::{self, Framing};

/// Bytes of a body's beginning that are kept, for the model.
const OPENING_BYTES: usize = 256;
/// One read takes at most this: shared by all connections, so that an idle one holds nothing.
const SCRATCH_BYTES: usize = 256 << 10;

/// Turns that go on from a response get one of so many ids, again and again: what a proxy remembers does not grow while it is
/// measured.
const TURNS: u64 = 1024;
/// Connections that may wait to be accepted: thousands come at once.
const BACKLOG: u32 = 4096;

/// Binds and serves, on this thread, until it ends.
///
/// # Errors
/// The address cannot be bound.
pub fn run(address: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(address))
}

async fn serve(address: SocketAddr) -> io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let scratch = Rc::new(RefCell::new(vec![0; SCRATCH_BYTES]));
    let born = Rc::new(std::cell::Cell::new(0));
    let tasks = LocalSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let caller = Caller {
                        stream,
                        scratch: Rc::clone(&scratch),
                        born: Rc::clone(&born),
                        head: Vec::new(),
                    };
                    // A connection's error is the other side's to report.
                    tokio::task::spawn_local(async move { drop(caller.serve().await) });
                }
                // Out of descriptors, most likely: others may close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tasks.run_until(accept).await
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Chat,
    Stream { chunks: u32, gap: Duration },
    Response,
    Refuse(u16, &'static str),
}

struct Caller {
    stream: TcpStream,
    scratch: Rc<RefCell<Vec<u8>>>,
    born: Rc<std::cell::Cell<u64>>,
    /// What has been read and not yet used: a head in part.
    head: Vec<u8>,
}

impl Caller {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some((script, body)) = self.request().await? {
            match script {
                Script::Chat => self.write(&whole(200, &matter::answer(body.bytes))).await?,
                Script::Response if body.goes_on() => {
                    self.born.set(self.born.get() + 1);
                    let again = u64::MAX - self.born.get() % TURNS;
                    self.write(&whole(200, &matter::response_object(again))).await?;
                }
                Script::Response => {
                    self.born.set(self.born.get() + 1);
                    self.write(&whole(200, &matter::response_object(self.born.get()))).await?;
                }
                Script::Refuse(status, why) => {
                    self.write(&whole(status, &format!(r#"{{"error":{{"message":"{why}"}}}}"#))).await?;
                }
                Script::Stream { chunks, gap } if gap.is_zero() => self.write(&burst(chunks)).await?,
                Script::Stream { chunks, gap } => self.pace(chunks, gap).await?,
            }
        }
        Ok(())
    }

    /// Reads a request; `None` at the end of the connection.
    async fn request(&mut self) -> io::Result<Option<(Script, Body)>> {
        let end = loop {
            if let Some(end) = wire::head_end(&self.head, 0) {
                break end;
            }
            if !self.read_on(Vec::extend_from_slice).await? {
                return Ok(None);
            }
        };
        let (mut script, mut framing) = wire::request_head(&self.head[..end], script)?;
        let mut body = Body::default();
        let rest = self.head.split_off(end);
        let used = framing.feed(&rest, |data, _| body.add(data))?;
        self.head.clear();
        self.head.extend_from_slice(&rest[used..]);
        while !framing.is_done() {
            if !self.read_body(&mut framing, &mut body).await? {
                return Ok(None);
            }
        }
        if !matches!(script, Script::Refuse(..)) && !body.is_right() {
            script = Script::Refuse(404, "no such model, or no JSON object");
        }
        Ok(Some((script, body)))
    }

    async fn read_body(&mut self, framing: &mut Framing, body: &mut Body) -> io::Result<bool> {
        let mut failed = None;
        let open = self
            .read_on(|head, bytes| match framing.feed(bytes, |data, _| body.add(data)) {
                Ok(used) => head.extend_from_slice(&bytes[used..]),
                Err(error) => failed = Some(error),
            })
            .await?;
        failed.map_or(Ok(open), Err)
    }

    /// Reads once; false at the end of the connection.
    async fn read_on(&mut self, take: impl FnOnce(&mut Vec<u8>, &[u8])) -> io::Result<bool> {
        loop {
            self.stream.readable().await?;
            let mut scratch = self.scratch.borrow_mut();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    take(&mut self.head, &scratch[..read]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(&mut self.stream, bytes).await
    }

    /// The head goes with the first chunk, the closing events with the last; each chunk is one write.
    async fn pace(&mut self, chunks: u32, gap: Duration) -> io::Result<()> {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + gap, gap);
        for chunk in 0..chunks {
            // The first goes at once: the wheel would keep even a tick that is due until its next millisecond.
            if chunk > 0 {
                ticks.tick().await;
            }
            let mut bytes = Vec::with_capacity(1024);
            if chunk == 0 {
                bytes.extend_from_slice(STREAM_HEAD);
            }
            frame(&mut bytes, &matter::event(matter::stamp()));
            if chunk + 1 == chunks {
                close(&mut bytes);
            }
            self.write(&bytes).await?;
        }
        Ok(())
    }
}

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

fn whole(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Canned\r\ncontent-type: application/json\r\nopenai-processing-ms: 0\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn burst(chunks: u32) -> Vec<u8> {
    let mut bytes = STREAM_HEAD.to_vec();
    let event = matter::event(matter::stamp());
    for _ in 0..chunks {
        frame(&mut bytes, &event);
    }
    close(&mut bytes);
    bytes
}

fn frame(bytes: &mut Vec<u8>, event: &str) {
    bytes.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
    bytes.extend_from_slice(event.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

fn close(bytes: &mut Vec<u8>) {
    for event in matter::closing_events() {
        frame(bytes, event);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
}

/// What the head asks for. Whoever attaches no key, or lets the client's own through, is refused.
fn script(target: &str, headers: &[httparse::Header<'_>]) -> Script {
    let find = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if find("api-key").is_none_or(|header| header.value != KEY.as_bytes()) {
        return Script::Refuse(401, "the cloud's key is missing or wrong");
    }
    if find("authorization").is_some() {
        return Script::Refuse(401, "the client's own credential was let through");
    }
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/openai/v1/responses" => Script::Response,
        "/openai/v1/chat/completions" => match find(SCRIPT_HEADER) {
            None => Script::Chat,
            Some(header) => parse_script(header.value).unwrap_or(Script::Refuse(400, "an unreadable script")),
        },
        _ => Script::Refuse(404, "no such path"),
    }
}

fn parse_script(value: &[u8]) -> Option<Script> {
    let (chunks, gap_us) = std::str::from_utf8(value).ok()?.split_once('/')?;
    Some(Script::Stream { chunks: chunks.parse().ok()?, gap: Duration::from_micros(gap_us.parse().ok()?) })
}

#[derive(Default)]
struct Body {
    opening: Vec<u8>,
    bytes: u64,
    last: u8,
}

impl Body {
    fn add(&mut self, data: &[u8]) {
        let room = OPENING_BYTES.saturating_sub(self.opening.len()).min(data.len());
        self.opening.extend_from_slice(&data[..room]);
        self.bytes += data.len() as u64;
        self.last = data.last().copied().unwrap_or(self.last);
    }

    /// Whether it cites an earlier response.
    fn goes_on(&self) -> bool {
        memchr::memmem::find(&self.opening, b"previous_response_id").is_some()
    }

    fn is_right(&self) -> bool {
        let model = format!("\"model\":\"{MODEL}\"");
        self.opening.first() == Some(&b'{')
            && self.last == b'}'
            && memchr::memmem::find(&self.opening, model.as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_request_is_served() {
        let key = httparse::Header { name: "Api-Key", value: KEY.as_bytes() };
        let own = httparse::Header { name: "authorization", value: b"Bearer x" };
        let pace = httparse::Header { name: SCRIPT_HEADER, value: b"200/10000" };
        let chat = "/openai/v1/chat/completions";
        assert_eq!(script(chat, &[key]), Script::Chat);
        assert_eq!(
            script(chat, &[key, pace]),
            Script::Stream { chunks: 200, gap: Duration::from_millis(10) }
        );
        assert_eq!(script("/openai/v1/responses?api-version=v1", &[key]), Script::Response);
        assert!(matches!(script(chat, &[]), Script::Refuse(401, _)), "no key");
        assert!(matches!(script(chat, &[key, own]), Script::Refuse(401, _)), "the client's key too");
        assert!(matches!(script("/v1/models", &[key]), Script::Refuse(404, _)));
        let mut body = Body::default();
        body.add(br#"{"model":"gpt-5.5"}"#);
        assert!(!body.is_right(), "the model was not replaced");
    }
}
