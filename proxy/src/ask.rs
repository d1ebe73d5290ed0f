//! Unknown handles, where the configuration says `ask`: the endpoints that the contract allows for the request are asked for the handle,
//! each with a harmless GET, one after the other. Whoever has it is its owner from then on.
//!
//! Only designated endpoints are asked, so nothing is told to a cloud that could not have had the request itself.

use crate::house::House;
use crate::pins::Born;
use crate::prepare;
use crate::recall::{Cited, Known, Lives, life, pin, unavailable};
use crate::relay::head::RequestHead;
use crate::relay::upstream::Upstream;
use crate::snapshot::Snapshot;
use http::Method;
use riparian_filters::classify::{Classified, Handle};
use riparian_filters::decide::{Moment, Recalled, decide};
use riparian_filters::decision::{Decision, Reason};
use riparian_filters::identify::{SessionId, SessionSource};
use riparian_filters::judge::Owner;
use riparian_filters::policy::EndpointId;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// How long one endpoint is waited for: a client waits meanwhile, and who does not answer by then is not known to have it.
const WITHIN: Duration = Duration::from_secs(2);

/// Handles of one request that are asked for. A history of hundreds that nobody knows is not a session that goes on.
const HANDLES_MAX: usize = 4;

/// Asks for each handle that is not known; `known` has the owners that were found. True when there are any.
pub(crate) async fn ask(
    house: &Arc<House>,
    snapshot: &Snapshot,
    head: &RequestHead,
    classified: &Classified<'_>,
    cited: &Cited,
    known: &mut [Known],
    moment: Moment<'_>,
) -> Result<bool, Reason> {
    let policy = &snapshot.policy;
    // Where might the request go, if it cited nothing? A known owner is the only place where the others can be.
    let owners: SmallVec<[Owner; 4]> = known.iter().flatten().map(|lives| lives.owner).collect();
    let recalled =
        Recalled { owners: &owners, located: None, lineage: None, since: &[], rested: Duration::ZERO };
    let allowed = decide(policy, classified, &cited.asker, recalled, moment);
    let unknown: SmallVec<[usize; 4]> = (0..known.len())
        .filter(|at| known[*at].is_none() && policy.kind(classified.handles[*at].namespace).ask.is_some())
        .take(HANDLES_MAX)
        .collect();
    let mut found = false;
    for at in unknown {
        let handle = &classified.handles[at];
        for &endpoint in allowed.verdict.endpoints() {
            if !has(house, snapshot, head, handle, endpoint).await {
                continue;
            }
            let session = session(&allowed, moment);
            let pin = pin(policy, endpoint, session, allowed.since);
            let born = Born { key: cited.keys[at], pin, life: life(policy.kind(handle.namespace)) };
            house.pins.learn(cited.asker.tenant, &[born]).await.map_err(|fault| unavailable(&fault))?;
            known[at] = Some(Lives { owner: Owner::Endpoint(endpoint), session, since: allowed.since });
            found = true;
            break;
        }
    }
    Ok(found)
}

fn session(allowed: &Decision, moment: Moment<'_>) -> SessionId {
    let named = allowed.session.filter(|session| session.source != SessionSource::Minted);
    named.map_or_else(|| SessionId::mint(moment.random), |session| session.id)
}

/// Whether an endpoint says that it has a handle.
async fn has(
    house: &House,
    snapshot: &Snapshot,
    head: &RequestHead,
    handle: &Handle<'_>,
    endpoint: EndpointId,
) -> bool {
    let (place, ready) = (snapshot.policy.place(endpoint), snapshot.ready(endpoint));
    let kind = snapshot.policy.kind(handle.namespace);
    let Some(path) = &kind.ask else { return false };
    let asked = async {
        let address = ready.state.address()?;
        let connected = Upstream::connect(&house.connector, place, ready, address).await;
        if matches!(connected, Err(Reason::EgressMismatch)) {
            house.metrics.egress_mismatches.increment(1);
        }
        let (mut upstream, _) = connected.ok()?;
        let request = prepare::question(snapshot, endpoint, path, &handle.value, head)?;
        upstream.send(request, &[]).await.ok()?;
        let answer = upstream.head().await.ok()?;
        let ended = upstream.begin(&answer, &Method::GET);
        if ended {
            upstream.release(&house.connector);
        }
        Some(answer.status.is_success())
    };
    tokio::time::timeout(WITHIN, asked).await.ok().flatten().unwrap_or(false)
}
