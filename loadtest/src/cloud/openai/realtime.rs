//! Realtime without a socket: ephemeral client secrets, and calls whose media goes past everybody.

use serde_json::json;

use super::super::answer::Reply;
use super::super::complaint::Complaint;
use super::super::things::Thing;
use super::super::visit::Visit;

/// How long an ephemeral secret can be spent.
const SECRET_LIVES: std::time::Duration = std::time::Duration::from_secs(600);

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    let site = visit.site;
    match (visit.method(), rest) {
        ("POST", ["client_secrets"]) => {
            visit.named("realtime.client_secrets");
            let secret = site.minter.mint("ek_");
            let session = site.minter.mint("sess_");
            let model = visit.text("/session/model").unwrap_or("gpt-realtime").to_owned();
            let expires_at = site.clock.unix() + SECRET_LIVES.as_secs();
            let value = json!({
                "value": secret, "expires_at": expires_at,
                "session": {"id": session, "object": "realtime.session", "type": "realtime", "model": model},
            });
            site.put("client_secret", &secret, Thing::new(value.clone()).lives(SECRET_LIVES));
            Ok(Reply::json(&value).creating(secret))
        }
        ("POST", ["calls"]) => {
            visit.named("realtime.calls.create");
            let id = site.minter.mint("rtc_");
            site.put("call", &id, Thing::new(json!({"id": id})).lives(site.spec.lifetimes.session));
            let answer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
            let reply = Reply::binary("application/sdp", answer).status(201);
            Ok(reply.header("location", format!("/v1/realtime/calls/{id}")).creating(id))
        }
        ("POST", ["calls", id, "accept" | "refer"]) => {
            visit.named("realtime.calls.change");
            visit.cites(id);
            let known = site.with("call", id, |_| ());
            known.map_err(|outcome| Complaint::unknown_thing("Call", id, outcome))?;
            Ok(Reply::empty(200))
        }
        ("POST", ["calls", id, "hangup" | "reject"]) => {
            visit.named("realtime.calls.end");
            visit.cites(id);
            site.take("call", id).map_err(|outcome| Complaint::unknown_thing("Call", id, outcome))?;
            Ok(Reply::empty(200))
        }
        _ => Err(visit.no_path()),
    }
}
