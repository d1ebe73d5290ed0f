//! A ruling -> endpoints in the order in which they are tried.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; the weights after Schindelhauer and Schomaker 2005): each endpoint
//! scores `-weight / ln(u)`, where `u` in (0, 1) is a hash of the key and the endpoint's name, and the highest score
//! wins. The same key meets the same endpoint, shares follow the weights, and an endpoint that leaves moves only its own
//! share. The clouds that a term prefers come first, whatever the scores; and of those that it does not tell apart, the ones that a
//! commitment favours.
//!
//! Every endpoint has its say, but few need a logarithm: since `-ln(u) >= 1 - u`, a score is at most `weight / (1 - u)`, and where that
//! does not reach the list, nothing more is worked out. What is left for an endpoint is a hash and a comparison, a
//! nanosecond or two, so that hundreds of endpoints need no table that would have to be right in every state of health.

use crate::decision::{CANDIDATES_MAX, Candidates, Reason, Verdict};
use crate::judge::{Facts, Freedom, HealthView, Ruling};
use crate::policy::{EndpointId, Policy};
use crate::serving::Served;
use crate::table::CloudSet;
use riparian_config::Balance;

/// Which endpoint, and which next? Computed once a request; retry and failover walk along it.
#[must_use]
pub fn select(policy: &Policy, ruling: &Ruling<'_>, facts: &Facts<'_>) -> Verdict {
    match ruling.outcome {
        Err(reason) => Verdict::Refuse(reason),
        Ok(Freedom::Held(owner)) => Verdict::Hold(owner),
        Ok(Freedom::Any) => free(policy, ruling, facts, None),
        Ok(Freedom::Once) => only(free(policy, ruling, facts, None)),
        Ok(Freedom::Home(cloud)) => home(policy, ruling, facts, cloud),
    }
}

/// The first candidate, and no other in its stead.
fn only(mut verdict: Verdict) -> Verdict {
    if let Verdict::Free(candidates) = &mut verdict {
        candidates.truncate(1);
    }
    verdict
}

/// The endpoint that the tenant always has. Were another taken while it is down, that one would answer as if nothing were there.
fn home(policy: &Policy, ruling: &Ruling<'_>, facts: &Facts<'_>, cloud: Option<usize>) -> Verdict {
    let always = Facts {
        affinity: Some(facts.tenant),
        health: HealthView::default(),
        favoured: CloudSet::NONE,
        ..*facts
    };
    let verdict = only(free(policy, ruling, &always, cloud));
    match verdict.endpoints() {
        [one] if facts.health.is_down(*one) => Verdict::Refuse(Reason::OwnerUnavailable),
        _ => verdict,
    }
}

fn free(policy: &Policy, ruling: &Ruling<'_>, facts: &Facts<'_>, cloud: Option<usize>) -> Verdict {
    let mut race = Race {
        policy,
        facts,
        key: facts.affinity.unwrap_or(facts.seed),
        served: policy.serving(facts.surface, facts.model),
        any_serves: false,
        list: List::default(),
    };
    if let Some(cloud) = cloud {
        race.cloud(cloud);
    } else {
        let mut rest = ruling.clouds;
        for &cloud in ruling.cell.prefer.iter().filter(|cloud| ruling.clouds.contains(**cloud)) {
            rest = rest.less(cloud);
            race.cloud(cloud);
            race.list.begin_tier();
        }
        // The rest are equal to the contract, and money may say which comes first. It adds none.
        let favoured = rest.and(facts.favoured);
        if !favoured.is_empty() && !race.list.is_settled() {
            for cloud in favoured.iter() {
                rest = rest.less(cloud);
                race.cloud(cloud);
            }
            race.list.begin_tier();
        }
        if !race.list.is_settled() {
            rest.iter().for_each(|cloud| race.cloud(cloud));
        }
    }
    match race.list.len {
        0 if race.any_serves => Verdict::Refuse(Reason::EndpointsDown),
        0 => Verdict::Refuse(Reason::NotServed),
        _ => Verdict::Free(race.list.endpoints()),
    }
}

