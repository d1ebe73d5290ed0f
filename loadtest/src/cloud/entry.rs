//! A request's line in the journal, from its head to its end. Whoever drops it without settling it was cut off: the other
//! side went away.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::request::Parts;

use super::journal::End;
use super::record::{Credential, NONCE_HEADER, Outcome, Seen};
use super::serve::Site;
use super::spec::Kind;

pub(crate) struct Entry {
    site: Arc<Site>,
    number: u64,
    at: Instant,
    /// What is known so far; the outcome in it is of no meaning before the end.
    pub(crate) end: End,
    pub(crate) status: u16,
    settled: bool,
}

impl Entry {
    pub(crate) fn enter(site: &Arc<Site>, head: &Parts) -> (Entry, Credential, Option<String>) {
        let (credential, stray_credential) = credential(site.spec.kind, &site.spec.credential, &head.headers);
        let nonce = text(&head.headers, NONCE_HEADER);
        let at = Instant::now();
        let number = site.journal.enter(Seen {
            number: 0,
            at,
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            version: head.version,
            operation: None,
            model: None,
            body_model: None,
            body_bytes: 0,
            body_sha256: [0; 32],
            headers: headers(&site.spec.credential, head),
            credential,
            stray_credential,
            nonce: nonce.clone(),
            stream: false,
            created: Vec::new(),
            cited: Vec::new(),
            status: 0,
            answer_bytes: 0,
            answer_sha256: [0; 32],
            outcome: Outcome::Open,
            client_gone_after: None,
        });
        let end = End { outcome: Outcome::Open, body_bytes: 0, stream: false, creates: false, cites: false };
        let entry = Entry { site: Arc::clone(site), number, at, end, status: 0, settled: false };
        (entry, credential, nonce)
    }

    /// Writes down what has been found out.
    pub(crate) fn amend(&self, change: impl FnOnce(&mut Seen)) {
        self.site.journal.amend(self.number, change);
    }

    pub(crate) fn digests(&self) -> bool {
        self.site.spec.digest
    }

    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        self.settled = true;
        self.end.outcome = outcome;
        let (status, gone) = (self.status, outcome == Outcome::ClientGone);
        let after = gone.then(|| self.at.elapsed());
        self.site.journal.settle(self.number, &self.end, |seen| {
            seen.status = status;
            seen.client_gone_after = after;
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.settled {
            self.finish(Outcome::ClientGone);
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The key that a credential header carries, without its scheme.
fn key(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    match name {
        "authorization" => {
            let scheme = value.get(..7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| value[7..].trim_ascii().to_vec())
        }
        _ => Some(value.trim_ascii().to_vec()),
    }
}

const CREDENTIAL_HEADERS: [&str; 5] =
    ["authorization", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token"];

/// What the headers that this kind of cloud reads amount to, and whether any other credential came along.
fn credential(kind: Kind, own: &str, headers: &HeaderMap) -> (Credential, bool) {
    let read: &[&str] = match kind {
        Kind::Azure => &["api-key", "authorization"],
        Kind::Bedrock | Kind::OpenAi => &["authorization"],
    };
    let (mut found, mut right, mut stray) = (false, false, false);
    for name in CREDENTIAL_HEADERS {
        for value in headers.get_all(name) {
            let matches = key(name, value.as_bytes()).is_some_and(|key| key == own.as_bytes());
            found |= read.contains(&name);
            right |= matches && read.contains(&name);
            stray |= !matches;
        }
    }
    let credential = match (found, right) {
        (_, true) => Credential::Right,
        (true, false) => Credential::Wrong,
        (false, false) => Credential::Absent,
    };
    (credential, stray)
}

/// The headers worth keeping, credentials replaced by whether they were right.
fn headers(own: &str, head: &Parts) -> Vec<(String, String)> {
    let authority = head.uri.authority().map(|authority| ("host".to_owned(), authority.to_string()));
    let kept = head.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        if CREDENTIAL_HEADERS.contains(&name) {
            let right = key(name, value.as_bytes()).is_some_and(|key| key == own.as_bytes());
            return Some((name.to_owned(), if right { "right" } else { "wrong" }.to_owned()));
        }
        worth_keeping(name).then(|| (name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    authority.into_iter().chain(kept).collect()
}

fn worth_keeping(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "transfer-encoding",
        "te",
        "connection",
        "traceparent",
        "baggage",
    ];
    ["x-", "content-", "openai-"].iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, pairs: &[(&'static str, &'static str)]) -> (Credential, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        credential(kind, "k", &headers)
    }

    #[test]
    fn each_kind_reads_its_own_headers() {
        use Credential::{Absent, Right, Wrong};
        let table = [
            (Kind::Azure, vec![("api-key", "k")], (Right, false)),
            (Kind::Azure, vec![("authorization", "Bearer k")], (Right, false)),
            (Kind::Azure, vec![("api-key", "k"), ("authorization", "Bearer client")], (Right, true)),
            (Kind::OpenAi, vec![("api-key", "k")], (Absent, false)),
            (Kind::OpenAi, vec![("authorization", "bearer k")], (Right, false)),
            (Kind::Bedrock, vec![("authorization", "k")], (Wrong, true)),
            (Kind::Bedrock, vec![], (Absent, false)),
        ];
        for (kind, pairs, expected) in table {
            assert_eq!(judged(kind, &pairs), expected, "{kind:?} {pairs:?}");
        }
    }
}
