//! The part of an id that says who minted it: 32 hex digits, of which the first 16 are the cloud's mark in this run. It is
//! found wherever it stands (path, header, body, blob), so that a misplaced handle is noticed even in a request that no
//! operation understands or that a fault ends before it is judged.

/// Hex digits of a core.
const DIGITS: usize = 32;
/// The lengths of a UUID's groups, which some ids are written in.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];
/// Hex digits of a mark.
pub(crate) const MARK: usize = 16;

/// The cores in `bytes`, in order, each once. Other things of 32 digits are among them: only a known mark tells.
pub(crate) fn cores(bytes: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let within = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-');
    let mut at = 0;
    while at < bytes.len() {
        // A core takes 32 bytes, so a run that is not there at its last byte cannot begin here: most bytes are never read.
        let last = at + DIGITS - 1;
        if last >= bytes.len() {
            break;
        }
        if let Some(gap) = (at..=last).rev().find(|&index| !within(bytes[index])) {
            at = gap + 1;
            continue;
        }
        let length = bytes[at..].iter().position(|&byte| !within(byte)).unwrap_or(bytes.len() - at);
        let run = std::str::from_utf8(&bytes[at..at + length]).expect("hex digits and dashes are ASCII");
        for core in of_run(run) {
            if !found.contains(&core) {
                found.push(core);
            }
        }
        at += length;
    }
    found
}

fn of_run(run: &str) -> Vec<String> {
    let pieces: Vec<&str> = run.split('-').collect();
    let plain = pieces.iter().filter(|piece| piece.len() == DIGITS).map(|&piece| piece.to_owned());
    let grouped = pieces.windows(UUID.len()).filter(|groups| groups.iter().map(|group| group.len()).eq(UUID));
    plain.chain(grouped.map(<[&str]>::concat)).collect()
}

/// A core in the shape of a UUID.
pub(crate) fn uuid(core: &str) -> String {
    let mut text = String::with_capacity(36);
    let mut at = 0;
    for (index, length) in UUID.into_iter().enumerate() {
        if index > 0 {
            text.push('-');
        }
        text.push_str(&core[at..at + length]);
        at += length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_core_is_found_wherever_it_stands() {
        let uuid = uuid(CORE);
        let shapes = [
            format!("resp_{CORE}"),
            format!("file-{CORE}"),
            format!("gAAZ{CORE}Qxx"),
            format!("e-{uuid}"),
            uuid,
        ];
        for text in shapes {
            assert_eq!(cores(text.as_bytes()), [CORE], "{text}");
            let body = format!("{{\"a\":\"deadbeef\",\"id\":\"{text}\",\"again\":\"{text}\"}}");
            assert_eq!(cores(body.as_bytes()), [CORE], "{body}");
        }
    }

    #[test]
    fn longer_and_shorter_runs_are_none() {
        for text in [&CORE[1..], &format!("{CORE}0"), "", "-", "0123456-89ab-cdef-0123-456789abcdef"] {
            assert!(cores(text.as_bytes()).is_empty(), "{text:?}");
        }
    }
}
