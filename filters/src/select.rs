//! A ruling -> endpoints in the order in which they are tried.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; the weights after Schindelhauer and Schomaker 2005): each endpoint
//! scores `-weight / ln(u)`, where `u` in (0, 1) is a hash of the key and the endpoint's name, and the highest score
//! wins. The same key meets the same endpoint, shares follow the weights, and an endpoint that leaves moves only its own
//! share. The clouds that a term prefers come first, whatever the scores.

use crate::decision::{Candidates, Reason, Verdict};
use crate::judge::{Facts, Ruling};
use crate::policy::{EndpointId, Place, Policy};
use riparian_config::Balance;
use smallvec::SmallVec;

/// Which endpoint, and which next? Computed once a request; retry and failover walk along it.
#[must_use]
pub fn select(policy: &Policy, ruling: &Ruling<'_>, facts: &Facts<'_>) -> Verdict {
    match ruling.outcome {
        Err(reason) => Verdict::Refuse(reason),
        Ok(Some(owner)) => Verdict::Hold(owner),
        Ok(None) => free(policy, ruling, facts),
    }
}

fn free(policy: &Policy, ruling: &Ruling<'_>, facts: &Facts<'_>) -> Verdict {
    let surface = facts.surface.map(|surface| policy.surface(surface));
    let mut serving = policy
        .endpoints_of(ruling.cell.clouds)
        .filter(|(_, place)| place.serves(surface, facts.model))
        .peekable();
    if serving.peek().is_none() {
        return Verdict::Refuse(Reason::NotServed);
    }
    let key = facts.affinity.unwrap_or(facts.seed);
    let mut scored: SmallVec<[(usize, f64, EndpointId); 8]> = serving
        .filter(|(id, _)| !facts.health.is_down(*id))
        .map(|(id, place)| (tier(ruling, place), score(policy.config.balance, key, id, place, facts), id))
        .collect();
    if scored.is_empty() {
        return Verdict::Refuse(Reason::EndpointsDown);
    }
    scored.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    Verdict::Free(scored.into_iter().map(|(_, _, id)| id).collect::<Candidates>())
}

fn tier(ruling: &Ruling<'_>, place: &Place) -> usize {
    let prefer = &ruling.cell.prefer;
    prefer.iter().position(|cloud| *cloud == place.cloud).unwrap_or(prefer.len())
}

fn score(balance: Balance, key: u64, id: EndpointId, place: &Place, facts: &Facts<'_>) -> f64 {
    let weight = f64::from(place.endpoint.weight);
    let hashed = rendezvous(key, place.endpoint.name.as_str(), weight);
    match balance {
        Balance::Rendezvous => hashed,
        Balance::LeastInFlight => {
            let in_flight = facts.in_flight.get(usize::from(id.0)).copied().unwrap_or(0);
            // Endpoints with equally little to do are told apart by the hash, far below one request's worth.
            -f64::from(in_flight + 1) / weight + 1e-12 * unit(mix(key, place.endpoint.name.as_str()))
        }
    }
}

fn rendezvous(key: u64, name: &str, weight: f64) -> f64 {
    -weight / unit(mix(key, name)).ln()
}

/// A hash to a number strictly between 0 and 1: 52 bits, so that every value is exact and 1 is not reached by rounding.
fn unit(hash: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "52 bits fit a double's mantissa")]
    let numerator = (hash >> 12) as f64;
    (numerator + 0.5) / (1u64 << 52) as f64
}

/// FNV-1a over the name, stirred with the key by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). The same on every
/// machine and version, so that replicas agree.
fn mix(key: u64, name: &str) -> u64 {
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut z = name.rotate_left(32) ^ key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn winner(key: u64, names: &[(&'static str, f64)]) -> &'static str {
        names
            .iter()
            .max_by(|a, b| rendezvous(key, a.0, a.1).total_cmp(&rendezvous(key, b.0, b.1)))
            .expect("some")
            .0
    }

    #[test]
    fn shares_follow_the_weights() {
        let names = [("a", 70.0), ("b", 30.0)];
        let keys = 20_000u64;
        let wins = (0..keys).filter(|key| winner(*key, &names) == "a").count();
        assert!((13_700..14_300).contains(&wins), "70 per cent of 20,000 is 14,000; got {wins}");
    }

    #[test]
    fn an_endpoint_that_leaves_moves_only_its_own_share() {
        let all = [("a", 1.0), ("b", 1.0), ("c", 1.0)];
        let left = [("a", 1.0), ("b", 1.0)];
        for key in 0..5_000 {
            let before = winner(key, &all);
            assert!(
                before == "c" || before == winner(key, &left),
                "key {key} moved though its endpoint stayed"
            );
        }
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine() {
        // From a second implementation, in another language. Another value here moves every session of every replica.
        assert_eq!(mix(1, "azure-eastus2"), 0x4cbb_aa1f_7679_4983);
        assert_eq!(mix(2, "azure-eastus2"), 0xd0f7_b9b7_e017_0396);
        assert_eq!(mix(u64::MAX, ""), 0x29fb_0f8f_d0c3_5008);
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }
}