/// The endpoints of one request, cloud by cloud.
struct Race<'r> {
    policy: &'r Policy,
    facts: &'r Facts<'r>,
    key: u64,
    served: Served<'r>,
    any_serves: bool,
    list: List,
}

impl Race<'_> {
    fn cloud(&mut self, cloud: usize) {
        for (word, serving) in self.served.in_cloud(cloud) {
            let serving = match self.facts.located {
                Some(located) => serving & located.get(word).copied().unwrap_or(0),
                None => serving,
            };
            self.any_serves |= serving != 0;
            let mut up = serving & !self.facts.health.down.get(word).copied().unwrap_or(0);
            while up != 0 {
                self.endpoint(word * 64 + up.trailing_zeros() as usize);
                up &= up - 1;
            }
        }
    }

    #[inline]
    fn endpoint(&mut self, at: usize) {
        let draw = self.policy.places()[at].draw;
        let unit = unit(stir(self.key, draw.seed));
        let score = match self.policy.config.balance {
            Balance::Rendezvous if draw.weight < self.list.worst * (1.0 - unit) => return,
            Balance::Rendezvous => -draw.weight / unit.ln(),
            Balance::LeastInFlight => {
                let in_flight = self.facts.in_flight.get(at).copied().unwrap_or(0);
                // Endpoints with equally little to do are told apart by the hash, far below one request's worth.
                -f64::from(in_flight + 1) / draw.weight + 1e-12 * unit
            }
        };
        self.list.enter(score, at);
    }
}

/// The best endpoints so far, the best first, tier by tier.
struct List {
    /// Scores and ids.
    entries: [(f64, u16); CANDIDATES_MAX],
    len: usize,
    /// Where the tier begins that is being filled.
    tier: usize,
    /// A score that is not above it does not get in.
    worst: f64,
}

impl Default for List {
    fn default() -> Self {
        Self { entries: [(0.0, 0); CANDIDATES_MAX], len: 0, tier: 0, worst: f64::NEG_INFINITY }
    }
}

impl List {
    /// Takes the endpoint in at its place among those of its tier. Endpoints come in the order of their ids, and of two with one
    /// score the first wins.
    fn enter(&mut self, score: f64, at: usize) {
        if self.len == CANDIDATES_MAX {
            if score <= self.worst {
                return;
            }
            self.len -= 1;
        }
        let mut place = self.len;
        while place > self.tier && self.entries[place - 1].0 < score {
            self.entries[place] = self.entries[place - 1];
            place -= 1;
        }
        self.entries[place] = (score, u16::try_from(at).expect("checked where the policy is compiled"));
        self.len += 1;
        self.see_worst();
    }

    /// What comes from here on stands behind all that is there.
    fn begin_tier(&mut self) {
        self.tier = self.len;
        self.see_worst();
    }

    fn see_worst(&mut self) {
        self.worst = match self.len {
            CANDIDATES_MAX if self.is_settled() => f64::INFINITY,
            CANDIDATES_MAX => self.entries[CANDIDATES_MAX - 1].0,
            _ => f64::NEG_INFINITY,
        };
    }

    /// Is it full of endpoints that stand before all that may still come?
    fn is_settled(&self) -> bool {
        self.tier == CANDIDATES_MAX
    }

    fn endpoints(&self) -> Candidates {
        self.entries[..self.len].iter().map(|(_, id)| EndpointId(*id)).collect()
    }
}

/// What an endpoint's chances are drawn by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    seed: u64,
    weight: f64,
}

impl Draw {
    pub(crate) fn new(name: &str, weight: u32) -> Self {
        Self { seed: seed(name), weight: f64::from(weight) }
    }
}

/// A hash to a number strictly between 0 and 1: 52 bits, so that every value is exact and 1 is not reached by rounding.
fn unit(hash: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "52 bits fit a double's mantissa")]
    let numerator = (hash >> 12) as f64;
    (numerator + 0.5) / (1u64 << 52) as f64
}

