//! The recipe of each request, from which its body can be made again, byte for byte, with any model's name in it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::dice::Dice;
use super::shape::{Manners, Shape};
use super::text::{self, Style};
use crate::cloud::{Fault, Script};

/// What one request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// POST chat completions.
    Chat {
        /// With `stream: true`.
        stream: bool,
    },
    /// POST embeddings.
    Embeddings,
    /// POST responses.
    Response {
        /// With `stream: true`.
        stream: bool,
        /// With `store: false` if not; absent, which means true, if so.
        store: bool,
        /// `previous_response_id`.
        previous: Option<String>,
        /// `conversation`.
        conversation: Option<String>,
    },
    /// POST conversations.
    NewConversation,
}

/// One request: everything that its bytes are made from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The behaviour that it is part of.
    pub shape: Shape,
    /// What it does.
    pub step: Step,
    /// 1 for the first request of its shape.
    pub turn: u32,
    /// Unique; see [`crate::cloud::NONCE_HEADER`].
    pub nonce: String,
    /// The model that the client asks for; none for steps without one.
    pub model: Option<String>,
    /// Extra bytes of text in the body, about; of no meaning with `body_bytes`.
    pub padding_bytes: usize,
    /// The body's length with the client's own model, or a little more where its fixed fields need it; none: a short body.
    pub body_bytes: Option<usize>,
    /// How the cloud is asked to tell its answer.
    pub script: Option<Script>,
    /// How the client behaves.
    pub manners: Manners,
    /// How the cloud is asked to fail.
    pub fault: Option<Fault>,
}

impl Recipe {
    /// Path below the base URL.
    pub fn path(&self) -> &'static str {
        match self.step {
            Step::Chat { .. } => "/chat/completions",
            Step::Embeddings => "/embeddings",
            Step::Response { .. } => "/responses",
            Step::NewConversation => "/conversations",
        }
    }

    /// It asks for a stream.
    pub fn streams(&self) -> bool {
        matches!(self.step, Step::Chat { stream: true } | Step::Response { stream: true, .. })
    }

    /// It cites state, by the simple reading: `previous_response_id` or `conversation`.
    pub fn cites(&self) -> bool {
        matches!(
            &self.step,
            Step::Response { previous: Some(_), .. } | Step::Response { conversation: Some(_), .. }
        )
    }

    /// It leaves state behind and cites none.
    pub fn creates(&self) -> bool {
        matches!(self.step, Step::NewConversation | Step::Response { store: true, .. }) && !self.cites()
    }

    /// The fault that it asks for leaves no whole answer.
    pub fn fails(&self) -> bool {
        match self.fault {
            None | Some(Fault::SlowFirstByte(_) | Fault::Gzip | Fault::Refuse) => false,
            Some(Fault::StallMidStream | Fault::CutMidStream) => self.streams(),
            Some(
                Fault::ResetBeforeHeaders | Fault::ResetMidBody(_) | Fault::Status { .. } | Fault::Stall,
            ) => true,
        }
    }

    /// An answer that is missing or visibly cut says nothing against whoever stands between: the client behaved badly, or
    /// the cloud was asked to fail.
    pub fn excuses(&self) -> bool {
        self.manners != Manners::Good || self.fails()
    }

    /// The body that the client sends, or would send if its model were `model`.
    /// Where the model's name stands (first or last) and how the text is escaped differ from nonce to nonce.
    pub fn body(&self, model: Option<&str>) -> Bytes {
        let mut dice = Dice::of(&self.nonce);
        let model_last = dice.next().is_multiple_of(2);
        let mut fields = self.fields();
        let content = self.content(&fields, &mut dice);
        if let Some(content) = content {
            fields.insert(0, content);
        }
        if let Some(model) = model {
            let field = ("model", Value::from(model).to_string());
            fields.insert(if model_last { fields.len() } else { 0 }, field);
        }
        let mut body = String::with_capacity(fields.iter().map(|(_, value)| value.len() + 32).sum());
        for (name, value) in &fields {
            body.push_str(if body.is_empty() { "{\"" } else { ", \"" });
            body.push_str(name);
            body.push_str("\": ");
            body.push_str(value);
        }
        body.push('}');
        body.into()
    }

    /// The field that holds the text. Its length does not depend on the model that stands in the body, but on the client's.
    fn content(&self, others: &[Field], dice: &mut Dice) -> Option<Field> {
        let (name, style) = match self.step {
            Step::Chat { .. } => ("messages", Style::Messages),
            Step::Response { .. } => ("input", Style::Items),
            Step::Embeddings => ("input", Style::Strings),
            Step::NewConversation => return None,
        };
        let Some(body_bytes) = self.body_bytes else {
            let text = format!("{} {}", self.nonce, text::tricky(self.padding_bytes, dice));
            let value = match style {
                Style::Messages => json!([{"role": "user", "content": text}]),
                Style::Items | Style::Strings => text.into(),
            };
            return Some((name, value.to_string()));
        };
        let model = self.model.as_deref().map(|model| ("model", Value::from(model).to_string()));
        let around = |(name, value): &Field| name.len() + value.len() + 6; // quotes, colon, comma, two spaces
        let taken: usize = 2 + name.len() + 4 + others.iter().chain(&model).map(around).sum::<usize>();
        Some((name, text::structured(style, body_bytes.saturating_sub(taken), &self.nonce, dice)))
    }

    /// The fields beside the text, in their order.
    fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<(&'static str, Value)> = Vec::new();
        match &self.step {
            Step::Chat { stream: true } => {
                fields.push(("stream", true.into()));
                fields.push(("stream_options", json!({"include_usage": true})));
            }
            Step::Chat { stream: false } => {}
            // A short vector: the test is of the way there, not of the size of the answer.
            Step::Embeddings => fields.push(("dimensions", 8.into())),
            Step::Response { stream, store, previous, conversation } => {
                if *stream {
                    fields.push(("stream", true.into()));
                }
                if !store {
                    fields.push(("store", false.into()));
                }
                fields.extend(previous.as_ref().map(|id| ("previous_response_id", id.as_str().into())));
                fields.extend(conversation.as_ref().map(|id| ("conversation", id.as_str().into())));
            }
            Step::NewConversation => fields.push(("metadata", json!({"nonce": self.nonce}))),
        }
        fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }
}

