//! Turns of a chain of stored responses, and what is known of them.

use super::{Clouds, ours};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use riparian_loadtest::{FakeCloud, Seen};
use serde_json::{Value, json};

/// Stateful requests may go to any of three endpoints, so that only the pin brings a follow-up to its owner.
pub const ANYWHERE: &str = "
enforce: strict
readings: { strict: { stateful_from: creates } }
terms: [{ id: all, only: [azure, openai] }]
";

pub fn first() -> Value {
    json!({ "model": "gpt-5.5", "input": "a" })
}

pub fn follow_up(handle: &str) -> Value {
    json!({ "model": "gpt-5.5", "input": "b", "previous_response_id": handle })
}

pub fn streamed(mut body: Value) -> Value {
    body["stream"] = true.into();
    body
}

/// Without the endpoint that a handle came from, a cloud counts it as foreign.
pub fn assert_nothing_misplaced(clouds: &Clouds) {
    for cloud in clouds.all() {
        let counts = cloud.counts();
        assert_eq!((counts.foreign_handle, counts.gone_handle), (0, 0), "misplaced at {}", cloud.name());
    }
}

pub fn with_header(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub fn session(answer: &Response<Bytes>) -> String {
    ours(answer, "session").to_owned()
}

/// The cloud of the test with this endpoint's name.
pub fn named<'c>(clouds: &'c Clouds, name: &str) -> &'c FakeCloud {
    clouds.all().into_iter().find(|cloud| cloud.name() == name).unwrap()
}

pub fn last_seen(cloud: &FakeCloud) -> Seen {
    cloud.seen().pop().unwrap()
}

/// The id in the first event of a stream.
pub fn id_in(event: &[u8]) -> String {
    let text = std::str::from_utf8(event).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
    let event: Value = serde_json::from_str(data).expect("an event is whole");
    event["response"]["id"].as_str().expect("the first event has the id").to_owned()
}
