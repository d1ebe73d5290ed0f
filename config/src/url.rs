//! An endpoint's URL: an origin, and optionally the path before every operation. Nothing else a URL can have.

use crate::cloud::EndpointUrl;
use crate::scalar::Refusal;
use crate::session::RedisUrl;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn refusal<T>(why: impl Into<String>, instead: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: why.into(), instead: instead.into() })
}

/// Whether the text has a user or password before its host; then it is not to be printed.
pub(crate) fn has_userinfo(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Reads `text`.
pub(crate) fn parse(text: &str) -> Result<EndpointUrl, Refusal> {
    let example = "such as `https://contoso.openai.azure.com`";
    let Some((scheme, rest)) = text.split_once("://") else {
        return refusal(
            "the scheme is missing, and with it whether TLS is spoken",
            format!("`https://{text}`"),
        );
    };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => {
            return refusal(
                "endpoints are spoken to over http or https; HTTP/2 is `http_version: 2`",
                example,
            );
        }
    };
    if has_userinfo(text) {
        return refusal(
            "a user or password in a URL is a secret in the clear",
            "the host alone, and `credential`",
        );
    }
    if text.contains(['?', '#']) {
        return refusal("a query or fragment is each request's own", "the URL up to its path");
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority_of(authority, if tls { 443 } else { 80 })?;
    Ok(EndpointUrl { tls, host, port, base_path: base_path(path)? })
}

/// Reads the URL of a Redis.
pub(crate) fn redis(text: &str) -> Result<RedisUrl, Refusal> {
    let example = "such as `redis://127.0.0.1:6379/0`, or `rediss://` for TLS";
    let tls = match text.split_once("://") {
        Some(("redis", _)) => false,
        Some(("rediss", _)) => true,
        _ => {
            return refusal(
                "a Redis is spoken to over redis or rediss, which is the same inside TLS",
                example,
            );
        }
    };
    if has_userinfo(text) {
        return refusal(
            "a user or password in a URL is a secret in the clear",
            "the host alone, and `password`",
        );
    }
    if text.contains(['?', '#']) {
        return refusal("the number of a database is all that may follow the host", example);
    }
    let (_, rest) = text.split_once("://").expect("it has a scheme");
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority_of(authority, 6379)?;
    let digits = !database.is_empty() && database.bytes().all(|b| b.is_ascii_digit());
    let database = match database.parse::<u32>() {
        Ok(number) if digits => number,
        _ if database.is_empty() => 0,
        _ => return refusal("after the host stands the number of a database", example),
    };
    Ok(RedisUrl { tls, host, port, database })
}

fn authority_of(authority: &str, default: u16) -> Result<(String, u16), Refusal> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((host, after)) = rest.split_once(']') else {
                return refusal(
                    "the bracket of the IPv6 address is not closed",
                    "such as `http://[::1]:8080`",
                );
            };
            let Ok(address) = host.parse::<Ipv6Addr>() else {
                return refusal("in brackets stands an IPv6 address", "such as `http://[::1]:8080`");
            };
            match after.strip_prefix(':') {
                None if !after.is_empty() => {
                    return refusal("after `]` stands a port", "such as `http://[::1]:8080`");
                }
                port => (address.to_string(), port),
            }
        }
        None => {
            let (host, port) =
                authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            (host_name(host)?, port)
        }
    };
    let port = match port {
        None => default,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => port,
            _ => {
                return refusal(
                    "a port is a number from 1 to 65535",
                    "the port, or none for the scheme's own",
                );
            }
        },
    };
    Ok((host, port))
}

/// A host name or IPv4 address, in lower case.
fn host_name(host: &str) -> Result<String, Refusal> {
    if !host.is_ascii() {
        return refusal(
            "a host outside ASCII can look like another one",
            "its ASCII form, which begins with `xn--`",
        );
    }
    let host = host.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        let why = "a host name has labels of letters, digits and `-` with dots between, none of them empty";
        return refusal(why, "such as `contoso.openai.azure.com`, without a dot at its end");
    }
    let last = host.rsplit('.').next().unwrap_or("");
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return refusal(
            "resolvers read such a number in different ways",
            "four numbers, such as `127.0.0.1`",
        );
    }
    Ok(host)
}

fn base_path(path: &str) -> Result<Option<String>, Refusal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(inner) = path.strip_prefix('/') else { return Ok(None) };
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b))
    };
    if !inner.split('/').all(segment) {
        let why = "the path goes before every operation as it is, so it has plain segments: none empty, `.`, `..` or escaped";
        return refusal(why, "such as `/openai/v1`");
    }
    Ok(Some(path.to_owned()))
}

/// Whether nothing leaves this machine on the way to `host`.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_and_a_path() {
        let url = parse("https://Contoso.OpenAI.azure.com/openai/v1/").expect("a URL");
        assert_eq!(url.to_string(), "https://contoso.openai.azure.com/openai/v1");
        assert_eq!((url.tls, url.port), (true, 443));
        let url = parse("http://[::1]:9101").expect("a URL");
        assert_eq!((url.host.as_str(), url.port, url.base_path.clone()), ("::1", 9101, None));
        assert!(is_loopback(&url.host));
        assert_eq!(parse("https://h.example/").expect("a URL").base_path, None);
    }

    #[test]
    fn a_redis_has_a_port_and_a_database_of_its_own() {
        let url = redis("redis://Cache.example").expect("a URL");
        assert_eq!((url.tls, url.host.as_str(), url.port, url.database), (false, "cache.example", 6379, 0));
        let url = redis("rediss://[::1]:7000/3").expect("a URL");
        assert_eq!((url.tls, url.host.as_str(), url.port, url.database), (true, "::1", 7000, 3));
        for bad in [
            "",
            "redis://",
            "http://a",
            "redis://a/x",
            "redis://a/1/2",
            "redis://a/+1",
            "redis://u:p@a",
            "redis://a?x=1",
            "redis://a:0",
        ] {
            assert!(redis(bad).is_err(), "{bad:?} is no Redis");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "",
            "contoso.com",
            "ftp://a",
            "https://",
            "https://u:p@a.b",
            "https://a.b?x",
            "https://a.b#x",
            "https://a..b",
            "https://a.b.",
            "https://a.b:0",
            "https://a.b:99999",
            "https://a.b:+1",
            "https://a b",
            "https://bücher.example",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://1.2.3.0x4",
            "https://[::1",
            "https://[::1]x",
            "https://[zz]",
            "https://a.b/../c",
            "https://a.b//c",
            "https://a.b/%2e",
            "https://-a.b",
            "https://a.b\\c",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} is no origin");
        }
    }
}