/// A field's name and its value as JSON.
type Field = (&'static str, String);

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(nonce: &str, step: Step, body_bytes: Option<usize>) -> Recipe {
        Recipe {
            shape: Shape::Chain,
            step,
            turn: 2,
            nonce: nonce.to_owned(),
            model: Some("gpt-5.5".to_owned()),
            padding_bytes: 500,
            body_bytes,
            script: None,
            manners: Manners::Good,
            fault: None,
        }
    }

    fn response() -> Step {
        Step::Response { stream: true, store: true, previous: Some("resp_1".into()), conversation: None }
    }

    #[test]
    fn a_body_is_made_again_with_another_model_only() {
        for nonce in ["nonce-0000000000000001", "nonce-0000000000000002", "nonce-0000000000000003"] {
            for size in [None, Some(20_000)] {
                let recipe = recipe(nonce, response(), size);
                let body = String::from_utf8(recipe.body(Some("gpt-5.5")).to_vec()).expect("JSON is text");
                let other = recipe.body(Some("gpt55-prod"));
                assert_eq!(
                    body.replacen("\"model\": \"gpt-5.5\"", "\"model\": \"gpt55-prod\"", 1).as_bytes(),
                    other
                );
                let value: Value = serde_json::from_str(&body).expect("a body is JSON");
                assert_eq!(value["previous_response_id"], "resp_1");
            }
        }
    }

    #[test]
    fn bodies_are_as_long_as_asked_and_what_they_say() {
        let steps = [Step::Chat { stream: true }, Step::Embeddings, response()];
        let mut images = 0;
        for size in [1 << 10, 16 << 10, 100 << 10, 1 << 20, 1000, 1777, 65_537] {
            for (number, step) in steps.iter().cycle().take(24).enumerate() {
                let nonce = format!("nonce-{number:016x}");
                let body = recipe(&nonce, step.clone(), Some(size)).body(Some("gpt-5.5"));
                assert_eq!(body.len(), size, "{step:?}");
                let value: Value = serde_json::from_slice(&body).expect("a body is JSON");
                assert!(value.to_string().contains(&nonce), "{step:?} of {size} holds its nonce");
                images += usize::from(memchr::memmem::find(&body, b"data:image/png;base64,").is_some());
            }
        }
        assert!(images > 10, "a part of the larger ones are images, {images} were");
    }
}