/// FNV-1a over an endpoint's name. The same on every machine and version, as [`stir`] is, so that replicas agree.
fn seed(name: &str) -> u64 {
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    name.rotate_left(32)
}

/// A seed stirred with the key by the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
#[inline]
fn stir(key: u64, seed: u64) -> u64 {
    let mut z = seed ^ key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::Keys;
    use crate::judge::judge;
    use crate::readings::Classes;
    use riparian_config::{Config, Grade, Timestamp};

    /// The order as the paper has it: every endpoint scored, all of them sorted.
    fn naive(key: u64, endpoints: &[(&str, u32, usize)]) -> Vec<EndpointId> {
        let mut scored: Vec<(usize, f64, usize)> = endpoints
            .iter()
            .enumerate()
            .map(|(at, (name, weight, tier))| {
                (*tier, -f64::from(*weight) / unit(stir(key, seed(name))).ln(), at)
            })
            .collect();
        scored.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
        scored.into_iter().map(|(.., at)| EndpointId(u16::try_from(at).unwrap())).collect()
    }

    /// A configuration of three clouds; the second is preferred. Each endpoint's name, weight and tier come with it.
    fn policy(count: usize, weight: impl Fn(usize) -> u32) -> (Policy, Vec<(String, u32, usize)>) {
        let mut text =
            String::from("version: 1\nlisteners: [{ name: apps, bind: 127.0.0.1:8080 }]\nclouds:\n");
        let mut endpoints = Vec::new();
        for cloud in 0..3 {
            text.push_str(&format!("  c{cloud}:\n    endpoints:\n"));
            for at in 0..count / 3 + usize::from(cloud < count % 3) {
                let (name, weight) = (format!("e{cloud}-{at}"), weight(endpoints.len()));
                let url = format!("\"http://127.0.0.1:{}\"", 10_000 + endpoints.len());
                text.push_str(&format!(
                    "      - {{ name: {name}, dialect: openai, url: {url}, credential: none, weight: {weight} }}\n"
                ));
                endpoints.push((name, weight, usize::from(cloud != 1)));
            }
        }
        text.push_str("contract:\n  enforce: r\n  readings: { r: { stateful_from: never } }\n");
        text.push_str("  terms: [{ id: all, only: [c0, c1, c2], prefer: [c1] }]\n");
        let config = Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}"));
        (Policy::compile(config, Keys::derive(b"test")).unwrap(), endpoints)
    }

    fn order(policy: &Policy, key: u64, down: &[u64]) -> Verdict {
        favouring(policy, key, down, CloudSet::NONE)
    }

    fn favouring(policy: &Policy, key: u64, down: &[u64], favoured: CloudSet) -> Verdict {
        let now = Timestamp::from_second(1_774_000_000).unwrap();
        let surface = policy.named("POST", "/v1/chat/completions").map(|found| found.surface);
        let facts = Facts {
            model: Some("gpt-5.5"),
            health: HealthView { down },
            affinity: Some(key),
            favoured,
            ..Facts::bare(now, surface, Grade::Pure, Classes::default())
        };
        select(policy, &judge(policy, &facts), &facts)
    }

    /// Money breaks ties: it adds no endpoint, takes none away, and comes behind what the contract prefers.
    #[test]
    fn a_favour_reorders_what_the_contract_does_not_tell_apart() {
        let (policy, _) = policy(9, |_| 1);
        let clouds = |verdict: &Verdict| -> Vec<usize> {
            verdict.endpoints().iter().map(|id| policy.place(*id).cloud).collect()
        };
        for key in 0..200 {
            let plain = order(&policy, key, &[]);
            for bits in 0..16 {
                let favoured = CloudSet::of_bits(bits);
                let verdict = favouring(&policy, key, &[], favoured);
                let [mut with, mut without] = [&verdict, &plain].map(|verdict| verdict.endpoints().to_vec());
                with.sort_unstable_by_key(|id| id.0);
                without.sort_unstable_by_key(|id| id.0);
                assert_eq!(with, without, "the same endpoints, key {key}, favoured {bits:b}");
                let order = clouds(&verdict);
                assert_eq!(
                    order[..3],
                    [1, 1, 1],
                    "the preferred cloud is first, key {key}, favoured {bits:b}"
                );
                match bits & 0b101 {
                    0b001 => assert_eq!(order[3..], [0, 0, 0, 2, 2, 2], "key {key}"),
                    0b100 => assert_eq!(order[3..], [2, 2, 2, 0, 0, 0], "key {key}"),
                    _ => assert_eq!(verdict, plain, "there is no tie to break, key {key}"),
                }
            }
        }
    }

    #[test]
    fn the_list_begins_as_the_whole_order_does() {
        for count in [3, 4, 8, 9, 30, 64, 65, 129, 300] {
            let (policy, endpoints) = policy(count, |at| 1 + u32::try_from(at * at % 97).unwrap());
            let rows: Vec<_> =
                endpoints.iter().map(|(name, weight, tier)| (&**name, *weight, *tier)).collect();
            for key in 0..300 {
                let all = naive(key, &rows);
                assert_eq!(
                    order(&policy, key, &[]).endpoints(),
                    &all[..count.min(CANDIDATES_MAX)],
                    "{count}"
                );
                // Every other one down, and all of the preferred cloud for some keys.
                let mut down = vec![stir(key, 1); count.div_ceil(64)];
                if key % 3 == 0 {
                    for (at, _) in rows.iter().enumerate().filter(|(_, row)| row.2 == 0) {
                        down[at / 64] |= 1 << (at % 64);
                    }
                }
                let view = HealthView { down: &down };
                let up: Vec<_> = all.into_iter().filter(|id| !view.is_down(*id)).collect();
                let expected = match &up[..up.len().min(CANDIDATES_MAX)] {
                    [] => Verdict::Refuse(Reason::EndpointsDown),
                    some => Verdict::Free(Candidates::from_slice(some)),
                };
                assert_eq!(order(&policy, key, &down), expected, "{count}");
            }
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let (policy, endpoints) = policy(60, |at| 1 + u32::try_from(at % 4).unwrap());
        let preferred: u32 =
            endpoints.iter().filter(|(.., tier)| *tier == 0).map(|(_, weight, _)| weight).sum();
        let keys = 100_000_u64;
        let mut wins = vec![0.0_f64; endpoints.len()];
        for key in 0..keys {
            wins[usize::from(order(&policy, key, &[]).endpoints()[0].0)] += 1.0;
        }
        for ((name, weight, tier), won) in endpoints.iter().zip(wins) {
            let due = if *tier == 0 { keys as f64 * f64::from(*weight) / f64::from(preferred) } else { 0.0 };
            // Five standard deviations.
            assert!((won - due).abs() <= 5.0 * due.sqrt(), "{name} of weight {weight}: {won} of {due}");
        }
    }

    #[test]
    fn an_endpoint_that_leaves_moves_only_its_own_share_and_gets_it_back() {
        let (policy, _) = policy(90, |_| 100);
        let first = |key: u64, down: &[u64]| order(&policy, key, down).endpoints()[0];
        for key in 0..20_000 {
            let before = first(key, &[]);
            let second = order(&policy, key, &[]).endpoints()[1];
            let mut down = [0; 2];
            let left = usize::from(before.0);
            down[left / 64] |= 1 << (left % 64);
            assert_eq!(first(key, &down), second, "what comes next is the second of the list");
            let other = if before.0 == 30 { 31 } else { 30 };
            assert_eq!(first(key, &[1 << other, 0]), before, "key {key} moved though its endpoint stayed");
        }
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine() {
        // From a second implementation, in another language. Another value here moves every session of every replica.
        assert_eq!(stir(1, seed("azure-eastus2")), 0x4cbb_aa1f_7679_4983);
        assert_eq!(stir(2, seed("azure-eastus2")), 0xd0f7_b9b7_e017_0396);
        assert_eq!(stir(u64::MAX, seed("")), 0x29fb_0f8f_d0c3_5008);
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }
}
