//! The one door by which refusals leave, in the client's dialect.
//!
//! The envelope is that of the request's family ([`envelope`](mod@envelope)), so that an unchanged SDK raises the exception that fits the
//! status. SDKs retry 408, 409, 429 and 5xx: a contract refusal is none of
//! those, and says `x-should-retry: false` besides. The message names no host, no credential and no other tenant.

mod envelope;

use crate::record::Record;
use crate::relay::buffer::{self, Buffer};
use crate::relay::client::{Client, Unreachable};
use crate::relay::head::AnswerHead;
use bytes::Bytes;
use envelope::{Envelope, Told};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use riparian_filters::decision::Reason;
use std::time::Duration;

/// A refusal, with what the client may know.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// More precisely: a fault's place, a parameter's name. Never a byte of the request.
    pub detail: Option<String>,
    /// The parameter that it is about, as the vendor would name it.
    pub param: Option<String>,
    /// The status, where it is not the reason's own.
    pub status: u16,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, param: None, status: reason.status() }
    }
}

impl Refusal {
    /// The same, with a detail.
    #[must_use]
    pub fn with(reason: Reason, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(reason) }
    }

    /// The envelope.
    #[must_use]
    pub fn body(&self, record: &Record) -> Bytes {
        let mut message = self.reason.advice().to_owned();
        if let Some(detail) = &self.detail {
            message.push_str(" (");
            message.push_str(detail);
            message.push(')');
        }
        let terms: Vec<_> = record.terms().collect();
        for term in &terms {
            message.push_str(&format!(" Term {}", term.id));
            if let Some(cite) = &term.cite {
                message.push_str(&format!(": {cite}"));
            }
            message.push('.');
        }
        message.push_str(&format!(" Decision {}.", record.id));
        let ids: Vec<_> = terms.iter().map(|term| term.id.as_str()).collect();
        let told = Told {
            reason: self.reason,
            status: self.status,
            message: &message,
            param: self.param.as_deref(),
            decision: &record.id.to_string(),
            terms: &ids,
        };
        Bytes::from(envelope(record).body(&told).to_string())
    }

    fn retry_after(&self, record: &Record) -> Option<u64> {
        self.reason.is_passing().then(|| record.retry_after_seconds())
    }

    /// Head and body.
    fn answer(&self, record: &Record) -> (AnswerHead, Bytes) {
        let body = self.body(record);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut head = AnswerHead::new(status);
        let lines = &mut head.lines;
        lines.push(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        lines.push(CONTENT_LENGTH, body.len().into());
        lines.push(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.retry_after(record) {
            Some(seconds) => lines.push(RETRY_AFTER, seconds.into()),
            None => lines.push(SHOULD_RETRY, HeaderValue::from_static("false")),
        };
        if self.reason == Reason::UpgradeRefused {
            // RFC 9110, 15.5.22: the answer must say what to upgrade to; plain HTTP is what is on offer.
            lines.push(http::header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
        }
        if matches!(self.reason, Reason::UpgradeRequired | Reason::SocketVersion) {
            lines.push(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if self.reason == Reason::SocketVersion {
            // RFC 6455, 4.4: the versions that are spoken.
            lines.push(http::header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if self.reason == Reason::UnknownCaller {
            // RFC 9110, 15.5.2: the answer must say how to prove who asks. Keys in vendors' own headers have no scheme.
            lines.push(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.reason == Reason::MethodRefused {
            lines.push(http::header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
        }
        if let Some(exception) = envelope(record).exception(self.status) {
            lines.push(EXCEPTION, HeaderValue::from_static(exception));
        }
        record.tag(lines);
        (head, body)
    }

    /// Answers a client. The connection is closed behind it when the request's body has not been read to its end, or when what
    /// follows may be meant for another protocol.
    pub(crate) async fn send(
        &self,
        client: &mut Client<'_>,
        record: &Record,
        within: Duration,
    ) -> Result<(), Unreachable> {
        if !client.has_read_body() || matches!(self.reason, Reason::UpgradeRefused | Reason::SocketVersion) {
            client.close_behind();
        }
        let (head, body) = self.answer(record);
        let without = record.method == http::Method::HEAD;
        client.head(head, &record.method, without)?;
        if without {
            return client.end(None, within).await;
        }
        let mut pieces = body.chunks(buffer::SIZE).peekable();
        while let Some(piece) = pieces.next() {
            client.write(Buffer::with(piece), pieces.peek().is_none(), within).await?;
        }
        Ok(())
    }
}

/// The envelope of the request's family; of an operation that nobody knows, OpenAI's.
fn envelope(record: &Record) -> Envelope {
    let policy = &record.snapshot.policy;
    record.surface.map_or(Envelope::OpenAi, |surface| {
        let family = &policy.config.surfaces.families[policy.surface(surface).family];
        Envelope::of(family.name.as_str())
    })
}

/// Where AWS SDKs look for the exception's name.
const EXCEPTION: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Stainless SDKs (openai, anthropic) obey it above the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
