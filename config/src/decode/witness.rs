//! Whom connections must be found to have reached.

use crate::fault::Found;
use crate::read::{Fields, Spot};
use crate::{AddressRange, CertificateName, Endpoint, Witness};

/// A cloud's witness; `Some(None)` when it has none.
#[allow(clippy::option_option, reason = "the outer one is whether it could be read")]
pub(super) fn witness(
    cloud: &Fields<'_>,
    endpoints: &[Endpoint],
    found: &mut Found,
) -> Option<Option<Witness>> {
    if !cloud.has("witness") {
        return Some(None);
    }
    let fields = cloud.section("witness", found)?;
    let addresses = read(&fields, "addresses", found, AddressRange::parse, |spot| {
        let why = "a range is a network and the length of its prefix, with no bit set behind it";
        (format!("`{}` is no range of addresses", spot.text), why, "`20.0.0.0/8`, or one address")
    });
    let certificate_names = read(&fields, "certificate_names", found, CertificateName::parse, |spot| {
        let why = "it is a host name in lower case, or `*.` before one of two labels or more";
        (format!("`{}` is no name of a certificate", spot.text), why, "`*.openai.azure.com`")
    });
    if fields.has("certificate_names")
        && let Some(plain) = endpoints.iter().find(|endpoint| !endpoint.url.tls)
    {
        let what = format!("`certificate_names` stand beside {}, which is http", plain.name);
        let why = "without TLS there is no certificate, and nothing could ever be sent there";
        found.fault(fields.at("certificate_names"), what, why, "`https://` in its URL, or `addresses` alone");
    }
    Some(Some(Witness { addresses, certificate_names }))
}

fn read<T>(
    fields: &Fields<'_>,
    key: &str,
    found: &mut Found,
    parse: impl Fn(&str) -> Option<T>,
    wrong: impl Fn(&Spot<'_>) -> (String, &'static str, &'static str),
) -> Vec<T> {
    let mut all = Vec::new();
    for spot in fields.texts(key, found) {
        match parse(spot.text) {
            Some(one) => all.push(one),
            None => {
                let (what, why, instead) = wrong(&spot);
                found.fault(spot.at, what, why, instead);
            }
        }
    }
    all
}
