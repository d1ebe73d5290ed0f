//! A request's line in the journal, from its head to its end. Whoever drops it without settling it was cut off: the other
//! side went away.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::asserted::asserted;
use super::core::cores;
use super::family::Family;
use super::fleet::{Arrival, Shown, TENANT_HEADER};
use super::journal::End;
use super::record::{Credential, NONCE_HEADER, Outcome, Seen};
use super::serve::Site;
use super::sigv4;
use super::spec::{CloudSpec, Kind};

pub(crate) struct Entry {
    site: Arc<Site>,
    number: u64,
    at: Instant,
    /// What is known so far; the outcome in it is of no meaning before the end.
    pub(crate) end: End,
    pub(crate) status: u16,
    tenant: Option<String>,
    settled: bool,
}

impl Entry {
    pub(crate) fn enter(site: &Arc<Site>, head: &Parts) -> (Entry, Credential, Option<String>) {
        let (credential, stray_credential) = credential(&site.spec, &head.headers, head.uri.query());
        let nonce = text(&head.headers, NONCE_HEADER);
        let (at, tenant) = (Instant::now(), text(&head.headers, TENANT_HEADER));
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
            headers: headers(&site.spec, head),
            credential,
            stray_credential,
            nonce: nonce.clone(),
            tenant: tenant.clone(),
            misplaced: false,
            foreign_tenant: false,
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
        let entry = Entry { site: Arc::clone(site), number, at, end, status: 0, tenant, settled: false };
        (entry, credential, nonce)
    }

    /// Asks the fleet what it makes of a request that has arrived, before anything is judged or played.
    pub(crate) fn arrived(&self, head: &Parts, body: &[u8]) {
        let site = &self.site;
        let line = format!("{} {}", head.method, head.uri.path());
        let mut brought = cores(percent_decode_str(self.target(head)).collect::<Vec<u8>>().as_slice());
        for (name, value) in &head.headers {
            if !CREDENTIAL_HEADERS.contains(&name.as_str()) {
                brought.extend(cores(value.as_bytes()));
            }
        }
        brought.extend(cores(&body[..body.len().min(SCANNED_BYTES_MAX)]));
        brought.sort_unstable();
        brought.dedup();
        let asserted: Vec<String> =
            site.spec.speaks.iter().flat_map(|&family| asserted(family, head, body)).collect();
        self.show(head, &line, &brought, &asserted);
    }

    /// The same for a message on a socket, whose request was `head`.
    pub(crate) fn message(&self, head: &Parts, text: &str) {
        let line = format!("message at {}", head.uri.path());
        self.show(head, &line, &cores(text.as_bytes()), &[]);
    }

    fn show(&self, head: &Parts, line: &str, cores: &[String], asserted: &[String]) {
        if cores.is_empty() && asserted.is_empty() {
            return;
        }
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let arrival = Arrival {
            cloud: &self.site.name,
            tenant: self.tenant.as_deref(),
            nonce: header(NONCE_HEADER).unwrap_or_default(),
            line,
            cores,
            asserted,
        };
        let shown = self.site.spec.fleet.arrive(&arrival);
        if shown != Shown::default() {
            self.site.journal.shown(self.number, shown);
        }
    }

    /// Tells the fleet what an answer gives, before its first byte leaves.
    pub(crate) fn gives(&self, answer: &[u8]) {
        if let Some(tenant) = &self.tenant {
            self.site.spec.fleet.born(tenant, &cores(answer));
        }
    }

    fn target<'a>(&self, head: &'a Parts) -> &'a str {
        head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str)
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

/// As much of a body is searched for handles: far more than any request of a state test has.
const SCANNED_BYTES_MAX: usize = 256 << 10;

/// Whether a credential header carries the cloud's own key. Of a signature only its access key is looked at here: whether it
/// is right can be said only when the body has arrived.
fn matches(spec: &CloudSpec, name: &str, value: &[u8]) -> bool {
    let own = spec.credential.as_bytes();
    if name != "authorization" {
        return value.trim_ascii() == own;
    }
    let bearer = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    if bearer { value[7..].trim_ascii() == own } else { sigv4::access_key(value) == Some(&spec.access_key) }
}

const CREDENTIAL_HEADERS: [&str; 5] =
    ["authorization", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token"];

/// What the headers that this cloud reads amount to, and whether any other credential came along.
fn credential(spec: &CloudSpec, headers: &HeaderMap, query: Option<&str>) -> (Credential, bool) {
    let speaks = |family| spec.speaks.contains(&family);
    let mut read = vec!["authorization"];
    if spec.kind == Kind::Azure && speaks(Family::OpenAi) {
        read.push("api-key");
    }
    read.extend(spec.speaks.iter().flat_map(|family| family.credential_headers()));
    let (mut found, mut right, mut stray) = (false, false, false);
    for name in CREDENTIAL_HEADERS {
        for value in headers.get_all(name) {
            let matches = matches(spec, name, value.as_bytes());
            found |= read.contains(&name);
            right |= matches && read.contains(&name);
            stray |= !matches;
        }
    }
    if speaks(Family::Google)
        && let Some(key) = super::visit::query(query, "key")
    {
        found = true;
        right |= key == spec.credential;
        stray |= key != spec.credential;
    }
    let credential = match (found, right) {
        (_, true) => Credential::Right,
        (true, false) => Credential::Wrong,
        (false, false) => Credential::Absent,
    };
    (credential, stray)
}

/// The headers worth keeping, credentials replaced by whether they were right.
fn headers(spec: &CloudSpec, head: &Parts) -> Vec<(String, String)> {
    let authority = head.uri.authority().map(|authority| ("host".to_owned(), authority.to_string()));
    let kept = head.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        if CREDENTIAL_HEADERS.contains(&name) {
            let right = matches(spec, name, value.as_bytes());
            return Some((name.to_owned(), if right { "right" } else { "wrong" }.to_owned()));
        }
        worth_keeping(name).then(|| (name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    authority.into_iter().chain(kept).collect()
}

fn worth_keeping(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "host",
        "mcp-session-id",
        "mcp-protocol-version",
        "last-event-id",
        "user-agent",
        "accept",
        "accept-encoding",
        "transfer-encoding",
        "te",
        "connection",
        "traceparent",
        "baggage",
    ];
    ["x-", "content-", "openai-", "anthropic-"].iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, pairs: &[(&'static str, &'static str)]) -> (Credential, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        let mut spec = CloudSpec::new(kind, "c").credential("k");
        spec.access_key = "AKIDEXAMPLE".to_owned();
        credential(&spec, &headers, None)
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
            (
                Kind::Bedrock,
                vec![(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
                     SignedHeaders=host, Signature=0",
                )],
                (Right, false),
            ),
        ];
        for (kind, pairs, expected) in table {
            assert_eq!(judged(kind, &pairs), expected, "{kind:?} {pairs:?}");
        }
    }
}
