//! Chat completions and the older completions: stateless, plain or streamed as data-only events with a last `[DONE]`.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::answer::{Events, Reply, Words, sse};
use super::call::{Call, unix_now};
use super::complaint::Complaint;
use super::openai::keeps_completions;
use super::things::Thing;

#[derive(Clone, Copy, Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    fn of(call: &Call<'_>, completion_tokens: u64) -> Self {
        let prompt_tokens = call.prompt_tokens();
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: 0, audio_tokens: 0 },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: 0,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}

#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    /// Left out of chunks, unless usage was asked for: then null in all but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

impl<'a, C> Completion<'a, C> {
    fn new(id: &'a str, object: &'static str, created: u64, model: &'a str, choices: &'a [C]) -> Self {
        Completion {
            id,
            object,
            created,
            model,
            choices,
            usage: None,
            service_tier: "default",
            system_fingerprint: "fp_fake",
        }
    }
}

pub(crate) fn chat(call: &Call<'_>) -> Result<Reply, Complaint> {
    if call.ask.messages.is_none() {
        return Err(Complaint::bad_body("Missing required parameter: 'messages'.", Some("messages")));
    }
    let model = call.required_model()?;
    let id = call.site.minter.mint("chatcmpl-");
    let stored =
        call.ask.store == Some(true) && keeps_completions(call.site.spec.kind, call.site.spec.zero_retention);
    if stored {
        keep(call, &id, model);
    }
    let reply = if call.ask.streams() {
        let choice = |piece: Option<&str>, first: bool| {
            let delta = match piece {
                Some(text) if first => json!({"role": "assistant", "content": text, "refusal": null}),
                Some(text) => json!({"content": text}),
                None => json!({}),
            };
            let finish = piece.is_none().then_some("stop");
            json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish})
        };
        Reply::events(stream(call, &id, "chat.completion.chunk", model, &call.words(1), choice))
    } else {
        let text = call.words(1).whole();
        let message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
        let choices = [json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"})];
        let mut completion = Completion::new(&id, "chat.completion", unix_now(), model, &choices);
        completion.usage = Some(Some(Usage::of(call, 4)));
        Reply::json(&completion)
    };
    Ok(reply.creating(stored.then_some(id)))
}

/// Keeps a completion before its first byte leaves.
fn keep(call: &Call<'_>, id: &str, model: &str) {
    let message = json!({"role": "assistant", "content": call.words(1).whole(), "refusal": null});
    let value = json!({
        "id": id, "object": "chat.completion", "created": unix_now(), "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "metadata": call.ask.metadata.clone().unwrap_or_else(|| json!({})), "usage": Usage::of(call, 4),
    });
    call.site.put("chat", id, Thing::new(value).lives(call.site.spec.lifetimes.stored));
}

pub(crate) fn completions(call: &Call<'_>) -> Result<Reply, Complaint> {
    if call.ask.prompt.is_none() {
        return Err(Complaint::bad_body("Missing required parameter: 'prompt'.", Some("prompt")));
    }
    let model = call.required_model()?;
    let id = call.site.minter.mint("cmpl-");
    let choice = |text: &str, finish: Option<&str>| json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish});
    if call.ask.streams() {
        let choice = move |piece: Option<&str>, _| {
            choice(piece.unwrap_or_default(), piece.is_none().then_some("stop"))
        };
        return Ok(Reply::events(stream(call, &id, "text_completion", model, &call.words(1), choice)));
    }
    let choices = [choice(&call.words(1).whole(), Some("stop"))];
    let mut completion = Completion::new(&id, "text_completion", unix_now(), model, &choices);
    completion.usage = Some(Some(Usage::of(call, 4)));
    Ok(Reply::json(&completion))
}

/// `choice(piece, first)` makes the one choice of a chunk; no piece means the finish.
fn stream<C: Serialize>(
    call: &Call<'_>,
    id: &str,
    object: &'static str,
    model: &str,
    words: &Words<'_>,
    choice: impl Fn(Option<&str>, bool) -> C + Send + 'static,
) -> Events {
    let usage_asked =
        call.ask.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true));
    let created = unix_now();
    let count = words.count();
    let usage = Usage::of(call, count as u64);
    let (id, model) = (id.to_owned(), model.to_owned());
    let chunk = move |choices: &[C], usage: Option<Usage>| {
        let mut chunk = Completion::new(&id, object, created, &model, choices);
        chunk.usage = usage_asked.then_some(usage);
        sse(None, &chunk)
    };
    let mut pieces = words.pieces().enumerate();
    let (mut tail, mut done) = (0, false);
    let events = std::iter::from_fn(move || {
        if let Some((index, piece)) = pieces.next() {
            return Some(chunk(&[choice(Some(&piece), index == 0)], None));
        }
        tail += 1;
        match tail {
            1 => Some(chunk(&[choice(None, false)], None)),
            2 if usage_asked => Some(chunk(&[], Some(usage))),
            _ if !done => {
                done = true;
                Some(Bytes::from_static(b"data: [DONE]\n\n"))
            }
            _ => None,
        }
    });
    Events::lazy(count + 2 + usize::from(usage_asked), events)
}
