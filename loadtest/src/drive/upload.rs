//! A request's body on its way out: at once, dripped, or broken off half way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::shape::Manners;

/// A slow sender's pieces, and the pause before each.
const DRIPS: usize = 16;
const DRIP_GAP: Duration = Duration::from_millis(50);

/// The bytes that are left, and how they go.
pub(crate) struct Upload {
    left: Bytes,
    piece: usize,
    gap: Duration,
    /// The client goes away when no more than this is left.
    leave_at: Option<usize>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(crate) fn new(body: Bytes, manners: Manners) -> Self {
        let bytes = body.len();
        let (piece, gap, leave_at) = match manners {
            Manners::SlowSender => (bytes.div_ceil(DRIPS), DRIP_GAP, None),
            Manners::VanishSending => (bytes.div_ceil(2), DRIP_GAP, Some(bytes / 2)),
            Manners::Good | Manners::SlowReader | Manners::VanishReading => (bytes, Duration::ZERO, None),
        };
        Upload { left: body, piece: piece.max(1), gap, leave_at, pause: None }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            return Poll::Ready(None);
        }
        if !this.gap.is_zero() {
            let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.gap)));
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        if this.leave_at.is_some_and(|at| this.left.len() <= at) {
            return Poll::Ready(Some(Err(io::Error::other("this client goes away on purpose"))));
        }
        let piece = this.left.split_to(this.piece.min(this.left.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
