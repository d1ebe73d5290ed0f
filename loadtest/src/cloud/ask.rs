//! What a request's body asks for: the few fields that the clouds read, in one pass, without building a tree of the rest.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::form;

/// The fields of every JSON operation in one struct: their names do not clash within the dialect. A field that is doubled
/// or of the wrong type makes the body bad, as it does at the real clouds.
#[derive(Default, Deserialize)]
pub(crate) struct Ask<'a> {
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    pub(crate) include: Option<Vec<String>>,
    pub(crate) stream_options: Option<StreamOptions>,
    pub(crate) store: Option<bool>,
    pub(crate) background: Option<bool>,
    pub(crate) previous_response_id: Option<String>,
    pub(crate) conversation: Option<ConversationRef>,
    pub(crate) messages: Option<IgnoredAny>,
    pub(crate) prompt: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
    pub(crate) encoding_format: Option<String>,
    pub(crate) dimensions: Option<usize>,
    pub(crate) n: Option<usize>,
    pub(crate) response_format: Option<Value>,
    pub(crate) instructions: Option<Value>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) metadata: Option<Value>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) text: Option<Value>,
    pub(crate) tool_choice: Option<Value>,
    pub(crate) tools: Option<Vec<Value>>,
    pub(crate) items: Option<Vec<Value>>,
    pub(crate) top_p: Option<f64>,
    pub(crate) truncation: Option<String>,
}

/// Something that a request for a response refers to, beside its chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Item(String),
    Sealed { item: String, blob: String },
    Container(String),
    File(String),
    VectorStore(String),
}

#[derive(Deserialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

/// `"conv_1"` and `{"id": "conv_1"}` mean the same.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ConversationRef {
    Id(String),
    Object { id: String },
}

impl ConversationRef {
    pub(crate) fn id(&self) -> &str {
        match self {
            ConversationRef::Id(id) | ConversationRef::Object { id } => id,
        }
    }
}

impl<'a> Ask<'a> {
    /// Reads a body. An empty one asks for nothing, which is right for GET, DELETE and cancel.
    pub(crate) fn read(content_type: &str, body: &'a Bytes) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Ask::default());
        }
        if let Some(boundary) = form::boundary(content_type) {
            return Ok(Ask { model: form::field(body, boundary, "model"), ..Ask::default() });
        }
        let text = std::str::from_utf8(body).map_err(|_| "The body is not UTF-8.".to_owned())?;
        serde_json::from_str(text)
            .map_err(|error| format!("We could not parse the JSON body of your request: {error}"))
    }

    pub(crate) fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// The ids that it cites.
    pub(crate) fn cited(&self) -> Vec<String> {
        let conversation = self.conversation.as_ref().map(|conversation| conversation.id().to_owned());
        let mut cited: Vec<String> = self.previous_response_id.iter().cloned().chain(conversation).collect();
        for reference in self.references() {
            match reference {
                Reference::Item(id)
                | Reference::Container(id)
                | Reference::File(id)
                | Reference::VectorStore(id) => {
                    cited.push(id);
                }
                Reference::Sealed { .. } => {}
            }
        }
        cited
    }

    /// Input items, if the input is a list.
    pub(crate) fn input_items(&self) -> Vec<Value> {
        self.input
            .filter(|input| input.get().starts_with('['))
            .and_then(|input| serde_json::from_str(input.get()).ok())
            .unwrap_or_default()
    }

    /// What its input and its tools refer to.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        for item in self.input_items() {
            let Some(fields) = item.as_object() else { continue };
            // An item of which only the id is said is a reference; its type may be left out.
            if fields.keys().all(|key| key == "id" || key == "type") {
                found.extend(text(&item["id"]).map(Reference::Item));
            }
            if let Some(blob) = text(&item["encrypted_content"]) {
                found.push(Reference::Sealed { item: text(&item["id"]).unwrap_or_default(), blob });
            }
            found.extend(text(&item["container_id"]).map(Reference::Container));
            let parts = item["content"].as_array().into_iter().flatten();
            found.extend(parts.filter_map(|part| text(&part["file_id"])).map(Reference::File));
        }
        for tool in self.tools.iter().flatten() {
            let container = text(&tool["container"]).or_else(|| text(&tool["environment"]["container_id"]));
            found.extend(container.map(Reference::Container));
            let list = |pointer: &str| {
                let ids = tool.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
                ids.filter_map(text).collect::<Vec<String>>()
            };
            found.extend(list("/container/file_ids").into_iter().map(Reference::File));
            found.extend(list("/vector_store_ids").into_iter().map(Reference::VectorStore));
        }
        found
    }

    pub(crate) fn includes(&self, what: &str) -> bool {
        self.include.iter().flatten().any(|include| include == what)
    }

    /// The tools that make themselves a container.
    pub(crate) fn wants_container(&self) -> bool {
        self.tools.iter().flatten().any(|tool| {
            tool["container"]["type"] == "auto" || tool["environment"]["type"] == "container_auto"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_its_model() {
        let body = Bytes::from_static(
            b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\nxx\r\n\
              --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n",
        );
        let ask =
            Ask::read("multipart/form-data; boundary=b", &body).expect("a form is no JSON to be parsed");
        assert_eq!(ask.model.as_deref(), Some("whisper-1"));
    }

    #[test]
    fn a_doubled_field_is_a_bad_body() {
        let body = Bytes::from_static(br#"{"model":"a","x":{"y":[1]},"\u006dodel":"b"}"#);
        assert!(Ask::read("application/json", &body).is_err(), "an escaped spelling is the same field");
    }

    #[test]
    fn both_spellings_of_a_conversation() {
        for body in [r#"{"conversation":"conv_1"}"#, r#"{"conversation":{"id":"conv_1"}}"#] {
            let body = Bytes::from(body);
            let ask = Ask::read("", &body).expect("both spellings are right");
            assert_eq!(ask.cited(), ["conv_1"]);
        }
    }
}
