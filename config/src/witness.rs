//! What a cloud's connections are held to, beside the names in its URLs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who must be at the other end of a connection to a cloud's endpoint, or nothing is sent there. What is given must hold, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// The other end's address is in one of these. Empty: any address.
    pub addresses: Vec<AddressRange>,
    /// The other end's certificate is for one of these, too, beside the endpoint's host. Empty: any certificate that is good.
    pub certificate_names: Vec<CertificateName>,
}

/// A range of addresses: a network and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    network: IpAddr,
    bits: u8,
}

/// A DNS name as certificates write them, in lower case; `*.` for every name below.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateName(String);

impl AddressRange {
    /// Reads `20.0.0.0/8`, `2603:1000::/24`, or one address. `None` when it is neither, or has bits behind its prefix.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().ok()?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        let range = Self { network, bits };
        (bits <= width && range.masked(network) == network).then_some(range)
    }

    /// Whether `address` is in it. An IPv4 address in IPv6 clothes is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && self.masked(address) == self.network
    }

    fn masked(self, address: IpAddr) -> IpAddr {
        let bits = u32::from(self.bits);
        match address {
            IpAddr::V4(v4) => {
                Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()
            }
        }
    }
}

impl CertificateName {
    /// Reads `api.openai.com` or `*.openai.azure.com`. `None` when it is no host name, or has a `*` elsewhere or over less than two labels.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        let fits = text.len() <= 253 && host.split('.').all(is_label);
        (fits && (host.contains('.') || host == text)).then(|| Self(text.to_owned()))
    }

    /// Whether a name as a certificate writes it, which may begin with `*.` itself, is this one or below it.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(below) => name.ends_with(below) && name.len() > below.len(),
            None => name == self.0,
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_their_prefix_says() {
        for (range, address, holds) in [
            ("20.0.0.0/8", "20.255.1.2", true),
            ("20.0.0.0/8", "21.0.0.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("20.0.0.0/8", "::ffff:20.1.1.1", true),
            ("2603:1000::/24", "2603:10ff::1", true),
            ("2603:1000::/24", "2603:1100::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let parsed = AddressRange::parse(range).unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), holds, "{range} {address}");
        }
        for text in
            ["20.0.0.1/8", "20.0.0.0/33", "20.0.0/8", "2603::1/16", "::/129", "host/8", "", "1.2.3.4/"]
        {
            assert_eq!(AddressRange::parse(text), None, "{text}");
        }
        assert_eq!(AddressRange::parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
    }

    #[test]
    fn names_cover_themselves_and_stars_what_is_below() {
        for (name, other, covers) in [
            ("api.openai.com", "api.openai.com", true),
            ("api.openai.com", "API.OpenAI.com", true),
            ("api.openai.com", "*.openai.com", false),
            ("*.openai.azure.com", "*.openai.azure.com", true),
            ("*.openai.azure.com", "contoso.openai.azure.com", true),
            ("*.openai.azure.com", "openai.azure.com", false),
            ("*.openai.azure.com", "evilopenai.azure.com", false),
            ("*.openai.azure.com", "contoso.openai.azure.com.evil.example", false),
        ] {
            assert_eq!(CertificateName::parse(name).unwrap().covers(other), covers, "{name} {other}");
        }
        for text in ["*", "*.com", "a.*.com", "A.com", "a..com", "", "a com", "https://a.com"] {
            assert_eq!(CertificateName::parse(text), None, "{text}");
        }
    }
}
