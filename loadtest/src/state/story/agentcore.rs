//! `AgentCore`: runtime sessions that the client invents or is given, code interpreters, browsers.

use serde_json::json;

use super::super::client::{Actor, Ask, Thread};
use crate::cloud::Family::AgentCore;

const SESSION: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(4) {
        0 | 1 => invented(actor).await,
        2 => given(actor).await,
        _ => tool(actor).await,
    }
}

fn invoke(session: Option<&str>) -> Ask {
    let ask =
        Ask::new(AgentCore, "POST", "/runtimes/my-runtime/invocations").json(&json!({"prompt": "hello"}));
    match session {
        Some(session) => ask.header(SESSION, session),
        None => ask,
    }
}

async fn invented(actor: &mut Actor) -> Option<()> {
    let session = actor.invent("runtime-session");
    let (ask, mut thread) = (invoke(Some(&session)), Thread::default());
    actor.race(&ask, &mut thread).await?;
    for _ in 0..1 + actor.dice.below(4) {
        let answer = actor.go_on(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    Some(())
}

async fn given(actor: &mut Actor) -> Option<()> {
    let (first, mut thread) = (invoke(None), Thread::default());
    let made = actor.make(&first).await?;
    actor.follow(&first, &mut thread, &made);
    let session = made.header(SESSION)?;
    let ask = invoke(Some(&session));
    for _ in 0..1 + actor.dice.below(4) {
        let answer = actor.go_on(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    Some(())
}

async fn tool(actor: &mut Actor) -> Option<()> {
    let (base, invoke, header) = if actor.dice.below(2) == 0 {
        ("/code-interpreters/ci-1", "tools/invoke", "x-amzn-code-interpreter-session-id")
    } else {
        ("/browsers/b-1", "sessions/invoke", "x-amzn-browser-session-id")
    };
    let start = Ask::new(AgentCore, "PUT", format!("{base}/sessions/start")).json(&json!({"name": "n"}));
    let session = actor.make(&start).await?.id("/sessionId")?;
    let mut thread = Thread::default();
    for _ in 0..1 + actor.dice.below(3) {
        let ask = Ask::new(AgentCore, "POST", format!("{base}/{invoke}"));
        let ask = ask.json(&json!({"name": "executeCode", "arguments": {}})).header(header, &session);
        let answer = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    actor.cite(&Ask::new(AgentCore, "GET", format!("{base}/sessions/get?sessionId={session}"))).await?;
    Some(())
}
