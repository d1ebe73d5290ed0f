//! The one door by which refusals leave, in the client's dialect.
//!
//! The envelope is OpenAI's (`{"error": {"message", "type", "param", "code"}}`), which Azure and Bedrock's compatible paths share, so that an
//! unchanged SDK raises the exception that fits the status. SDKs retry 408, 409, 429 and 5xx: a contract refusal is none of
//! those, and says `x-should-retry: false` besides. The message names no host, no credential and no other tenant.

use crate::record::Record;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use riparian_filters::decision::Reason;
use serde_json::json;

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

    /// `error.type`, as the vendor words it for this status.
    fn kind(&self) -> &'static str {
        match self.status {
            403 => "permission_error",
            404 => "not_found_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
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
        let error = json!({
            "message": message,
            "type": self.kind(),
            "param": self.param,
            "code": self.reason.as_str(),
            "decision": record.id.to_string(),
            "terms": ids,
        });
        Bytes::from(json!({ "error": error }).to_string())
    }

    fn retry_after(&self, record: &Record) -> Option<u64> {
        self.reason.is_passing().then(|| record.retry_after_seconds())
    }

    /// Status, headers and body.
    ///
    /// # Errors
    /// Never in practice: every name and value is a valid one.
    pub fn response(&self, record: &Record) -> Result<(ResponseHeader, Bytes)> {
        let body = self.body(record);
        let mut response = ResponseHeader::build(self.status, Some(14))?;
        response.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
        response.insert_header(CONTENT_LENGTH, body.len())?;
        response.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
        match self.retry_after(record) {
            Some(seconds) => response.insert_header(RETRY_AFTER, seconds)?,
            None => response.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"))?,
        }
        if self.reason == Reason::UpgradeRefused {
            // RFC 9110, 15.5.22: the answer must say what to upgrade to; plain HTTP is what is on offer.
            response.insert_header(http::header::UPGRADE, HeaderValue::from_static("HTTP/1.1"))?;
        }
        if self.reason == Reason::MethodRefused {
            response.insert_header(http::header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"))?;
        }
        record.tag(&mut response)?;
        Ok((response, body))
    }

    /// Answers over a session. The connection is closed behind it when the request's body has not been read to its end, or when
    /// what follows may be meant for another protocol.
    pub(crate) async fn send(&self, session: &mut Session, record: &Record) -> Result<()> {
        let unread = !session.as_mut().is_body_done();
        self.write(session, record, unread || self.reason == Reason::UpgradeRefused).await
    }

    /// Answers over a session whose connection is closed behind it.
    pub(crate) async fn send_and_close(&self, session: &mut Session, record: &Record) -> Result<()> {
        self.write(session, record, true).await
    }

    async fn write(&self, session: &mut Session, record: &Record, close: bool) -> Result<()> {
        let (mut response, body) = self.response(record)?;
        if close {
            session.set_keepalive(None);
            if session.req_header().version != http::Version::HTTP_2 {
                response.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
            }
        }
        let no_body = session.req_header().method == http::Method::HEAD;
        session.write_response_header(Box::new(response), no_body).await?;
        if !no_body {
            session.write_response_body(Some(body), true).await?;
        }
        Ok(())
    }
}

/// Stainless SDKs (openai, anthropic) obey it above the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
