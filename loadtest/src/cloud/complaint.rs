//! What a cloud says when it will not do what it was asked: the status, the envelope of its vendor, and what is counted.

use serde_json::{Value, json};

use super::record::Outcome;
use super::route::Miss;
use super::spec::Kind;

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) body: Value,
    /// Headers beside the usual ones.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Complaint {
    /// The OpenAI envelope, which Azure and Bedrock use for what goes wrong within an operation.
    pub(crate) fn vendor(
        status: u16,
        outcome: Outcome,
        message: &str,
        param: Option<&str>,
        code: Option<&str>,
    ) -> Self {
        let kind = if status >= 500 { "server_error" } else { "invalid_request_error" };
        let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        Complaint { status, outcome, body, headers: Vec::new() }
    }

    /// Azure's front door, which answers before an operation is reached.
    fn azure(status: u16, outcome: Outcome, code: &str, message: &str) -> Self {
        let body = json!({"error": {"code": code, "message": message}});
        Complaint { status, outcome, body, headers: Vec::new() }
    }

    pub(crate) fn wrong_credential(kind: Kind) -> Self {
        let outcome = Outcome::WrongCredential;
        match kind {
            Kind::Azure => Self::azure(
                401,
                outcome,
                "401",
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key \
                 for an active subscription and use a correct regional API endpoint for your resource.",
            ),
            Kind::Bedrock | Kind::OpenAi => {
                Self::vendor(401, outcome, "Incorrect API key provided.", None, Some("invalid_api_key"))
            }
        }
    }

    pub(crate) fn wrong_model(kind: Kind, model: &str) -> Self {
        let outcome = Outcome::WrongModel;
        match kind {
            Kind::Azure => Self::azure(
                404,
                outcome,
                "DeploymentNotFound",
                "The API deployment for this resource does not exist. If you created the deployment within the last 5 \
                 minutes, please wait a moment and try again.",
            ),
            Kind::Bedrock | Kind::OpenAi => {
                let message = format!("The model `{model}` does not exist or you do not have access to it.");
                Self::vendor(404, outcome, &message, None, Some("model_not_found"))
            }
        }
    }

    pub(crate) fn missed(kind: Kind, miss: &Miss, method: &str, path: &str) -> Self {
        let outcome = Outcome::UnknownPath;
        match (kind, miss) {
            (_, Miss::ApiVersion) => Self::azure(400, outcome, "BadRequest", "API version not supported"),
            (Kind::Azure, Miss::Path) => Self::azure(404, outcome, "404", "Resource not found"),
            (_, Miss::Path) => {
                Self::vendor(404, outcome, &format!("Invalid URL ({method} {path})"), None, None)
            }
        }
    }

    pub(crate) fn wrong_host() -> Self {
        Self::vendor(
            421,
            Outcome::WrongHost,
            "This host is not served here.",
            None,
            Some("misdirected_request"),
        )
    }

    pub(crate) fn bad_body(message: &str, param: Option<&str>) -> Self {
        Self::vendor(400, Outcome::BadBody, message, param, None)
    }

    pub(crate) fn unsupported(message: &str, param: &str) -> Self {
        Self::vendor(400, Outcome::BadBody, message, Some(param), Some("unsupported_parameter"))
    }

    pub(crate) fn too_large() -> Self {
        Self::vendor(413, Outcome::BadBody, "The request is too large.", None, Some("request_too_large"))
    }

    pub(crate) fn unknown_previous(id: &str, outcome: Outcome) -> Self {
        let message = format!("Previous response with id '{id}' not found.");
        Self::vendor(
            400,
            outcome,
            &message,
            Some("previous_response_id"),
            Some("previous_response_not_found"),
        )
    }

    /// An item that is cited by its id alone.
    pub(crate) fn unknown_item(id: &str, outcome: Outcome) -> Self {
        let message = format!(
            "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with \
             `store` set to true, or remove this item from your input."
        );
        Self::vendor(404, outcome, &message, Some("input"), None)
    }

    /// A blob that does not open here.
    pub(crate) fn unopened(id: &str, outcome: Outcome) -> Self {
        let message = format!(
            "The encrypted content for item {id} could not be verified. Reason: Encrypted content could not be \
             decrypted or parsed."
        );
        Self::vendor(400, outcome, &message, None, Some("invalid_encrypted_content"))
    }

    /// The account keeps nothing, so nothing can be cited.
    pub(crate) fn zero_retention(what: &str, param: &str) -> Self {
        let message = format!("{what} cannot be used for this organization due to Zero Data Retention.");
        Self::vendor(400, Outcome::BadBody, &message, Some(param), Some("unsupported_parameter"))
    }

    pub(crate) fn conversation_locked() -> Self {
        let message =
            "Another process is currently operating on this conversation. Please retry in a few seconds.";
        Self::vendor(400, Outcome::Locked, message, None, Some("conversation_locked"))
    }

    /// A container within a response: expired ones are told otherwise than unknown ones.
    pub(crate) fn unknown_container(id: &str, outcome: Outcome) -> Self {
        match outcome {
            Outcome::GoneHandle => {
                Self::vendor(400, outcome, &format!("Expected container_id: {id}"), Some("tools"), None)
            }
            _ => Self::vendor(404, outcome, &format!("Container with id '{id}' not found."), None, None),
        }
    }

    /// Anything else of the OpenAI dialect that is not here.
    pub(crate) fn unknown_thing(what: &str, id: &str, outcome: Outcome) -> Self {
        Self::vendor(404, outcome, &format!("{what} with id '{id}' not found."), None, None)
    }

    pub(crate) fn unknown_conversation(id: &str, outcome: Outcome) -> Self {
        Self::vendor(404, outcome, &format!("Conversation with id '{id}' not found."), None, None)
    }

    /// Bedrock says the same, byte for byte, of an id that is unknown, somebody else's, or was never stored.
    pub(crate) fn unknown_response(kind: Kind, id: &str, outcome: Outcome) -> Self {
        match kind {
            Kind::Bedrock => Self::vendor(404, outcome, "Response not found.", None, Some("not_found")),
            Kind::Azure | Kind::OpenAi => {
                Self::vendor(404, outcome, &format!("Response with id '{id}' not found."), None, None)
            }
        }
    }

    pub(crate) fn fault(status: u16) -> Self {
        let (message, code) = match status {
            429 => ("Rate limit reached for requests.", "rate_limit_exceeded"),
            503 => ("The engine is currently overloaded, please try again later.", "service_unavailable"),
            _ => ("The server had an error while processing your request.", "server_error"),
        };
        let mut complaint = Self::vendor(status, Outcome::Faulted, message, None, Some(code));
        if status == 429 {
            complaint.body["error"]["type"] = "requests".into();
        }
        complaint
    }
}
