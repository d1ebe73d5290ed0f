//! Stage 10, **relay**: bytes both ways.
//!
//! HTTP/1.1 is spoken here, over tokio's sockets; TLS and HTTP/2 are pingora's, on both sides. pingora's own proxy loop is not
//! used: it makes four writes where two are needed, holds buffers for streams that wait, and reads answers more
//! leniently than an answer that is to be believed may be.

pub(crate) mod buffer;
pub(crate) mod client;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod held;
pub(crate) mod lines;
pub(crate) mod met;
pub(crate) mod pool;
pub(crate) mod timer;
pub(crate) mod upstream;
pub(crate) mod wire;
