//! TLS towards clients: what a listener proves itself with, whom it asks for a certificate, and what that says.
//!
//! A client's certificate is checked against the listener's own authorities and no others. Lists of revoked ones are not looked at:
//! who is to be shut out gets no new certificate, or another authority signs those of the others.

use pingora_core::listeners::tls::Acceptor;
use riparian_config::{ClientCertificates, ListenerProtocol};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

/// A TLS acceptor for a listener's certificate.
///
/// # Errors
/// When a file cannot be read, or the certificate and the key do not belong together.
pub(crate) fn acceptor(protocol: &ListenerProtocol) -> Result<Option<Acceptor>, String> {
    let ListenerProtocol::Tls { certificate, key, clients } = protocol else { return Ok(None) };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    };
    let mut config = builder
        .with_single_cert(chain, private)
        .map_err(|error| format!("{} with {}: {error}", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Acceptor::from_server_config(Arc::new(config))))
}

fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let fault = |what: String| format!("{}: {what}", clients.ca.display());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&clients.ca)? {
        roots.add(authority).map_err(|error| fault(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder(Arc::new(roots));
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| fault(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Longer subjects are refused: they are compared with each request that comes over another connection.
const SUBJECT_BYTES_MAX: usize = 1024;

/// The subject of a certificate, as RFC 4514 writes it. `None` when it is empty, or nobody could write it: such a certificate names
/// nobody, and all of its kind would be one caller.
pub(crate) fn subject(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let parts: Vec<_> = parsed.subject().iter().collect();
    let mut text = String::new();
    // The most specific part first (RFC 4514, 2.1): the encoding has it last.
    for part in parts.into_iter().rev() {
        for (at, attribute) in part.iter().enumerate() {
            if !text.is_empty() {
                text.push(if at == 0 { ',' } else { '+' });
            }
            write(&mut text, attribute)?;
        }
    }
    (!text.is_empty() && text.len() <= SUBJECT_BYTES_MAX).then_some(text)
}

/// RFC 4514, 2.3: a type of its table by its word, with the value as text; any other by its number, with the value as it is encoded.
fn write(text: &mut String, attribute: &AttributeTypeAndValue<'_>) -> Option<()> {
    let number = attribute.attr_type().to_id_string();
    let word = match number.as_str() {
        "2.5.4.3" => Some("CN"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "2.5.4.6" => Some("C"),
        "2.5.4.9" => Some("STREET"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        _ => None,
    };
    text.push_str(word.unwrap_or(&number));
    text.push('=');
    match (word, attribute.as_str()) {
        (Some(_), Ok(value)) => escape(text, value),
        _ => encoded(text, attribute)?,
    }
    Some(())
}

/// RFC 4514, 2.4.
fn escape(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let at_an_end = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        match c {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            _ if at_an_end => text.extend(['\\', c]),
            _ => text.push(c),
        }
    }
}

/// `#` and the value's encoding in hexadecimal.
fn encoded(text: &mut String, attribute: &AttributeTypeAndValue<'_>) -> Option<()> {
    let value = attribute.attr_value();
    let tag = u8::try_from(value.tag().0).ok().filter(|tag| *tag < 31)?;
    let bytes = value.as_bytes();
    let short = u8::try_from(bytes.len()).ok()?;
    let length: &[u8] = if short < 128 { &[short] } else { &[0x81, short] };
    text.push('#');
    for byte in [&[tag], length, bytes].into_iter().flatten() {
        text.push_str(&format!("{byte:02x}"));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    fn subject_of(parts: Vec<(DnType, DnValue)>) -> Option<String> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind, value);
        }
        subject(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn text(value: &str) -> DnValue {
        DnValue::Utf8String(value.to_owned())
    }

    #[test]
    fn a_subject_is_written_as_rfc_4514_has_it() {
        let of = |parts| subject_of(parts).unwrap();
        assert_eq!(
            of(vec![
                (DnType::CountryName, text("GB")),
                (DnType::OrganizationName, text("acme")),
                (DnType::CommonName, text("shop"))
            ]),
            "CN=shop,O=acme,C=GB"
        );
        assert_eq!(
            of(vec![
                (DnType::OrganizationName, text("Sue, Grabbit+Runn")),
                (DnType::CommonName, text("L. Eagle"))
            ]),
            "CN=L. Eagle,O=Sue\\, Grabbit\\+Runn"
        );
        assert_eq!(of(vec![(DnType::CommonName, text(" #\"a\\b; "))]), "CN=\\ #\\\"a\\\\b\\;\\ ");
        assert_eq!(of(vec![(DnType::CommonName, text("#Grüße"))]), "CN=\\#Grüße");
        let serial = DnType::CustomDnType(vec![2, 5, 4, 5]);
        assert_eq!(of(vec![(serial, text("7"))]), "2.5.4.5=#0c0137");
        assert_eq!(
            of(vec![(DnType::CommonName, DnValue::BmpString("a".try_into().unwrap()))]),
            "CN=#1e020061"
        );
    }

    #[test]
    fn a_subject_that_names_nobody_is_none() {
        assert_eq!(subject_of(vec![]), None);
        assert_eq!(subject_of(vec![(DnType::CommonName, text(&"x".repeat(2000)))]), None);
        assert_eq!(subject(b"no certificate"), None);
    }
}
