//! Which operation a path names, at a cloud of this kind. What the real one does not have is not here either.

use super::spec::Kind;

/// An operation of the OpenAI dialect, with the ids that its path carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Completions,
    Embeddings,
    Moderations,
    ImagesGenerate,
    ImagesEdit,
    Speech,
    Transcribe,
    ModelList,
    Model(String),
    ResponseCreate,
    ResponseRead(String),
    ResponseDelete(String),
    ResponseCancel(String),
    ResponseInputItems(String),
    ConversationCreate,
    ConversationRead(String),
    ConversationUpdate(String),
    ConversationDelete(String),
    /// One of the operations that read their body as a tree: see `openai`.
    More,
}

impl Operation {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Operation::Chat => "chat.create",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::Moderations => "moderations",
            Operation::ImagesGenerate => "images.generate",
            Operation::ImagesEdit => "images.edit",
            Operation::Speech => "audio.speech",
            Operation::Transcribe => "audio.transcribe",
            Operation::ModelList => "models.list",
            Operation::Model(_) => "models.get",
            Operation::ResponseCreate => "responses.create",
            Operation::ResponseRead(_) => "responses.get",
            Operation::ResponseDelete(_) => "responses.delete",
            Operation::ResponseCancel(_) => "responses.cancel",
            Operation::ResponseInputItems(_) => "responses.input_items",
            Operation::ConversationCreate => "conversations.create",
            Operation::ConversationRead(_) => "conversations.get",
            Operation::ConversationUpdate(_) => "conversations.update",
            Operation::ConversationDelete(_) => "conversations.delete",
            Operation::More => "more",
        }
    }
}

/// Where a request goes within the cloud.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    /// The deployment of an Azure dated path: it decides, whatever the body's `model` says.
    pub(crate) deployment: Option<String>,
}

/// Why a path names nothing here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// No such path, or not with this method, or a dated path without its `api-version`.
    Path,
    /// A dated `api-version` on Azure's undated v1 paths.
    ApiVersion,
}

pub(crate) fn route(kind: Kind, method: &str, path: &str, query: Option<&str>) -> Result<Route, Miss> {
    let plain = |rest| operation(kind, method, rest).map(|operation| Route { operation, deployment: None });
    match kind {
        Kind::OpenAi => plain(path.strip_prefix("/v1/").ok_or(Miss::Path)?),
        Kind::Bedrock => plain(path.strip_prefix("/openai/v1/").ok_or(Miss::Path)?),
        Kind::Azure => {
            let version = api_version(query);
            if let Some(rest) = path.strip_prefix("/openai/v1/") {
                return match version {
                    None | Some("v1" | "preview" | "latest") => plain(rest),
                    Some(_) => Err(Miss::ApiVersion),
                };
            }
            let rest = path.strip_prefix("/openai/").ok_or(Miss::Path)?;
            version.filter(|version| !version.is_empty()).ok_or(Miss::Path)?;
            let Some(rest) = rest.strip_prefix("deployments/") else {
                // Without a deployment in the path there are only the operations that keep state, and the list of models.
                let dated = [
                    "responses",
                    "conversations",
                    "models",
                    "files",
                    "batches",
                    "vector_stores",
                    "uploads",
                    "containers",
                ];
                let here = dated.contains(&rest.split('/').next().unwrap_or_default());
                return if here { plain(rest) } else { Err(Miss::Path) };
            };
            let (deployment, rest) = rest.split_once('/').ok_or(Miss::Path)?;
            let per_deployment = ["chat", "completions", "embeddings", "images", "audio"];
            if !per_deployment.contains(&rest.split('/').next().unwrap_or_default()) {
                return Err(Miss::Path);
            }
            Ok(Route { deployment: Some(deployment.to_owned()), ..plain(rest)? })
        }
    }
}

fn api_version(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("api-version="))
}

