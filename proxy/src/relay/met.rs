//! Who is at the other end of a connection to an endpoint: what was found when it was made, not what was asked for.

use crate::relay::wire::Wire;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::protocols::tls::TlsRef;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// Its address.
    pub address: SocketAddr,
    /// What it proved itself with; `None` without TLS. The name in it that was asked for is the endpoint's host.
    pub certificate: Option<Arc<Certificate>>,
}

/// A certificate that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its public key, with its algorithm (`SubjectPublicKeyInfo`).
    pub key: [u8; 32],
    /// SHA-256 of all of it.
    digest: [u8; 32],
}

impl Met {
    /// The other end of `wire`, which was connected to `dialled`.
    pub(crate) fn of(wire: &Wire, dialled: SocketAddr) -> Self {
        match wire {
            Wire::Tcp(stream) => Self::plain(stream, dialled),
            Wire::Tls(stream) => Self::secured(stream, dialled),
        }
    }

    fn plain(stream: &TcpStream, dialled: SocketAddr) -> Self {
        Self { address: stream.peer_addr().unwrap_or(dialled), certificate: None }
    }

    /// The other end of a connection that pingora made.
    pub(crate) fn secured(stream: &Stream, dialled: SocketAddr) -> Self {
        let address = address(stream);
        let certificate = stream.get_ssl().and_then(TlsRef::peer_certificate_der).and_then(Certificate::read);
        Self { address: address.unwrap_or(dialled), certificate: certificate.map(Arc::new) }
    }

    /// The other end of a stream on a shared connection, whose certificate is among those `seen`.
    pub(crate) fn shared(session: &Http2Session, seen: &Seen, dialled: SocketAddr) -> Self {
        let ssl = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
        let address = session.server_addr().and_then(|address| address.as_inet().copied());
        let certificate = ssl.and_then(|ssl| seen.find(&ssl.cert_digest));
        Self { address: address.unwrap_or(dialled), certificate }
    }
}

/// The other end's address, as the socket has it.
pub(crate) fn address(stream: &Stream) -> Option<SocketAddr> {
    stream.get_socket_digest()?.peer_addr()?.as_inet().copied()
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(Self {
            key: Sha256::digest(certificate.public_key().raw).into(),
            digest: Sha256::digest(der).into(),
        })
    }
}

/// Certificates of one endpoint that were accepted lately: pingora keeps only the digest of a shared connection's.
#[derive(Debug, Default)]
pub(crate) struct Seen(arc_swap::ArcSwap<VecDeque<Arc<Certificate>>>);

/// As many as an endpoint's front may have at once, while they are being renewed.
const SEEN_MAX: usize = 32;

impl Seen {
    /// Remembers the certificate that was met.
    pub(crate) fn remember(&self, met: &Met) {
        let Some(certificate) = &met.certificate else { return };
        if self.find(&certificate.digest).is_none() {
            self.0.rcu(|seen| {
                let mut seen = VecDeque::clone(seen);
                seen.push_back(Arc::clone(certificate));
                if seen.len() > SEEN_MAX {
                    seen.pop_front();
                }
                seen
            });
        }
    }

    fn find(&self, digest: &[u8]) -> Option<Arc<Certificate>> {
        self.0.load().iter().find(|certificate| certificate.digest == digest).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_key_and_by_all_of_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap()
        };
        let (one, other) = (made(&["a.example", "*.b.example"]), made(&["c.example"]));
        let (one, other) = (Certificate::read(one.der()).unwrap(), Certificate::read(other.der()).unwrap());
        assert_eq!(one.key, other.key, "a renewed certificate of the same key");
        assert_ne!(one.digest, other.digest);
        let expected: [u8; 32] = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).into();
        assert_eq!(one.key, expected);
        assert_eq!(Certificate::read(b"none"), None);

        let seen = Seen::default();
        let met = |certificate: &Certificate| Met {
            address: "127.0.0.1:1".parse().unwrap(),
            certificate: Some(Arc::new(certificate.clone())),
        };
        seen.remember(&met(&one));
        seen.remember(&met(&one));
        assert_eq!(seen.0.load().len(), 1);
        for number in 0..SEEN_MAX {
            seen.remember(&met(&Certificate {
                digest: [u8::try_from(number).unwrap(); 32],
                ..other.clone()
            }));
        }
        assert_eq!((seen.0.load().len(), seen.find(&one.digest)), (SEEN_MAX, None), "the oldest goes");
    }
}
