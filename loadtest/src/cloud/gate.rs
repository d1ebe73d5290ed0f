//! The listener and its connections: opened, shut, opened again on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::serve::{self, Site};
use super::spec::Protocol;

/// How long shutting waits for idle connections to close. They do so at once; what is left is busy with an answer.
const IDLE_CLOSES_WITHIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Gate {
    addr: SocketAddr,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
    site: Arc<Site>,
    /// Bound but never listening: keeps the port from everybody else while the real listener is shut.
    _reservation: TcpSocket,
}

enum Order {
    Shut(oneshot::Sender<()>),
    Reopen(oneshot::Sender<io::Result<()>>),
}

impl Gate {
    pub(crate) async fn open(listen: SocketAddr, site: Arc<Site>) -> io::Result<Gate> {
        let tls = match &site.spec.protocol {
            Protocol::Tls { cert_pem, key_pem, h2 } => Some(acceptor(cert_pem, key_pem, *h2)?),
            Protocol::Http1 | Protocol::H2c => None,
        };
        let reservation = bound(listen)?;
        let addr = reservation.local_addr()?;
        let listener = bound(addr)?.listen(1024)?;
        let (orders, inbox) = mpsc::channel(4);
        let task = tokio::spawn(accept(addr, listener, tls, Arc::clone(&site), inbox));
        Ok(Gate { addr, orders, task, site, _reservation: reservation })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn shut(&self) {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Shut(done)).await.is_ok() {
            let _ = wait.await; // an error means that the task is gone, and the listener with it
        }
    }

    pub(crate) async fn reopen(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.orders.send(Order::Reopen(done)).await.map_err(io::Error::other)?;
        wait.await.map_err(io::Error::other)?
    }

    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await; // it was cancelled, as it should be
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.site.end_sockets();
        self.task.abort();
    }
}

fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

fn acceptor(cert_pem: &str, key_pem: &str, h2: bool) -> io::Result<TlsAcceptor> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts until the gate is dropped; dropping the set of connections ends them.
async fn accept(
    addr: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    mut inbox: mpsc::Receiver<Order>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let (wind_down, _) = watch::channel(());
    loop {
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Shut(done)) => {
                    listener = None;
                    wind_down.send_replace(());
                    let idle = async { while connections.join_next().await.is_some() {} };
                    let _ = tokio::time::timeout(IDLE_CLOSES_WITHIN, idle).await;
                    let _ = done.send(());
                }
                Some(Order::Reopen(done)) => {
                    let opened = match listener {
                        Some(_) => Ok(()),
                        None => bound(addr).and_then(|socket| socket.listen(1024)).map(|new| listener = Some(new)),
                    };
                    let _ = done.send(opened);
                }
                None => return,
            },
            accepted = next(listener.as_ref()) => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve::connection(stream, tls.clone(), Arc::clone(&site), wind_down.subscribe()));
                }
                // Out of descriptors, most likely: breathe instead of spinning, others may close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
