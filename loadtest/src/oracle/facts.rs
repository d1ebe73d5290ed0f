//! What a contract can ask about a request: facts that the driver knows because it made the request.

use crate::drive::{Recipe, Step};

/// How much server-side state, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    Pure,
    Cached,
    Sealed,
    Creates,
    Continues,
    Connection,
    Runtime,
    Unknown,
}

impl Grade {
    pub(super) fn parse(word: &str) -> Result<Grade, String> {
        Ok(match word {
            "pure" => Grade::Pure,
            "cached" => Grade::Cached,
            "sealed" => Grade::Sealed,
            "creates" => Grade::Creates,
            "continues" => Grade::Continues,
            "connection" => Grade::Connection,
            "runtime" => Grade::Runtime,
            "unknown" => Grade::Unknown,
            _ => return Err(format!("{word:?} is no grade")),
        })
    }
}

/// One request, as a contract sees it.
pub(super) struct Facts<'a> {
    pub(super) grade: Grade,
    pub(super) surface: &'static str,
    /// As the client names it.
    pub(super) model: Option<&'a str>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(recipe: &'a Recipe) -> Facts<'a> {
        let surface = match recipe.step {
            Step::Chat { .. } => "openai.chat.create",
            Step::Embeddings => "openai.embeddings.create",
            Step::Response { .. } => "openai.responses.create",
            Step::NewConversation => "openai.conversations.create",
        };
        let grade = match (recipe.cites(), recipe.creates()) {
            (true, _) => Grade::Continues, // a handle outranks everything else that the driver sends
            (false, true) => Grade::Creates,
            (false, false) => Grade::Pure,
        };
        Facts { grade, surface, model: recipe.model.as_deref() }
    }

    /// Whose model it is: the longest pattern decides, and a name that none knows belongs to the vendor of the surface.
    pub(super) fn vendor<'v>(&self, more: &'v [(String, String)]) -> &'v str {
        const KNOWN: [(&str, &str); 12] = [
            ("gpt-*", "openai"),
            ("text-embedding-*", "openai"),
            ("claude-*", "anthropic"),
            ("anthropic.*", "anthropic"),
            ("llama*", "meta"),
            ("Llama-*", "meta"),
            ("mistral-*", "mistral"),
            ("gemini-*", "google"),
            ("nova-*", "amazon"),
            ("command-*", "cohere"),
            ("deepseek-*", "deepseek"),
            ("qwen*", "qwen"),
        ];
        let Some(model) = self.model else { return "openai" };
        let more = more.iter().map(|(pattern, vendor)| (pattern.as_str(), vendor.as_str()));
        let fitting = KNOWN.into_iter().chain(more).filter(|(pattern, _)| matches(pattern, model));
        fitting
            .max_by_key(|(pattern, _)| (!pattern.ends_with('*'), pattern.len()))
            .map_or("openai", |(_, vendor)| vendor)
    }
}

/// A name, or with a star at its end the beginning of one.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}
