//! HTTP/2 clients, in the clear and over TLS, and certificates made for a test.

use super::chat;
use super::wire::Captured;
use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// HTTP/2 with prior knowledge.
pub async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    over(TcpStream::connect(address).await.unwrap()).await
}

/// HTTP/2 over a stream.
pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Full<Bytes>> {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A private authority, and what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate and its key, in PEM, for this name; one that was good until 2001 if `expired`.
    pub fn sign(&self, name: &str, expired: bool) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A client's certificate and its key, in PEM, for a subject of these parts: organisation, then common name.
    pub fn client(&self, subject: [&str; 2]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in
            [rcgen::DnType::OrganizationName, rcgen::DnType::CommonName].into_iter().zip(subject)
        {
            if !value.is_empty() {
                params.distinguished_name.push(kind, value);
            }
        }
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A TLS connection that trusts this authority and offers these protocols.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.connect_as(address, protocols, None).await.unwrap()
    }

    /// The same, with a client's certificate and key.
    pub async fn connect_as(
        &self,
        address: SocketAddr,
        protocols: &[&str],
        client: Option<&(String, String)>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Puts a text into a file of the folder.
pub fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A request with a JSON body, as HTTP/2 has it: with its authority in the target.
pub fn request(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(format!("http://proxy{path}"))
        .header("authorization", "Bearer app")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// A chat completion that is to be streamed.
pub fn streamed() -> Value {
    let mut body = chat();
    body["stream"] = json!(true);
    body
}

/// Asks over HTTP/2 and reads the whole answer.
pub async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> (StatusCode, http::HeaderMap, Bytes) {
    let answer = sender.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    assert_eq!(head.version, Version::HTTP_2);
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

/// An HTTP/2 origin that keeps what it is sent; the authority as `host`.
pub async fn capture() -> (SocketAddr, Arc<Mutex<Vec<Captured>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let journal = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let journal = Arc::clone(&journal);
            let service = service_fn(move |request: Request<Incoming>| {
                let journal = Arc::clone(&journal);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes().to_vec();
                    let target = head.uri.path_and_query().unwrap();
                    let line = format!("{} {target} HTTP/2", head.method);
                    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
                    let mut headers: Vec<_> =
                        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
                    if !head.headers.contains_key("host") {
                        headers.push(("host".to_owned(), head.uri.authority().unwrap().to_string()));
                    }
                    journal.lock().unwrap().push(Captured { line, headers, body });
                    Ok::<_, hyper::Error>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
                }
            });
            let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serve);
        }
    });
    (address, seen)
}
