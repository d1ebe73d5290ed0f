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
    },
}

/// The listener for operators: `/livez`, `/readyz`, `/metrics`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Loopback by default, because it has no authentication.
    pub bind: SocketAddr,
}
