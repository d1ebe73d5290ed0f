//! Connections to endpoints that wait for their next request: each thread its own, so that taking one needs no lock.

use super::buffer::Buffer;
use super::met::Met;
use super::wire::Wire;
use foldhash::fast::FixedState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// What connections may be shared: those of one endpoint's settings, at one address.
pub(crate) type Key = (u64, SocketAddr);

/// An idle connection is closed after it: shorter than the 60 s after which load balancers close theirs, so that a request seldom meets
/// a connection that is just going.
pub(crate) const IDLE: Duration = Duration::from_secs(50);

/// How often idle connections are looked after.
pub(crate) const SWEEP: Duration = Duration::from_secs(5);

/// Idle connections that one thread keeps to one endpoint's address; each costs a descriptor and a few KiB.
const IDLE_MAX: usize = 256;

struct Idle {
    wire: Wire,
    met: Arc<Met>,
    since: Instant,
}

impl Idle {
    /// Whether it can carry a request: not too old, not closed, and silent. What comes unasked is nobody's answer.
    fn is_fit(&mut self, cx: &mut Context<'_>) -> bool {
        self.since.elapsed() < IDLE && self.wire.poll_read(cx, Buffer::take().spare()).is_pending()
    }
}

thread_local! {
    static POOL: RefCell<HashMap<Key, Vec<Idle>, FixedState>> = RefCell::new(HashMap::default());
}

/// The newest idle connection that is fit, and who is at its other end.
pub(crate) fn take(key: &Key, cx: &mut Context<'_>) -> Option<(Wire, Arc<Met>)> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.get_mut(key)?;
        while let Some(mut newest) = idle.pop() {
            if newest.is_fit(cx) {
                return Some((newest.wire, newest.met));
            }
        }
        None
    })
}

/// Keeps a connection for the next request.
pub(crate) fn put(key: Key, wire: Wire, met: Arc<Met>) {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.entry(key).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(Idle { wire, met, since: Instant::now() });
        }
    });
}

/// Closes what is not fit any more.
pub(crate) fn sweep() {
    let mut cx = Context::from_waker(Waker::noop());
    POOL.with_borrow_mut(|pool| {
        pool.retain(|_, idle| {
            idle.retain_mut(|idle| idle.is_fit(&mut cx));
            !idle.is_empty()
        });
    });
}

/// Closes everything.
pub(crate) fn clear() {
    POOL.with_borrow_mut(HashMap::clear);
}
