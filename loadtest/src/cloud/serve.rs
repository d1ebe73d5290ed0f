//! What a cloud's requests share, and its connections.

use std::sync::{Arc, Mutex, MutexGuard};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::clock::Clock;
use super::family::Family;
use super::fault::FaultSlot;
use super::handle::handle;
use super::journal::Journal;
use super::spec::{CloudSpec, Protocol};
use super::state::{Minter, Store};
use super::wire::{Fuse, Wire};

/// Everything that a cloud's requests share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) spec: CloudSpec,
    pub(crate) journal: Journal,
    pub(crate) minter: Minter,
    pub(crate) clock: Clock,
    /// The name in the spec, shared with the fleet's book.
    pub(crate) name: Arc<str>,
    /// Sockets that were upgraded: they outlive their connection's task.
    sockets: Mutex<JoinSet<()>>,
    store: Mutex<Store>,
    faults: Mutex<FaultSlot>,
}

impl Site {
    pub(crate) fn new(spec: CloudSpec) -> Self {
        let minter = Minter::new(&spec.name);
        let name: Arc<str> = spec.name.as_str().into();
        spec.fleet.join(minter.mark(), &name);
        Site {
            clock: Clock::new(),
            name,
            sockets: Mutex::default(),
            journal: Journal::new(spec.seen_max),
            minter,
            store: Mutex::new(Store::new(spec.stored_max)),
            faults: Mutex::default(),
            spec,
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no code panics while it holds the store")
    }

    /// The family in whose envelope it speaks where none has been recognised.
    pub(crate) fn front(&self) -> Family {
        self.spec.speaks.first().copied().unwrap_or(Family::OpenAi)
    }

    /// Runs a socket to its end, or to the cloud's.
    pub(crate) fn run_socket(&self, socket: impl Future<Output = ()> + Send + 'static) {
        let mut sockets = self.sockets.lock().expect("no code panics while it holds the sockets");
        while sockets.try_join_next().is_some() {}
        sockets.spawn(socket);
    }

    /// Ends every socket.
    pub(crate) fn end_sockets(&self) {
        self.sockets.lock().expect("no code panics while it holds the sockets").abort_all();
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultSlot> {
        self.faults.lock().expect("no code panics while it holds the faults")
    }
}

/// Serves a connection to its end, or until it is wound down: then it finishes what it is at.
pub(crate) async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    wind_down: watch::Receiver<()>,
) {
    site.journal.connection();
    let _ = stream.set_nodelay(true); // else small chunks wait for each other; without it they are only late
    let fuse = Fuse::default();
    let wire = Wire::new(stream, fuse.clone());
    let h2 = matches!(site.spec.protocol, Protocol::H2c | Protocol::Tls { h2: true, .. });
    match tls {
        Some(acceptor) => {
            // A failed handshake is the other side's to report.
            if let Ok(stream) = acceptor.accept(wire).await {
                speak(TokioIo::new(stream), h2, site, fuse, wind_down).await;
            }
        }
        None => speak(TokioIo::new(wire), h2, site, fuse, wind_down).await,
    }
}

/// An error of a connection is not reported: the entry of the request that it hit says how that ended.
async fn speak<I>(io: I, h2: bool, site: Arc<Site>, fuse: Fuse, mut wind_down: watch::Receiver<()>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        // A reset of the whole connection would hit the neighbours of an HTTP/2 stream.
        let fuse = (!h2).then(|| fuse.clone());
        handle(Arc::clone(&site), fuse, request)
    });
    if h2 {
        let connection =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = wind_down.changed() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = wind_down.changed() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
