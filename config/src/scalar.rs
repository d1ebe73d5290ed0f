//! Text to one value: durations, sizes, instants, addresses. Pure, and each refusal says what to write.

use crate::Millionths;
use crate::table::quoted;
use jiff::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why a text is not the value that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) instead: String,
}

/// Ten years: beyond it a typing error is likelier than an intention, and adding it to a clock could overflow.
const SPAN_MAX: Duration = Duration::from_secs(3650 * 86_400);
/// 1 TiB, likewise.
const SIZE_BYTES_MAX: u64 = 1 << 40;

const SPAN_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

fn refusal<T>(why: impl Into<String>, instead: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: why.into(), instead: instead.into() })
}

/// `10s`, `500ms`, `5m`, `2h`, `30d`; `0` too where `zero` makes sense.
pub(crate) fn span(text: &str, zero: bool) -> Result<Duration, Refusal> {
    if text == "0" && zero {
        return Ok(Duration::ZERO);
    }
    let (digits, unit) = split(text);
    if unit.is_empty() && !digits.is_empty() {
        return refusal(
            "a bare number does not say its unit",
            format!("`{digits}s`, or `{digits}ms`, `m`, `h`, `d`"),
        );
    }
    let Some((_, millis)) = SPAN_UNITS.iter().find(|(name, _)| *name == unit).filter(|_| !digits.is_empty())
    else {
        return refusal(
            "a length of time is a whole number and one of the units ms, s, m, h, d",
            "such as `10s`",
        );
    };
    let length = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*millis)).map(Duration::from_millis);
    match length {
        Some(Duration::ZERO) if !zero => refusal("no time at all would let nothing happen", "at least `1ms`"),
        Some(length) if length <= SPAN_MAX => Ok(length),
        _ => refusal("it is longer than ten years", "at most `3650d`"),
    }
}

/// `32KiB`, `512MiB`, `1GiB`, `4096B`.
pub(crate) fn size(text: &str, min: u64) -> Result<u64, Refusal> {
    let (digits, unit) = split(text);
    if unit.is_empty() && !digits.is_empty() {
        let instead = format!("`{digits}KiB`, or `B`, `MiB`, `GiB`");
        return refusal("a bare number does not say its unit", instead);
    }
    let found = SIZE_UNITS.iter().find(|(name, _)| *name == unit).filter(|_| !digits.is_empty());
    let Some((_, factor)) = found else {
        let powers = "a size is a whole number and one of the units B, KiB, MiB, GiB (powers of 1024)";
        let alike =
            SIZE_UNITS.iter().find(|(name, _)| name[..1].eq_ignore_ascii_case(unit.get(..1).unwrap_or("")));
        let instead = alike
            .filter(|_| !digits.is_empty())
            .map_or("such as `32MiB`".to_owned(), |(name, _)| format!("`{digits}{name}`"));
        return refusal(powers, instead);
    };
    match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)) {
        Some(bytes) if bytes < min => {
            refusal(format!("fewer than {min} bytes are of no use here"), format!("at least `{min}B`"))
        }
        Some(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        _ => refusal("it is more than 1024 GiB", "at most `1024GiB`"),
    }
}

/// `1.25`, exactly: millionths, from 0 to `max`.
pub(crate) fn decimal(text: &str, max: u64) -> Result<Millionths, Refusal> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(rest) {
        return refusal("money is written as a plain decimal", "such as `1.25`");
    }
    if rest.len() > 6 {
        return refusal("money is counted in millionths here", "at most six digits behind the point");
    }
    let fraction = format!("{rest:0<6}").parse::<u64>().ok();
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(Millionths::ONE));
    let sum = whole.zip(fraction).and_then(|(whole, fraction)| whole.checked_add(fraction));
    match sum.filter(|sum| *sum <= max.saturating_mul(Millionths::ONE)) {
        Some(sum) => Ok(Millionths(sum)),
        None => refusal(format!("it is over {max}"), format!("at most `{max}`")),
    }
}

/// A word that can be a label.
pub(crate) fn word(text: &str) -> Result<String, Refusal> {
    let fits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { refusal("it is a label of metrics", "1 to 16 letters and digits") }
}

