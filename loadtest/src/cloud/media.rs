//! The other stateless operations: embeddings, moderations, images, audio, models. Answers are small and made up, in the
//! shapes that the vendor's SDK parses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::answer::Reply;
use super::call::{Call, unix_now};
use super::complaint::Complaint;

/// The length of `text-embedding-3-small`'s vectors, and a limit for those asked for.
const DIMENSIONS: usize = 1536;
const DIMENSIONS_MAX: usize = 4096;
/// Inputs in one embeddings request, as the vendor limits it.
const INPUTS_MAX: usize = 2048;
/// Images in one request, as the vendor limits it.
const IMAGES_MAX: usize = 10;

/// A PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// One embedding for each input; base64 of little-endian floats if asked for, as the SDK does by itself.
pub(crate) fn embeddings(call: &Call<'_>) -> Result<Reply, Complaint> {
    let model = call.required_model()?;
    let missing = || Complaint::bad_body("Missing required parameter: 'input'.", Some("input"));
    let count = inputs(call.ask.input.ok_or_else(missing)?.get());
    let dimensions = call.ask.dimensions.unwrap_or(DIMENSIONS);
    let valid = count.is_some_and(|count| (1..=INPUTS_MAX).contains(&count));
    if !valid || !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(Complaint::bad_body("'$.input' is invalid.", Some("input")));
    }
    let base64 = match call.ask.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Complaint::bad_body("'encoding_format' is invalid.", Some("encoding_format"))),
    };
    let data: Vec<Value> = (0..count.unwrap_or_default())
        .map(|index| {
            let vector = vector(index, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = call.prompt_tokens();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(Reply::json(&json!({"object": "list", "data": data, "model": model, "usage": usage})))
}

/// How many inputs there are: a string is one, so is an array of tokens; an array of either is as many.
fn inputs(raw: &str) -> Option<usize> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Input {
        Token(#[expect(dead_code, reason = "only its type tells")] u64),
        Other(IgnoredAny),
    }
    if raw.starts_with('"') {
        return Some(1);
    }
    let inputs: Vec<Input> = serde_json::from_str(raw).ok()?;
    Some(if matches!(inputs.first(), Some(Input::Token(_))) { 1 } else { inputs.len() })
}

/// A unit vector that is not the same for every input.
fn vector(index: usize, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    vector[index % dimensions] = 1.0;
    vector
}

pub(crate) fn moderations(call: &Call<'_>) -> Result<Reply, Complaint> {
    let raw = call
        .ask
        .input
        .ok_or_else(|| Complaint::bad_body("Missing required parameter: 'input'.", Some("input")))?;
    let count = inputs(raw.get()).unwrap_or(1).clamp(1, INPUTS_MAX);
    let categories = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    let each = |value: Value| -> Map<String, Value> {
        categories.iter().map(|&category| (category.to_owned(), value.clone())).collect()
    };
    let result = json!({
        "flagged": false,
        "categories": each(false.into()),
        "category_scores": each(0.0.into()),
        "category_applied_input_types": each(json!(["text"])),
    });
    let model = if call.model.is_empty() { "omni-moderation-latest" } else { call.model };
    let id = call.site.minter.mint("modr-");
    Ok(Reply::json(&json!({"id": id, "model": model, "results": vec![result; count]})))
}

/// Generations and edits; an edit comes as a form.
pub(crate) fn images(call: &Call<'_>) -> Result<Reply, Complaint> {
    call.required_model()?;
    let count = call.ask.n.unwrap_or(1).clamp(1, IMAGES_MAX);
    let by_url = call.ask.response_format.as_ref().and_then(Value::as_str) == Some("url");
    let image =
        if by_url { json!({"url": "https://images.invalid/1.png"}) } else { json!({"b64_json": PIXEL}) };
    let tokens = call.prompt_tokens();
    let usage = json!({
        "input_tokens": tokens,
        "input_tokens_details": {"text_tokens": tokens, "image_tokens": 0},
        "output_tokens": 16,
        "total_tokens": tokens + 16,
    });
    Ok(Reply::json(&json!({"created": unix_now(), "data": vec![image; count], "usage": usage})))
}

/// Four kilobytes that begin like an MP3 file and hold every byte value.
pub(crate) fn speech(call: &Call<'_>) -> Result<Reply, Complaint> {
    call.required_model()?;
    let noise = (0..=u8::MAX).cycle().take(4093);
    Ok(Reply::binary("audio/mpeg", b"ID3".iter().copied().chain(noise).collect::<Vec<u8>>()))
}

pub(crate) fn transcription(call: &Call<'_>) -> Result<Reply, Complaint> {
    call.required_model()?;
    let usage = json!({"type": "duration", "seconds": 1});
    Ok(Reply::json(&json!({"text": call.words(1).whole(), "usage": usage})))
}

pub(crate) fn models(call: &Call<'_>) -> Reply {
    let models: Vec<Value> = call.site.spec.models.iter().map(|id| model_object(id)).collect();
    Reply::json(&json!({"object": "list", "data": models}))
}

pub(crate) fn model(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    if call.site.spec.models.iter().any(|model| model == id) {
        return Ok(Reply::json(&model_object(id)));
    }
    Err(Complaint::wrong_model(call.site.spec.kind, id))
}

fn model_object(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_764_547_200, "owned_by": "system"})
}
