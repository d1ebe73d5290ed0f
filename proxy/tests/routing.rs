//! Promise: a request goes to a cloud that the contract designates, as that cloud's endpoint must see it, or nowhere.

mod support;

use serde_json::json;
use support::{Clouds, QUIET, SPLIT, address, chat, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stateless_goes_to_one_cloud_and_stateful_to_the_other() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((ours(&answer, "cloud"), ours(&answer, "class")), ("azure", "stateless"));

    let stored = json!({ "model": "gpt-5.5", "input": "hello" });
    let answer = send(address(&running), post("/v1/responses", &stored)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((ours(&answer, "cloud"), ours(&answer, "class")), ("aws", "stateful"));

    let [one, two, aws, openai] = clouds.all().map(|cloud| cloud.counts().requests);
    assert_eq!((one + two, aws, openai), (1, 1, 0), "requests at azure, aws and openai");
}
