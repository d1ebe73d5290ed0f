//! What the benches share: configurations and bodies, as text. The benches are in `benches/`, one a file.

pub mod bodies;
pub mod cases;

/// The shipped example with three clouds and a contract that changes with time.
pub const CONFIG: &str = include_str!("../../config/examples/three-clouds.yaml");

/// A configuration of three clouds with this many endpoints and terms, at least three endpoints.
///
/// Terms differ in surface, class, vendor and model (20 patterns), a quarter of them have dates (four boundaries), and
/// many speak of every request, as they do in a contract that grew. All of them leave the first two clouds.
#[must_use]
pub fn config(terms: usize, endpoints: usize) -> String {
    let mut text = String::from("version: 1\nlisteners: [{ name: apps, bind: 127.0.0.1:8080 }]\nclouds:\n");
    for cloud in 0..3 {
        text.push_str(&format!("  c{cloud}:\n    endpoints:\n"));
        for at in (cloud..endpoints).step_by(3) {
            let (port, weight) = (10_000 + at, 10 + at % 7);
            let models = format!("{{ gpt-5.5: own-{at}, gpt-5.5-mini: own-mini-{at} }}");
            let rest = format!("credential: none, weight: {weight}, models: {models}");
            let url = format!("\"http://127.0.0.1:{port}\"");
            text.push_str(&format!("      - {{ name: e{at}, dialect: openai, url: {url}, {rest} }}\n"));
        }
    }
    text.push_str("contract:\n  enforce: r\n  readings: { r: { stateful_from: continues } }\n  terms:\n");
    text.push_str("    - { id: all, only: [c0, c1], prefer: [c1] }\n");
    for at in 1..terms {
        let when = match at % 5 {
            0 => format!("model: \"gpt-{}*\"", at / 5 % 20),
            1 => "vendor: openai, class: stateless".to_owned(),
            2 => "surface: openai.chat.*".to_owned(),
            3 => "grade: [continues, runtime]".to_owned(),
            _ => "vendor: [openai, anthropic]".to_owned(),
        };
        let dates = match at % 16 {
            0 => "from: 2026-01-01, ",
            4 => "until: 2026-04-01, ",
            8 => "from: 2026-02-01, until: 2027-01-01, ",
            12 => "from: 2026-01-01, until: 2026-04-01, ",
            _ => "",
        };
        let says = if at % 2 == 0 { "only: [c0, c1]" } else { "never: c2" };
        text.push_str(&format!("    - {{ id: t{at}, {dates}when: {{ {when} }}, {says} }}\n"));
    }
    text
}

/// A turn of a stored conversation: the history is the vendor's to keep, so the size is the new input's. It ends with the model, as
/// many SDKs send it, and cites a response and, every 32 KiB, a file.
#[must_use]
pub fn turn(bytes: usize) -> String {
    let text = "A sentence of the question, with some \\\"quotes\\\", and a line's end.\\n".repeat(12);
    let mut body = String::from(
        r#"{"previous_response_id":"resp_68aa01f2c4d8819","prompt_cache_key":"team-7","input":["#,
    );
    for at in 0.. {
        let comma = if at > 0 { "," } else { "" };
        let part = match at % 36 {
            35 => format!(r#"{{"type":"input_file","file_id":"file-{at}"}}"#),
            _ => format!(r#"{{"type":"input_text","text":"{text}"}}"#),
        };
        if at > 0 && body.len() + part.len() > bytes {
            break;
        }
        let short = if bytes < 2048 { part.replace(&text, &text[..bytes / 2]) } else { part };
        body.push_str(&format!(r#"{comma}{{"type":"message","role":"user","content":[{short}]}}"#));
    }
    body.push_str(r#"],"stream":true,"model":"gpt-5.5"}"#);
    body
}

/// A stored response, as the vendor sends it in one piece.
#[must_use]
pub fn answer_json() -> String {
    let text = "The river keeps to its bed. ".repeat(12);
    format!(
        r#"{{"id":"resp_68aa01","object":"response","created_at":1774000000,"status":"completed","model":"gpt-5.5","store":true,"output":[{{"id":"msg_68aa02","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","annotations":[],"text":"{text}"}}]}}],"usage":{{"input_tokens":36,"output_tokens":87,"total_tokens":123}}}}"#
    )
}

/// A stored response as a stream with so many deltas.
#[must_use]
pub fn answer_events(deltas: usize) -> String {
    let response =
        r#"{"id":"resp_68aa01","object":"response","status":"in_progress","model":"gpt-5.5","store":true}"#;
    let mut text = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{response}}}\n\n"
    );
    for at in 0..deltas {
        text.push_str(&format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{at},\"item_id\":\"msg_68aa02\",\"output_index\":0,\"content_index\":0,\"delta\":\" river\"}}\n\n"
        ));
    }
    text.push_str(&format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":{deltas},\"response\":{response}}}\n\n"
    ));
    text
}
