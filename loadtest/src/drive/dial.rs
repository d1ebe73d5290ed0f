//! How a connection to the target is opened: in the clear or over TLS, and which HTTP is then spoken.

use std::io;
use std::sync::Arc;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::upload::Upload;

/// Which HTTP the clients speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1, kept alive.
    #[default]
    One,
    /// HTTP/2: with prior knowledge in the clear, as the only one offered over TLS.
    Two,
    /// Over TLS both are offered and the target picks by ALPN; in the clear this is HTTP/1.1.
    ByAlpn,
}

/// Where the target is, and how it is reached.
pub(crate) struct Dial {
    /// `scheme://authority`, without a path.
    pub(crate) origin: String,
    pub(crate) authority: String,
    address: String,
    http: Http,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// An open connection's sending half.
pub(crate) enum Line {
    One(http1::SendRequest<Upload>),
    Two(http2::SendRequest<Upload>),
}

impl Dial {
    /// `target` is an `http` or `https` URL; the latter needs the authority's certificates in `ca_pem`.
    pub(crate) fn new(target: &str, http: Http, ca_pem: Option<&str>) -> Result<Dial, String> {
        let uri: http::Uri = target.parse().map_err(|error| format!("{target:?} is no URL: {error}"))?;
        let authority = uri.authority().ok_or_else(|| format!("{target:?} names no host"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{target:?} is neither http:// nor https://")),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = match (secure, ca_pem) {
            (false, _) => None,
            (true, Some(ca_pem)) => {
                let name = ServerName::try_from(host).map_err(|error| format!("{target:?}: {error}"))?;
                Some((connector(ca_pem, http)?, name))
            }
            (true, None) => {
                return Err(format!("{target:?} needs the certificate of its authority: --ca FILE"));
            }
        };
        let scheme = if secure { "https" } else { "http" };
        Ok(Dial {
            origin: format!("{scheme}://{authority}"),
            authority: authority.to_string(),
            address: format!("{}:{port}", authority.host()),
            http,
            tls,
        })
    }

    /// Opens one connection. Its task ends with it; its errors are those of the exchanges on it.
    pub(crate) async fn open(&self) -> io::Result<Line> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => handshake(TokioIo::new(stream), self.http == Http::Two).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                if !two && self.http == Http::Two {
                    return Err(io::Error::other("the target does not take h2 by ALPN"));
                }
                handshake(TokioIo::new(stream), two).await
            }
        }
    }
}

fn connector(ca_pem: &str, http: Http) -> Result<TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authority's certificate: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the authority's certificate: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the authority's file holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match http {
        Http::One => vec![b"http/1.1".to_vec()],
        Http::Two => vec![b"h2".to_vec()],
        Http::ByAlpn => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<I>(io: I, two: bool) -> io::Result<Line>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    if two {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // A stream's window of a megabyte: the client must not be what a large answer waits for.
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Line::Two(sender))
    } else {
        let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Line::One(sender))
    }
}
