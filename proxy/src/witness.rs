//! The egress witness: whoever was connected to is compared with whom the cloud's `witness` names, when a connection is made and before
//! anything is said on it. Connections are kept apart by their witness, so that one that waits for its next request was compared with
//! the same.
//!
//! A name in the resolver that points elsewhere, and a certificate that somebody got for a host that is not theirs, end here.

use crate::endpoints::Ready;
use crate::relay::met;
use pingora_core::protocols::Stream;
use pingora_core::protocols::tls::TlsRef;
use riparian_config::Witness;
use riparian_filters::decision::Reason;
use riparian_filters::policy::Place;
use std::net::IpAddr;
use tokio::net::TcpStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The other end of a connection, as it was found.
pub(crate) struct Reached<'c> {
    address: Option<IpAddr>,
    /// Its certificate in DER, with TLS.
    certificate: Option<&'c [u8]>,
}

impl<'c> Reached<'c> {
    pub(crate) fn plain(stream: &TcpStream) -> Self {
        Self { address: stream.peer_addr().ok().map(|address| address.ip()), certificate: None }
    }

    pub(crate) fn stream(stream: &'c Stream) -> Self {
        let address = met::address(stream).map(|address| address.ip());
        Self { address, certificate: stream.get_ssl().and_then(TlsRef::peer_certificate_der) }
    }
}

/// Whether a connection to `place` may be spoken on.
///
/// # Errors
/// `egress_mismatch` when it may not: also when it cannot be told who is there.
pub(crate) fn check(place: &Place, ready: &Ready, reached: &Reached<'_>) -> Result<(), Reason> {
    let Some(witness) = &ready.witness else { return Ok(()) };
    let at_home = reached.address.is_some_and(|address| is_at_home(witness, address));
    let names = certificate_names(reached.certificate);
    if at_home && is_named(witness, &names) {
        return Ok(());
    }
    tracing::warn!(
        cloud = %place.cloud_name, endpoint = %place.endpoint.name,
        address = ?reached.address, address_is_declared = at_home, certificate_names = ?names,
        "what was connected to is not what the cloud's witness names; nothing was sent"
    );
    Err(Reason::EgressMismatch)
}

fn is_at_home(witness: &Witness, address: IpAddr) -> bool {
    witness.addresses.is_empty() || witness.addresses.iter().any(|range| range.contains(address))
}

fn is_named(witness: &Witness, names: &[String]) -> bool {
    let declared = &witness.certificate_names;
    declared.is_empty() || declared.iter().any(|name| names.iter().any(|own| name.covers(own)))
}

/// The DNS names that a certificate is for (RFC 5280, 4.2.1.6); its common name counts for nothing, as everywhere.
fn certificate_names(der: Option<&[u8]>) -> Vec<String> {
    let Some((_, certificate)) = der.and_then(|der| X509Certificate::from_der(der).ok()) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}