fn operation(kind: Kind, method: &str, rest: &str) -> Result<Operation, Miss> {
    let parts: Vec<&str> = rest.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Miss::Path);
    }
    let id = || parts[1].to_owned();
    let found = match (method, parts.as_slice()) {
        ("POST", ["chat", "completions"]) => Operation::Chat,
        ("POST", ["responses"]) => Operation::ResponseCreate,
        ("GET", ["responses", _]) => Operation::ResponseRead(id()),
        ("DELETE", ["responses", _]) => Operation::ResponseDelete(id()),
        ("POST", ["responses", _, "cancel"]) => Operation::ResponseCancel(id()),
        ("GET", ["models"]) => Operation::ModelList,
        ("GET", ["models", _]) => Operation::Model(id()),
        // The vendor's agents are served there too, beside the runtime's own paths.
        (_, ["agents", ..]) => Operation::More,
        _ if kind == Kind::Bedrock => return Err(Miss::Path),
        ("POST", ["completions"]) => Operation::Completions,
        ("POST", ["embeddings"]) => Operation::Embeddings,
        ("POST", ["moderations"]) => Operation::Moderations,
        ("POST", ["images", "generations"]) => Operation::ImagesGenerate,
        ("POST", ["images", "edits"]) => Operation::ImagesEdit,
        ("POST", ["audio", "speech"]) => Operation::Speech,
        ("POST", ["audio", "transcriptions" | "translations"]) => Operation::Transcribe,
        ("GET", ["responses", _, "input_items"]) => Operation::ResponseInputItems(id()),
        ("POST", ["conversations"]) => Operation::ConversationCreate,
        ("GET", ["conversations", _]) => Operation::ConversationRead(id()),
        ("POST", ["conversations", _]) => Operation::ConversationUpdate(id()),
        ("DELETE", ["conversations", _]) => Operation::ConversationDelete(id()),
        (_, ["conversations", _, "items", ..] | ["responses", "compact" | "input_tokens"])
        | ("GET", ["chat", "completions"])
        | (_, ["chat", "completions", _, ..])
        | (
            _,
            ["batches" | "containers" | "files" | "prompts" | "realtime" | "uploads" | "vector_stores", ..],
        ) => Operation::More,
        _ => return Err(Miss::Path),
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_paths_and_no_others() {
        use Kind::{Azure, Bedrock, OpenAi};
        let table = [
            (OpenAi, "POST /v1/chat/completions", Some("chat.create")),
            (OpenAi, "POST /openai/v1/chat/completions", None),
            (OpenAi, "GET /v1/chat/completions", Some("more")),
            (Bedrock, "GET /openai/v1/chat/completions", None),
            (Bedrock, "POST /openai/v1/containers", None),
            (Bedrock, "POST /openai/v1/agents/sessions", Some("more")),
            (Azure, "GET /openai/v1/containers/cntr_1/files", Some("more")),
            (OpenAi, "POST /v1//chat/completions", None),
            (OpenAi, "GET /v1/responses/resp_1/input_items", Some("responses.input_items")),
            (Azure, "POST /openai/v1/embeddings", Some("embeddings")),
            (Azure, "POST /openai/v1/embeddings?api-version=preview", Some("embeddings")),
            (Azure, "POST /openai/v1/embeddings?api-version=2024-10-21", None),
            (
                Azure,
                "POST /openai/deployments/d/chat/completions?api-version=2024-10-21",
                Some("chat.create"),
            ),
            (Azure, "POST /openai/deployments/d/chat/completions", None),
            (Azure, "POST /openai/deployments/d/responses?api-version=2025-03-01-preview", None),
            (Azure, "POST /openai/responses?api-version=2025-03-01-preview", Some("responses.create")),
            (Azure, "POST /openai/embeddings?api-version=2024-10-21", None),
            (Azure, "POST /v1/chat/completions", None),
            (Bedrock, "POST /openai/v1/responses", Some("responses.create")),
            (Bedrock, "POST /openai/v1/embeddings", None),
            (Bedrock, "POST /openai/v1/conversations", None),
            (Bedrock, "POST /v1/responses", None),
        ];
        for (kind, line, expected) in table {
            let (method, target) = line.split_once(' ').expect("every line has a method");
            let (path, query) =
                target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            let found = route(kind, method, path, query).ok().map(|route| route.operation.name());
            assert_eq!(found, expected, "{kind:?} {line}");
        }
    }
}