/// The digits that `text` begins with, and the rest.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `2026-02-27T00:00:00Z`, another offset too, or `2026-02-27` for its midnight in UTC.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Refusal> {
    let instead = "such as `2026-02-27T00:00:00Z`, or `2026-02-27` for midnight in UTC";
    let dated = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let whole = if dated { format!("{text}T00:00:00Z") } else { text.to_owned() };
    // jiff takes more forms than RFC 3339 has; a contract keeps to the one that everybody reads alike.
    let shaped = whole.len() >= 20
        && whole.is_ascii()
        && whole.as_bytes()[10] == b'T'
        && whole.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b':' | b'.' | b'T' | b'Z'));
    let offset = shaped && (whole.ends_with('Z') || matches!(whole.as_bytes()[whole.len() - 6], b'+' | b'-'));
    if !offset {
        return refusal("a point in time is a date, a time and an offset from UTC (RFC 3339)", instead);
    }
    whole.parse::<Timestamp>().or_else(|_| refusal("there is no such date or time", instead))
}

/// `127.0.0.1:8080`, `[::1]:8080`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Refusal> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() {
        let shown = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
        return refusal("the port is missing", format!("`{shown}:8080`"));
    }
    let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
    let why =
        "what a name resolves to can change, so a socket is bound to an IP address and a port (0 to 65535)";
    refusal(why, format!("`127.0.0.1:{}`, or another address of this host", port.unwrap_or("8080")))
}

/// What the names of keys begin with in a store that others may use too.
pub(crate) fn prefix(text: &str) -> Result<String, Refusal> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    refusal(
        "it is a part of every key, and operators type it",
        "1 to 64 characters of ASCII without spaces, such as `riparian:`",
    )
}

/// What RFC 4514 calls the types of a subject's parts; any other is its dotted number.
const SUBJECT_TYPES: [&str; 9] = ["CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID"];

/// A certificate's subject, as RFC 4514 writes it.
pub(crate) fn subject(text: &str) -> Result<String, Refusal> {
    let instead = "such as `CN=shop,O=acme`: the most specific part first, no spaces behind commas";
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' | '+' => parts.push(String::new()),
            '"' | ';' | '<' | '>' => {
                return refusal(format!("`{c}` stands there only behind a `\\`"), instead);
            }
            '\\' => match chars.next() {
                Some(escaped) => parts.last_mut().expect("there is one").push(escaped),
                None => return refusal("nothing follows the last `\\`", instead),
            },
            other => parts.last_mut().expect("there is one").push(other),
        }
    }
    for part in &parts {
        let Some((kind, _)) = part.split_once('=') else {
            return refusal(format!("`{part}` is no type, `=` and value"), instead);
        };
        let is_number = kind.contains('.') && kind.chars().all(|c| c.is_ascii_digit() || c == '.');
        if !is_number && !SUBJECT_TYPES.contains(&kind) {
            let why = format!("`{kind}` is none of {}, and no dotted number", quoted(&SUBJECT_TYPES));
            return refusal(why, instead);
        }
    }
    Ok(text.to_owned())
}

/// Whether `text` can name an environment variable everywhere.
pub(crate) fn variable(text: &str) -> Result<String, Refusal> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if fits {
        return Ok(text.to_owned());
    }
    let why = "the name of an environment variable has letters, digits and `_`; the secret itself never stands here";
    refusal(why, "the variable's name, such as `AZURE_OPENAI_API_KEY`")
}

/// A header's name, in lower case.
pub(crate) fn header(text: &str) -> Result<String, Refusal> {
    let fits =
        !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits {
        // `_` is a legal character, but many servers read it as `-`: two spellings of one name are a way around a check.
        return refusal("a header's name here has 1 to 64 letters, digits and `-`", "such as `x-session-id`");
    }
    let name = text.to_ascii_lowercase();
    let reserved = name.starts_with("x-riparian") || RESERVED.contains(&name.as_str());
    if reserved {
        let why = "that header already means something else to the proxy, to HTTP or to an endpoint";
        return refusal(why, "a header of its own, such as `x-session-id`");
    }
    Ok(name)
}

