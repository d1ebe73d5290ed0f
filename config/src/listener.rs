//! Where clients come in.

use crate::name::ListenerName;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A listening socket for clients.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name in the log.
    pub name: ListenerName,
    /// Address and port; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
}

/// What is spoken on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP/1.1 in the clear. The default.
    Http1,
    /// HTTP/2 in the clear, with prior knowledge. A listener of its own: telling it from HTTP/1.1 on one port would
    /// leave idle connections without a deadline.
    H2c,
    /// TLS; HTTP/2 or HTTP/1.1 by ALPN.
    Tls {
        /// The certificate chain, PEM.
        certificate: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
        /// Whose certificates clients may come with; `None` asks for none.
        clients: Option<ClientCertificates>,
    },
}

/// Certificates of clients. One that is presented and not good ends the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that sign them, PEM. Whoever one of these has signed is who its subject says.
    pub ca: PathBuf,
    /// Whether a client must have one. Default true.
    pub required: bool,
}

/// The listener for operators: `/livez`, `/readyz`, `/metrics`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Loopback by default, because it has no authentication.
    pub bind: SocketAddr,
}
