//! The response object and the events of its stream, field by field as the vendor sends them.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

/// What a response consists of, whatever its status is when it is looked at.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) item_id: String,
    pub(crate) created_at: u64,
    pub(crate) model: String,
    pub(crate) text: String,
    /// 1 for the first of a chain or conversation.
    pub(crate) turn: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) background: bool,
    pub(crate) store: bool,
    pub(crate) previous_response_id: Option<String>,
    pub(crate) conversation: Option<String>,
    pub(crate) instructions: Option<Value>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) metadata: Value,
    pub(crate) parallel_tool_calls: bool,
    pub(crate) temperature: f64,
    pub(crate) text_format: Value,
    pub(crate) tool_choice: Value,
    pub(crate) tools: Vec<Value>,
    pub(crate) top_p: f64,
    pub(crate) truncation: String,
    /// Output items before the message: reasoning, calls of hosted tools.
    pub(crate) extra: Vec<Value>,
}

impl Facts {
    /// Every output item with an id, as it is listed and cited later.
    pub(crate) fn items(&self) -> Vec<Value> {
        let message = serde_json::to_value(Message::new(self, "completed")).unwrap_or_default();
        self.extra.iter().cloned().chain([message]).collect()
    }
}

#[derive(Serialize)]
struct ById<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Part<'a> {
    r#type: &'static str,
    annotations: [(); 0],
    logprobs: [(); 0],
    text: &'a str,
}

impl<'a> Part<'a> {
    fn new(text: &'a str) -> Self {
        Part { r#type: "output_text", annotations: [], logprobs: [], text }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    r#type: &'static str,
    status: &'static str,
    content: Vec<Part<'a>>,
    role: &'static str,
}

impl<'a> Message<'a> {
    fn new(facts: &'a Facts, status: &'static str) -> Self {
        let content = if status == "completed" { vec![Part::new(&facts.text)] } else { Vec::new() };
        Message { id: &facts.item_id, r#type: "message", status, content, role: "assistant" }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Extra(&'a Value),
    Message(Message<'a>),
}

impl<'a> Item<'a> {
    fn all(facts: &'a Facts) -> Vec<Self> {
        let message = Item::Message(Message::new(facts, "completed"));
        facts.extra.iter().map(Item::Extra).chain([message]).collect()
    }
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

/// The response object. Its fields are in the vendor's order, because something that learns ids from the wire should meet
/// the order that it will meet there.
#[derive(Serialize)]
pub(crate) struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ById<'a>>,
    error: (),
    incomplete_details: (),
    instructions: &'a Option<Value>,
    max_output_tokens: Option<u64>,
    model: &'a str,
    output: Vec<Item<'a>>,
    parallel_tool_calls: bool,
    previous_response_id: Option<&'a str>,
    reasoning: Reasoning,
    service_tier: &'static str,
    store: bool,
    temperature: f64,
    text: &'a Value,
    tool_choice: &'a Value,
    tools: &'a [Value],
    top_p: f64,
    truncation: &'a str,
    usage: Option<Usage>,
    user: (),
    metadata: &'a Value,
}

#[derive(Serialize)]
struct Reasoning {
    effort: (),
    summary: (),
}

impl<'a> Object<'a> {
    pub(crate) fn of(facts: &'a Facts, status: &'static str) -> Self {
        let completed = status == "completed";
        Object {
            id: &facts.id,
            object: "response",
            created_at: facts.created_at,
            status,
            background: facts.background,
            conversation: facts.conversation.as_deref().map(|id| ById { id }),
            error: (),
            incomplete_details: (),
            instructions: &facts.instructions,
            max_output_tokens: facts.max_output_tokens,
            model: &facts.model,
            output: if completed { Item::all(facts) } else { Vec::new() },
            parallel_tool_calls: facts.parallel_tool_calls,
            previous_response_id: facts.previous_response_id.as_deref(),
            reasoning: Reasoning { effort: (), summary: () },
            service_tier: "default",
            store: facts.store,
            temperature: facts.temperature,
            text: &facts.text_format,
            tool_choice: &facts.tool_choice,
            tools: &facts.tools,
            top_p: facts.top_p,
            truncation: &facts.truncation,
            usage: completed.then(|| Usage {
                input_tokens: facts.input_tokens,
                input_tokens_details: InputDetails { cached_tokens: 0 },
                output_tokens: facts.output_tokens,
                output_tokens_details: OutputDetails { reasoning_tokens: 0 },
                total_tokens: facts.input_tokens + facts.output_tokens,
            }),
            user: (),
            metadata: &facts.metadata,
        }
    }
}

/// Events under construction; numbers them.
struct Events {
    sent: Vec<Bytes>,
}

impl Events {
    /// `event: NAME`, `data: {"type": NAME, "sequence_number": N, ...rest}`.
    fn push(&mut self, name: &str, rest: &impl Serialize) {
        let rest = serde_json::to_string(rest).expect("values made here have string keys and finite numbers");
        let number = self.sent.len();
        let rest = &rest[1..]; // its own brace, replaced by the two fields before it
        let event =
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{rest}\n\n");
        self.sent.push(event.into());
    }
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Object<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: Item<'a>,
}

/// The whole stream. There is no `[DONE]` in this API: the terminal event is `response.completed`.
pub(crate) fn events(facts: &Facts, pieces: &[String]) -> Vec<Bytes> {
    let mut events = Events { sent: Vec::with_capacity(pieces.len() + 8) };
    let whole = |status| OfResponse { response: Object::of(facts, status) };
    let at = facts.extra.len();
    let part = |text| json!({"item_id": facts.item_id, "output_index": at, "content_index": 0, "part": Part::new(text)});
    events.push("response.created", &whole("in_progress"));
    events.push("response.in_progress", &whole("in_progress"));
    for (output_index, extra) in facts.extra.iter().enumerate() {
        let item = OfItem { output_index, item: Item::Extra(extra) };
        events.push("response.output_item.added", &item);
        events.push("response.output_item.done", &item);
    }
    let item = |status| OfItem { output_index: at, item: Item::Message(Message::new(facts, status)) };
    events.push("response.output_item.added", &item("in_progress"));
    events.push("response.content_part.added", &part(""));
    for delta in pieces {
        let delta = json!({
            "item_id": facts.item_id, "output_index": at, "content_index": 0, "delta": delta, "logprobs": [],
        });
        events.push("response.output_text.delta", &delta);
    }
    let done = json!({
        "item_id": facts.item_id, "output_index": at, "content_index": 0, "text": facts.text, "logprobs": [],
    });
    events.push("response.output_text.done", &done);
    events.push("response.content_part.done", &part(&facts.text));
    events.push("response.output_item.done", &item("completed"));
    events.push("response.completed", &whole("completed"));
    events.sent
}