/// Headers that cannot name a session: credentials, framing, hop-by-hop, routing.
const RESERVED: [&str; 37] = [
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "ocp-apim-subscription-key",
    "openai-organization",
    "openai-project",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-real-ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(span("500ms", false), Ok(Duration::from_millis(500)));
        assert_eq!(span("30d", false), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(span("0", true), Ok(Duration::ZERO));
        for bad in ["", "10", "s", "0s", "1.5s", "-1s", "10 s", "10S", "99999999999999999999s", "4000d", "1w"]
        {
            assert!(span(bad, false).is_err(), "{bad:?} is no span");
        }
        assert!(span("10", false).expect_err("no unit").instead.contains("`10s`"));
    }

    #[test]
    fn decimals_are_exact() {
        for (text, millionths) in
            [("0", 0), ("1", 1_000_000), ("1.25", 1_250_000), ("0.000001", 1), ("100.000000", 100_000_000)]
        {
            assert_eq!(decimal(text, 100), Ok(Millionths(millionths)), "{text}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000001",
            "100.000001",
            "1_000",
            "99999999999999999999",
            "1.2.3",
        ] {
            assert!(decimal(bad, 100).is_err(), "{bad:?} is no decimal");
        }
        assert_eq!(
            ["1.25", "20", "0.000001"].map(|text| decimal(text, 100).expect("a decimal").to_string()),
            ["1.25", "20", "0.000001"]
        );
    }

    #[test]
    fn subjects_are_as_rfc_4514_writes_them() {
        for good in
            ["CN=shop,O=acme", "O=Sue\\, Grabbit,C=GB", "UID=a+CN=b", "1.2.840.113549.1.9.1=#1600", "CN= a"]
        {
            assert_eq!(subject(good).as_deref(), Ok(good));
        }
        for bad in ["", "shop", "CN=shop, O=acme", "cn=shop", "CN=a;O=b", "CN=a\\", "/CN=shop", "CN=shop,"] {
            assert!(subject(bad).is_err(), "{bad:?} is no subject");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("32KiB", 1), Ok(32 << 10));
        assert_eq!(size("4096B", 1), Ok(4096));
        for bad in
            ["", "32", "0B", "MiB", "1.5MiB", "32MB", "32mib", "99999999999999999999GiB", "2048GiB", "é"]
        {
            assert!(size(bad, 1).is_err(), "{bad:?} is no size");
        }
        assert_eq!(size("32MB", 1).expect_err("decimal").instead, "`32MiB`");
    }

    #[test]
    fn instants_are_rfc_3339_or_a_date() {
        let due = "2026-02-27T00:00:00Z".parse::<Timestamp>().expect("an instant");
        assert_eq!(instant("2026-02-27"), Ok(due));
        assert_eq!(instant("2026-02-27T00:00:00Z"), Ok(due));
        assert_eq!(instant("2026-02-27T01:00:00+01:00"), Ok(due));
        for bad in [
            "",
            "2026-02-30",
            "2026-2-27",
            "2026-02-27T00:00:00",
            "2026-02-27 00:00:00Z",
            "27.02.2026",
            "20260227T000000Z",
            "now",
            "2026-02-27T00:00:00+01:00[Europe/Berlin]",
        ] {
            assert!(instant(bad).is_err(), "{bad:?} is no instant");
        }
    }

    #[test]
    fn addresses_are_literal() {
        assert!(address("[::1]:0").is_ok());
        for bad in ["localhost:8080", ":8080", "127.0.0.1", "::1", "127.0.0.1:70000", ""] {
            assert!(address(bad).is_err(), "{bad:?} is no address");
        }
    }

    #[test]
    fn a_reserved_header_names_no_session_in_any_spelling() {
        assert_eq!(header("X-Session-Id").as_deref(), Ok("x-session-id"));
        for bad in ["X-Riparian-Session", "x-riparian", "Authorization", "HOST", "x_session", "", "a b"] {
            assert!(header(bad).is_err(), "{bad:?} names no session");
        }
    }
}
