//! The stories that clients live: one after another, of any family, each to its end or until something in it failed.

mod a2a;
mod agentcore;
mod agents;
mod anthropic;
mod bedrock;
mod google;
mod mcp;
mod openai;
mod sockets;

use super::client::Actor;
use crate::cloud::Family;

/// Tells stories until all requests of the run are spent.
pub(super) async fn tell(mut actor: Actor) {
    while !actor.world.is_over() {
        let families = actor.world.families.clone();
        let family = *actor.any(&families);
        let ended = match family {
            Family::OpenAi if actor.world.sockets && actor.dice.below(8) == 0 => {
                sockets::story(&mut actor).await
            }
            Family::OpenAi => openai::story(&mut actor).await,
            Family::Anthropic => anthropic::story(&mut actor).await,
            Family::Bedrock => bedrock::story(&mut actor).await,
            Family::BedrockAgents => agents::story(&mut actor).await,
            Family::AgentCore => agentcore::story(&mut actor).await,
            Family::Google => google::story(&mut actor).await,
            Family::Mcp => mcp::story(&mut actor).await,
            Family::A2a => a2a::story(&mut actor).await,
        };
        // A story that broke off has said why, if that was wrong.
        if ended.is_some() {
            actor.world.tally.of(family, |counts| counts.stories += 1);
        }
    }
}

/// A form with a file, and its content type.
fn form(purpose: &str) -> (String, &'static str) {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n\
         {{}}\r\n--b--\r\n"
    );
    (body, "multipart/form-data; boundary=b")
}
