//! A chosen endpoint as pingora's peer, for TLS and HTTP/2, with every timeout set, and what its failures mean.

use crate::endpoints::Ready;
use crate::relay::pool;
use pingora_core::protocols::{ALPN, TcpKeepalive};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType};
use riparian_config::HttpVersion;
use riparian_filters::decision::Reason;
use riparian_filters::policy::Place;
use std::net::SocketAddr;
use std::time::Duration;

/// Streams on one HTTP/2 connection; the RFC's suggested minimum (RFC 9113, 6.5.2), which every server allows.
const H2_STREAMS: usize = 100;

/// Finds a dead path under a stream that only waits. The kernel's own default is two hours.
pub(crate) const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// The peer at `address` for `place`. Host, SNI and the verified name are the endpoint's own.
pub(crate) fn peer(place: &Place, ready: &Ready, address: SocketAddr) -> HttpPeer {
    let url = &place.endpoint.url;
    let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
    peer.group_key = ready.pool;
    let timeouts = place.timeouts();
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    // The exact deadlines of an answer are kept by `carry`; this one is behind them.
    options.read_timeout = Some(timeouts.first_byte.max(timeouts.idle) + Duration::from_secs(5));
    options.write_timeout = Some(timeouts.idle);
    options.idle_timeout = Some(pool::IDLE);
    options.verify_cert = true;
    options.verify_hostname = true;
    options.ca = ready.ca.clone();
    options.tcp_keepalive = Some(KEEPALIVE);
    options.max_h2_streams = H2_STREAMS;
    options.h2_ping_interval = Some(Duration::from_secs(30));
    options.alpn = match place.endpoint.http_version {
        HttpVersion::Http1 => ALPN::H1,
        HttpVersion::Http2 => ALPN::H2,
    };
    peer
}

/// What an error of an attempt means for the client.
pub(crate) fn reason(error: &Error) -> Reason {
    match error.etype() {
        ErrorType::ConnectTimedout
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout => Reason::UpstreamTimeout,
        ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure | ErrorType::TLSWantX509Lookup => {
            Reason::TlsVerify
        }
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError => Reason::UpstreamConnect,
        _ => Reason::UpstreamReset,
    }
}
