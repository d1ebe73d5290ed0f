//! One client: sends a step to any replica, again if it is refused for a passing reason, and says what must not be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::StatePlan;
pub(super) use super::exchange::{Answer, Ask, turn_in};
use super::stage::Stage;
use super::tally::Tally;
use crate::cloud::{Family, NONCE_HEADER, TENANT_HEADER};
use crate::drive::Dice;

/// The tenants, and the keys that they come with.
const TENANTS: [(&str, &str); 4] = [
    ("acme", "key-of-acme"),
    ("globex", "key-of-globex"),
    ("initech", "key-of-initech"),
    ("umbrella", "key-of-umbrella"),
];
/// No answer takes longer, unless somebody forgot it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Between two tries of a step.
const BREATH: Duration = Duration::from_millis(50);
/// One of so many steps that cite a handle is tried by another tenant first.
const THEFT_ONE_IN: usize = 12;

/// What all clients share.
pub(super) struct World {
    pub(super) tally: Arc<Tally>,
    targets: Vec<(Family, Vec<SocketAddr>)>,
    one_key: Option<&'static str>,
    requests: u64,
    patience: Duration,
    pub(super) families: Vec<Family>,
    pub(super) sockets: bool,
    thefts: bool,
    shared_names: bool,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl World {
    pub(super) fn new(plan: &StatePlan, stage: &Stage) -> World {
        World {
            tally: Arc::default(),
            targets: plan.families.iter().map(|&family| (family, stage.targets(family))).collect(),
            one_key: stage.one_key(),
            requests: plan.requests,
            patience: plan.patience,
            families: plan.families.clone(),
            sockets: plan.sockets,
            thefts: plan.thefts,
            shared_names: plan.shared_names,
            pool: Pool::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Whether there is no proxy between.
    pub(super) fn direct(&self) -> bool {
        self.one_key.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.tally.requests() >= self.requests
    }
}

/// Where a session lives and how far it is, as its client knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Thread {
    home: Option<String>,
    turn: u64,
}

/// One client.
pub(super) struct Actor {
    pub(super) world: Arc<World>,
    pub(super) dice: Dice,
    number: u64,
    sent: u64,
    tenant: usize,
}

impl Actor {
    pub(super) fn new(world: Arc<World>, seed: u64, number: u64) -> Actor {
        let dice = Dice::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(number));
        let tenant = usize::try_from(number).unwrap_or_default() % TENANTS.len();
        Actor { world, dice, number, sent: 0, tenant }
    }

    /// Another tenant, if it is time for a theft.
    pub(super) fn thief(&mut self) -> Option<usize> {
        let wanted = self.world.thefts && self.dice.below(THEFT_ONE_IN) == 0;
        wanted.then(|| (self.tenant + 1 + self.dice.below(TENANTS.len() - 1)) % TENANTS.len())
    }

    pub(super) fn tenant(&self) -> usize {
        self.tenant
    }

    /// A name that nobody else invents.
    pub(super) fn invent(&mut self, what: &str) -> String {
        format!("{what}-of-client-{}-{:016x}-{:08x}", self.number, self.dice.next(), self.sent)
    }

    pub(super) fn any<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.dice.below(list.len())]
    }

    pub(super) fn targets(&self, family: Family) -> &[SocketAddr] {
        let targets = self.world.targets.iter().find(|(known, _)| *known == family);
        targets.map_or(&[], |(_, targets)| targets)
    }

    /// What says who is asking, in the way of the family's clients.
    pub(super) fn credentials(&mut self, family: Family, tenant: usize) -> Vec<(&'static str, String)> {
        let (name, key) = TENANTS[tenant];
        let mut headers = vec![(TENANT_HEADER, name.to_owned())];
        if let Some(key) = self.world.one_key {
            headers.push(("authorization", format!("Bearer {key}")));
            return headers;
        }
        headers.push(match family {
            Family::Anthropic => ("x-api-key", key.to_owned()),
            Family::Google => ("x-goog-api-key", key.to_owned()),
            Family::Bedrock | Family::BedrockAgents | Family::AgentCore => {
                // Signed with what the client has; the proxy signs anew for whichever endpoint it chooses.
                let service = family.services().first().copied().unwrap_or_default();
                let signature = format!(
                    "AWS4-HMAC-SHA256 Credential=AKIA{}/20261121/us-east-1/{service}/aws4_request, SignedHeaders=host, \
                     Signature={:016x}",
                    name.to_uppercase(),
                    self.dice.next()
                );
                ("authorization", signature)
            }
            _ => ("authorization", format!("Bearer {key}")),
        });
        if family == Family::A2a {
            headers.push(("a2a-version", "1.0".to_owned()));
        }
        headers
    }

    /// Sends it once, as this tenant, to this target.
    async fn send(&mut self, ask: &Ask, tenant: usize, target: SocketAddr) -> Result<Answer, String> {
        self.sent += 1;
        self.world.tally.sent(ask.family);
        let nonce = format!("state-{}-{}", self.number, self.sent);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("http://{target}{}", ask.path))
            .header(NONCE_HEADER, &nonce);
        for (name, value) in self.credentials(ask.family, tenant).iter().chain(&ask.headers) {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(ask.body.clone())).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.world.pool.request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok::<Answer, String>(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                retries: 0,
            })
        };
        let answer: Answer = tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(|_| "no answer in time".to_owned())??;
        if let Some(echoed) = answer.header(NONCE_HEADER).filter(|echoed| *echoed != nonce) {
            self.world.tally.found(
                "cross-talk",
                ask.family,
                format!("{} was answered to {echoed}", ask.path),
            );
        }
        if answer.ok() {
            self.world.tally.of(ask.family, |counts| counts.ok += 1);
        }
        Ok(answer)
    }

    /// Tries a step until it is answered for good; nothing if that does not happen in time.
    async fn settle(&mut self, ask: &Ask) -> Option<Answer> {
        let end = Instant::now() + self.world.patience;
        let mut retries = 0;
        loop {
            let targets = self.targets(ask.family).to_vec();
            let target = *self.any(&targets);
            let passing = match self.send(ask, self.tenant, target).await {
                Ok(mut answer) => {
                    let locked = || String::from_utf8_lossy(&answer.body).contains("conversation_locked");
                    if !(answer.status >= 500 || answer.status == 429 || answer.status == 400 && locked()) {
                        answer.retries = retries;
                        return Some(answer);
                    }
                    answer.brief()
                }
                Err(_) => "no answer".to_owned(),
            };
            self.world.tally.refused(passing.clone());
            if Instant::now() > end {
                let what =
                    format!("{} {} is still refused after {retries} tries: {passing}", ask.method, ask.path);
                self.world.tally.found("unusable", ask.family, what);
                return None;
            }
            retries += 1;
            tokio::time::sleep(BREATH).await;
        }
    }

    /// A step that makes something, or cites nothing.
    pub(super) async fn make(&mut self, ask: &Ask) -> Option<Answer> {
        let answer = self.settle(ask).await?;
        if answer.ok() {
            self.world.tally.of(ask.family, |counts| counts.creates += 1);
            return Some(answer);
        }
        self.world.tally.refused(answer.brief());
        // Where a cloud's vendor does not offer it, the story ends and nothing is wrong.
        if !String::from_utf8_lossy(&answer.body).contains("unsupported_parameter") {
            self.world.tally.found("uncreated", ask.family, told(ask, &answer));
        }
        None
    }

    /// A step that cites what is alive, perhaps tried by a thief first.
    pub(super) async fn cite(&mut self, ask: &Ask) -> Option<Answer> {
        if let Some(thief) = self.thief() {
            self.steal(ask, thief).await;
        }
        self.go_on(ask).await
    }

    /// The same without a thief: for sessions that a client invents, where the same name means another session.
    pub(super) async fn go_on(&mut self, ask: &Ask) -> Option<Answer> {
        let answer = self.settle(ask).await?;
        if answer.ok() {
            let delayed = u64::from(answer.retries > 0);
            self.world.tally.of(ask.family, |counts| {
                counts.continues += 1;
                counts.delayed += delayed;
            });
            return Some(answer);
        }
        self.world.tally.refused(answer.brief());
        self.world.tally.found("unusable", ask.family, told(ask, &answer));
        None
    }

    /// Another tenant tries it, once. Whatever it is told, it must not be a success.
    async fn steal(&mut self, ask: &Ask, thief: usize) {
        let targets = self.targets(ask.family).to_vec();
        let target = *self.any(&targets);
        self.world.tally.of(ask.family, |counts| counts.thefts += 1);
        match self.send(ask, thief, target).await {
            Ok(answer) if answer.ok() => self.world.tally.found("stolen", ask.family, told(ask, &answer)),
            Ok(answer) => self.world.tally.rightly(format!("theft: {}", answer.brief())),
            Err(_) => self.world.tally.rightly("theft: no answer".to_owned()),
        }
    }

    /// Deletes, and sees that it is gone.
    pub(super) async fn delete(&mut self, ask: &Ask, look: &Ask) -> Option<()> {
        let answer = self.settle(ask).await?;
        // Tried again, because the first answer was lost, it may be gone already.
        if !answer.ok() && answer.retries == 0 {
            self.world.tally.found("unusable", ask.family, told(ask, &answer));
            return None;
        }
        self.world.tally.of(ask.family, |counts| counts.after_deletion += 1);
        let after = self.settle(look).await?;
        if after.ok() {
            self.world.tally.found("undeleted", look.family, told(look, &after));
        } else {
            self.world.tally.rightly(format!("after deletion: {}", after.brief()));
        }
        Some(())
    }

    /// The first request of a session that this client invents, sent to every replica at once: they must agree.
    pub(super) async fn race(&mut self, ask: &Ask, thread: &mut Thread) -> Option<()> {
        let targets = self.targets(ask.family).to_vec();
        self.world.tally.of(ask.family, |counts| counts.races += 1);
        let mut others = Vec::new();
        for target in targets.iter().take(if self.world.direct() { 1 } else { targets.len() }) {
            let mut twin = Actor {
                world: Arc::clone(&self.world),
                dice: Dice::new(self.dice.next()),
                number: self.number,
                sent: self.sent + (1 << 32) * (others.len() as u64 + 1),
                tenant: self.tenant,
            };
            let (ask, target, tenant) = (ask.clone(), *target, self.tenant);
            others.push(tokio::spawn(async move { twin.send(&ask, tenant, target).await }));
        }
        for other in others {
            // What failed is tried again below; what was answered counts.
            if let Ok(Ok(answer)) = other.await
                && answer.ok()
                && let Some((name, turn)) = answer.turn()
            {
                self.at_home(ask, thread, &name);
                thread.turn = thread.turn.max(turn);
            }
        }
        let answer = self.go_on(ask).await?;
        self.follow(ask, thread, &answer);
        if self.world.shared_names
            && let Some(thief) = self.thief()
        {
            // Being answered is no finding: it may be a session of the thief's own. The clouds say whether it is.
            let _ = self.send(ask, thief, targets[0]).await;
        }
        Some(())
    }

    /// Checks that an answer is a later turn of the same thread at the same cloud.
    pub(super) fn follow(&mut self, ask: &Ask, thread: &mut Thread, answer: &Answer) {
        let Some((name, turn)) = answer.turn() else { return };
        self.follow_turn(ask, thread, &name, turn);
    }

    pub(super) fn follow_turn(&mut self, ask: &Ask, thread: &mut Thread, name: &str, turn: u64) {
        self.at_home(ask, thread, name);
        if turn <= thread.turn {
            let what = format!("{} {}: turn {turn} after turn {}", ask.method, ask.path, thread.turn);
            self.world.tally.found("amnesia", ask.family, what);
        }
        thread.turn = turn;
    }

    fn at_home(&mut self, ask: &Ask, thread: &mut Thread, name: &str) {
        let home = thread.home.get_or_insert_with(|| name.to_owned());
        if home != name {
            let what = format!("{} {}: answered by {name}, and its home is {home}", ask.method, ask.path);
            self.world.tally.found("moved", ask.family, what);
        }
    }
}

/// A request and its answer, in one line.
fn told(ask: &Ask, answer: &Answer) -> String {
    const SHOWN: usize = 600;
    let body: String = String::from_utf8_lossy(&answer.body).chars().take(SHOWN).collect();
    format!("{} {} -> {}: {body}", ask.method, ask.path, answer.brief())
}
