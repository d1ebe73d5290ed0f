//! One connection's bytes: plain TCP as it is, anything else behind pingora's stream.

use super::buffer::Buffer;
use pingora_core::protocols::Stream;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a body that go out in one piece with what stands before them: up to here a copy is cheaper than a gathered write.
pub(crate) const COPY_MAX: usize = 4096;

/// A connection.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Without pingora's buffers in between: reads go where they are wanted, and writes gather.
    Tcp(TcpStream),
    Tls(Stream),
}

impl Wire {
    /// Reads into `room`; 0 bytes are the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(room);
        match self {
            Self::Tcp(stream) => ready!(Pin::new(stream).poll_read(cx, &mut read))?,
            Self::Tls(stream) => ready!(Pin::new(stream).poll_read(cx, &mut read))?,
        }
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Reads more behind what is `ahead`, as far as there is room. A connection that waits holds no buffer.
    pub(crate) fn poll_ahead(
        &mut self,
        ahead: &mut Option<Buffer>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ahead.take().unwrap_or_else(Buffer::take);
        buffer.make_room();
        let read = self.poll_read(cx, buffer.spare());
        if let Poll::Ready(Ok(read)) = &read {
            buffer.filled(*read);
        }
        *ahead = Some(buffer).filter(|buffer| !buffer.is_empty());
        read
    }

    /// Writes some of `parts`, in one system call if it can.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Self::Tcp(stream) => match parts {
                [one] => Pin::new(stream).poll_write(cx, one),
                many => Pin::new(stream).poll_write_vectored(cx, many),
            },
            Self::Tls(stream) => {
                let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| &part[..]);
                Pin::new(stream).poll_write(cx, first)
            }
        };
        match ready!(written)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            some => Poll::Ready(Ok(some)),
        }
    }

    /// Sees to it that what was written leaves.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // What the kernel took has left.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Ends our half.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        })
        .await
    }
}

/// What of a message is still to be written.
pub(crate) struct Unwritten<'a, 'b>(pub(crate) &'a mut [IoSlice<'b>]);

impl Unwritten<'_, '_> {
    /// Writes on; ready when everything has left.
    pub(crate) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        IoSlice::advance_slices(&mut self.0, 0);
        while !self.0.is_empty() {
            let written = ready!(wire.poll_write(cx, self.0))?;
            IoSlice::advance_slices(&mut self.0, written);
        }
        wire.poll_flush(cx)
    }
}
