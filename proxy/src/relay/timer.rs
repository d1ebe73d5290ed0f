//! One timer a connection, moved only when it must be.
//!
//! A request has half a dozen deadlines, and nearly all of them are met. Each as a timer of its own would be entered in the runtime's
//! wheel, and taken out, a dozen times a request. Here the timer stays where it is as long as it fires no later than the
//! deadline that is waited for; fired early, it looks again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline's keeper.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

/// Longer than any deadline; where nothing is waited for.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24);

impl Timer {
    pub(crate) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now() + NEVER)) }
    }

    /// Ready once `due` has passed.
    pub(crate) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }

    /// What `work` comes to, or `None` when `due` passes first.
    pub(crate) async fn within<T>(&mut self, due: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(due, cx).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_timer_keeps_deadlines_in_any_order() {
        let mut timer = Timer::new();
        let began = Instant::now();
        for seconds in [5, 2, 30, 30, 1, 7] {
            let due = Instant::now() + Duration::from_secs(seconds);
            std::future::poll_fn(|cx| timer.poll(due, cx)).await;
            assert!(Instant::now() >= due, "{seconds} s, not earlier");
            assert!(Instant::now() < due + Duration::from_secs(1), "{seconds} s, not later");
        }
        assert_eq!(began.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_in_time_leaves_the_timer_alone() {
        let mut timer = Timer::new();
        for _ in 0..3 {
            let due = Instant::now() + Duration::from_secs(1);
            assert_eq!(timer.within(due, async { 7 }).await, Some(7));
        }
        let due = Instant::now() + Duration::from_secs(1);
        assert_eq!(timer.within(due, std::future::pending::<()>()).await, None);
    }
}
