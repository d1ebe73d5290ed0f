//! What a request's body asks for: the few fields that the clouds read, in one pass, without building a tree of the rest.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of every JSON operation in one struct: their names do not clash within the dialect. A field that is doubled
/// or of the wrong type makes the body bad, as it does at the real clouds.
#[derive(Default, Deserialize)]
pub(crate) struct Ask<'a> {
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
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
    pub(crate) top_p: Option<f64>,
    pub(crate) truncation: Option<String>,
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
        if let Some(boundary) = boundary(content_type) {
            return Ok(Ask { model: form_field(body, boundary, "model"), ..Ask::default() });
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
        self.previous_response_id.iter().cloned().chain(conversation).collect()
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"'))
}

/// The text of one form field. The parts are found by their delimiter, so a large file costs one search and no copy.
fn form_field(body: &[u8], boundary: &str, name: &str) -> Option<String> {
    let delimiter = format!("--{boundary}");
    let wanted = format!("name=\"{name}\"");
    let starts: Vec<usize> = memchr::memmem::find_iter(body, delimiter.as_bytes()).collect();
    starts.windows(2).find_map(|pair| {
        let part = &body[pair[0] + delimiter.len()..pair[1]];
        let head_end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        // `filename="..."` ends in the same letters as `name="..."`: the space or semicolon before it tells.
        let named = head.split([';', '\n']).any(|piece| piece.trim() == wanted);
        let value = part[head_end + 4..].strip_suffix(b"\r\n")?;
        named.then(|| String::from_utf8(value.to_vec()).ok()).flatten()
    })
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
