use super::*;
use proptest::prelude::*;

/// What is left of a payload that comes in these pieces.
fn read<'p>(
    unwrapper: &mut Unwrapper,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Vec<u8>, NotBase64> {
    let mut left = Vec::new();
    let mut broken = false;
    for piece in pieces {
        let result = unwrapper.feed(piece, |some| {
            assert!(!broken, "nothing comes after an error");
            left.extend_from_slice(some);
        });
        assert!(!broken || piece.is_empty() || result.is_err(), "an error stays");
        broken |= result.is_err();
    }
    let result = unwrapper.end(|some| left.extend_from_slice(some));
    assert!(!broken || result.is_err(), "an error stays");
    result.map(|()| left)
}

/// Whole, byte by byte and cut in two at every byte, one payload behind the other: always the same.
fn anyhow(payload: &[u8]) -> Result<Vec<u8>, NotBase64> {
    let mut unwrapper = Unwrapper::default();
    let whole = read(&mut unwrapper, [payload]);
    assert_eq!(read(&mut unwrapper, payload.chunks(1)), whole, "byte by byte");
    for cut in 0..=payload.len() {
        let pieces = [&payload[..cut], &[], &payload[cut..]];
        assert_eq!(read(&mut unwrapper, pieces), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn a_wrapped_payload_is_decoded() {
    for payload in [
        r#"{"bytes":"eyJhIjoiPz8/In0=","p":"abcdefghij"}"#,
        "\n{ \"bytes\"\t:\r \"eyJhIjoiPz8/In0=\" }",
        r#"{"bytes":"eyJhIjoiPz8\/In0\u003d"}"#,
        r#"{"bytes":"\u0065\u0079\u004ahIjoiPz8\u002FIn0="}"#,
    ] {
        assert_eq!(anyhow(payload.as_bytes()).unwrap(), br#"{"a":"???"}"#, "{payload}");
    }
    assert_eq!(anyhow(br#"{"bytes":""}"#).unwrap(), b"");
}

#[test]
fn any_other_payload_is_handed_on() {
    for payload in [
        "",
        "{",
        "{}",
        "[]",
        "{\"byte\":\"e30=\"}",
        "{\"bytes\":null}",
        "{\"bytes\":{\"bytes\":\"e30=\"}}",
        "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"},\"p\":\"abc\"}",
        "{\"attribution\":{},\"bytes\":\"e30=\"}",
        "{\x0c\"bytes\":\"e30=\"}",
        "{                                  \"bytes\":\"e30=\"}",
        "bytes\":\"e30=",
        "{\"bytes\"",
    ] {
        assert_eq!(anyhow(payload.as_bytes()).unwrap(), payload.as_bytes(), "{payload}");
    }
}

#[test]
fn what_is_no_base64_is_refused() {
    for string in [
        "e30",
        "e30==",
        "e3=0",
        "e30=e30=",
        "e30=\\u003d",
        "e 0=",
        "é30=",
        "e3\\n0=",
        "e3\\u00e90",
        "\\u00g0",
        "====",
        "=",
    ] {
        let payload = format!("{{\"bytes\":\"{string}\"}}");
        assert_eq!(anyhow(payload.as_bytes()), Err(NotBase64), "{payload}");
    }
    for payload in ["{\"bytes\":\"", "{\"bytes\":\"e30=", "{\"bytes\":\"e30=\\", "{\"bytes\":\"e30\\u003d"] {
        assert_eq!(anyhow(payload.as_bytes()), Err(NotBase64), "{payload}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_back(inner in proptest::collection::vec(any::<u8>(), 0..4000), at in 0..6000_usize, padding in "[a-zA-Z0-9]{0,20}") {
        let payload = format!("{{\"bytes\":\"{}\",\"p\":\"{padding}\"}}", STANDARD.encode(&inner)).into_bytes();
        let (first, second) = payload.split_at(at.min(payload.len()));
        prop_assert_eq!(read(&mut Unwrapper::default(), [first, second]).unwrap(), inner);
    }

    #[test]
    fn any_bytes_are_read_or_refused(string in "[eyJ0=\\\\u/\"3d]{0,16}") {
        let payload = format!("{{\"bytes\":\"{string}\"}}");
        let read = anyhow(payload.as_bytes());
        let escaped = format!("\"{}\"", string.split('"').next().unwrap_or_default());
        // A quote within ends the string; what stands behind it is passed over.
        let closed = !string.contains('\\') || serde_json::from_str::<String>(&escaped).is_ok();
        if closed {
            let text: String = serde_json::from_str(&escaped).unwrap();
            prop_assert_eq!(read.ok(), STANDARD.decode(text).ok());
        }
    }
}
