//! An independent judge. From plain rules it knows which clouds each request may reach; from the clouds' own lists it knows
//! which it did reach. It takes nobody's word for it, least of all the proxy's headers.
//!
//! It covers what the driver of `run` sends: chat completions, embeddings, responses and conversations of the OpenAI dialect,
//! the terms that ask about their class, grade, surface, vendor and model under every reading, continuations that outlive a term,
//! and misplaced handles of every kind. It does not cover the other families, sockets, sealed blobs and tenants: what becomes of these is judged by the clouds' common book
//! ([`crate::Fleet`]), which `state` reads.

mod contract;
mod facts;
mod lives;
mod rules;
mod written;
pub(crate) mod yaml;

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use crate::cloud::{FakeCloud, Outcome, Seen, sha256};
use crate::drive::{Manners, Run, Sample, Verdict};

use lives::Lives;
pub use rules::{Class, Rules};

/// What one endpoint saw.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The contracting party.
    pub cloud: String,
    /// The endpoint's own name.
    pub endpoint: String,
    /// Its list; it must not have forgotten anything of the run, see [`crate::CloudSpec::seen_max`].
    pub seen: Vec<Seen>,
}

impl From<&FakeCloud> for Sight {
    fn from(cloud: &FakeCloud) -> Self {
        Sight { cloud: cloud.cloud().to_owned(), endpoint: cloud.name().to_owned(), seen: cloud.seen() }
    }
}

/// Something that must not happen: which request, where, what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The request's nonce; empty if it had none.
    pub nonce: String,
    /// The endpoint that saw it; empty if only the client did.
    pub endpoint: String,
    /// What happened.
    pub what: String,
}

/// Everything that the oracle found. Only [`Findings::unanswered`] and [`Findings::cut`] can be the fault of a cloud; whether
/// they are findings depends on whether the test broke one behind the driver's back.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// A request reached a cloud outside the rules.
    pub leaks: Vec<Finding>,
    /// A handle reached an endpoint that never made it.
    pub misplaced: Vec<Finding>,
    /// A body arrived otherwise than it was sent, apart from the model's name; or an answer did; or half a body arrived that
    /// looks whole.
    pub altered: Vec<Finding>,
    /// Part of one request's answer was in another's, or all of it.
    pub cross_talk: Vec<Finding>,
    /// A stream looked complete and was not, or a request that every cloud failed on request looked answered.
    pub broken: Vec<Finding>,
    /// A credential that is not the endpoint's reached it.
    pub stray_credentials: Vec<Finding>,
    /// A successful answer to a request that no endpoint saw, or a request that nobody sent.
    pub unexplained: Vec<Finding>,
    /// Streams that broke off, and could be seen to.
    pub cut: Vec<Finding>,
    /// Requests without an answer.
    pub unanswered: Vec<Finding>,
    /// Requests that arrived more than once.
    pub repeated: Vec<Finding>,
    /// Answers missing or visibly cut where the client behaved badly or the fault was asked for: no findings.
    pub excused: u64,
}

impl Findings {
    /// The findings that no fault of a cloud excuses.
    pub fn violations(&self) -> impl Iterator<Item = (&'static str, &Finding)> {
        let lists = [
            ("leak", &self.leaks),
            ("misplaced continuation", &self.misplaced),
            ("altered body", &self.altered),
            ("cross-talk", &self.cross_talk),
            ("broken stream", &self.broken),
            ("stray credential", &self.stray_credentials),
            ("unexplained", &self.unexplained),
            ("repeated request", &self.repeated),
        ];
        lists.into_iter().flat_map(|(name, list)| list.iter().map(move |finding| (name, finding)))
    }

    /// Nothing at all was found.
    pub fn is_clean(&self) -> bool {
        self.violations().next().is_none() && self.cut.is_empty() && self.unanswered.is_empty()
    }
}

/// Judges a run by what its clouds saw.
pub fn judge(rules: &Rules, run: &Run, sights: &[Sight]) -> Findings {
    let samples: HashMap<&str, &Sample> =
        run.samples.iter().map(|sample| (sample.recipe.nonce.as_str(), sample)).collect();
    let mut findings = Findings::default();
    let mut arrivals: HashMap<&str, Vec<&Seen>> = HashMap::new();
    let clock = Clock::now();
    for sight in sights {
        // What began where is of interest only where it may outlive a term.
        let lives = rules.leases().then(|| Lives::of(sight, &samples));
        for seen in &sight.seen {
            let nonce = seen.nonce.as_deref().unwrap_or_default();
            arrivals.entry(nonce).or_default().push(seen);
            let sample = samples.get(nonce).copied();
            let judge = Judge { rules, clock, sight, seen, lives: lives.as_ref() };
            judge.arrival(sample, &mut findings);
        }
    }
    for sample in &run.samples {
        let arrivals = arrivals.get(sample.recipe.nonce.as_str()).map_or(&[][..], Vec::as_slice);
        judge_answer(sample, arrivals, &mut findings);
    }
    findings
}

/// The wall clock's time at an instant of the monotonic one.
#[derive(Clone, Copy)]
struct Clock {
    wall: SystemTime,
    instant: Instant,
}

impl Clock {
    fn now() -> Clock {
        Clock { wall: SystemTime::now(), instant: Instant::now() }
    }

    fn wall(self, at: Instant) -> SystemTime {
        self.wall - self.instant.saturating_duration_since(at)
    }
}

/// One arrival at one endpoint.
struct Judge<'a> {
    rules: &'a Rules,
    clock: Clock,
    sight: &'a Sight,
    seen: &'a Seen,
    lives: Option<&'a Lives<'a>>,
}

impl Judge<'_> {
    fn finding(&self, what: String) -> Finding {
        let nonce = self.seen.nonce.clone().unwrap_or_default();
        Finding { nonce, endpoint: self.sight.endpoint.clone(), what }
    }

    fn line(&self) -> String {
        format!("{} {}", self.seen.method, self.seen.target)
    }

    fn arrival(&self, sample: Option<&Sample>, findings: &mut Findings) {
        let Judge { sight, seen, .. } = self;
        if seen.outcome == Outcome::ForeignHandle || seen.misplaced {
            findings.misplaced.push(self.finding(format!("{} cites {}", self.line(), seen.cited.join(", "))));
        }
        if seen.stray_credential {
            findings.stray_credentials.push(self.finding(self.line()));
        }
        let Some(sample) = sample else {
            findings.unexplained.push(self.finding(format!("nobody sent {}", self.line())));
            return;
        };
        let way = sample.duration.saturating_add(Duration::from_millis(1));
        let lives = self.lives.map(|lives| lives.cited_by(seen, self.clock)).unwrap_or_default();
        let arrived = self.clock.wall(seen.at);
        if !self.rules.allow_to_go_on(&sample.recipe, &sight.cloud, arrived, way, &lives) {
            let class = self.rules.class(&sample.recipe).name();
            findings.leaks.push(self.finding(format!("{class} {} reached {}", self.line(), sight.cloud)));
        }
        self.body(sample, findings);
        if seen.outcome == Outcome::Faulted
            && sample.recipe.streams()
            && sample.verdict == Verdict::Whole
            && seen.status == 200
        {
            let what = format!("{} was cut here and looks complete to the client", self.line());
            findings.broken.push(self.finding(what));
        }
    }

    /// Is the body that arrived the one that was sent, but for the model's name?
    fn body(&self, sample: &Sample, findings: &mut Findings) {
        let Judge { seen, .. } = self;
        // A body that did not arrive in full has no digest; neither has any at a cloud that does not digest.
        if seen.body_sha256 == [0; 32] {
            return;
        }
        if sample.recipe.manners == Manners::VanishSending {
            let what = format!("{}: {} bytes look whole, and half was sent", self.line(), seen.body_bytes);
            findings.altered.push(self.finding(what));
            return;
        }
        // Where a fault or the client ended it before it was read, the name of the model in it may not be known, and then it
        // cannot be made again.
        let ended_unread = matches!(seen.outcome, Outcome::Faulted | Outcome::Open | Outcome::ClientGone);
        let parsed = !ended_unread || seen.body_model.is_some() || sample.recipe.model.is_none();
        if parsed && sha256(&sample.recipe.body(seen.body_model.as_deref())) != seen.body_sha256 {
            findings.altered.push(self.finding(format!("{}, {} bytes", self.line(), seen.body_bytes)));
        }
    }
}

fn judge_answer(sample: &Sample, arrivals: &[&Seen], findings: &mut Findings) {
    let finding = |what: &str| Finding {
        nonce: sample.recipe.nonce.clone(),
        endpoint: String::new(),
        what: what.to_owned(),
    };
    match &sample.verdict {
        Verdict::Whole if arrivals.is_empty() => {
            findings.unexplained.push(finding("answered, but no endpoint saw it"));
        }
        Verdict::Whole => {
            if sample.recipe.fails() {
                findings.broken.push(finding("looks answered in full, although every cloud was to fail it"));
            } else if is_altered(sample, arrivals) {
                let what =
                    format!("the answer of {} bytes is not the one that was given", sample.answer_bytes);
                findings.altered.push(finding(&what));
            }
        }
        Verdict::Cut(_) | Verdict::Unanswered(_) if sample.recipe.excuses() => findings.excused += 1,
        Verdict::Refused | Verdict::Left => {}
        Verdict::Cut(why) => findings.cut.push(finding(why)),
        Verdict::Broken(why) => findings.broken.push(finding(why)),
        Verdict::CrossTalk(why) => findings.cross_talk.push(finding(why)),
        Verdict::Unanswered(why) => findings.unanswered.push(finding(why)),
    }
    if arrivals.len() > 1 {
        findings.repeated.push(finding(&format!("arrived {} times", arrivals.len())));
    }
}

/// Whether no endpoint gave the answer that the client read. What was not digested on both sides is not known.
fn is_altered(sample: &Sample, arrivals: &[&Seen]) -> bool {
    let digest = |seen: &&&Seen| seen.answer_sha256 != [0; 32];
    let mut given = arrivals.iter().filter(digest).map(|seen| seen.answer_sha256).peekable();
    sample.answer_sha256 != [0; 32]
        && given.peek().is_some()
        && !given.any(|given| given == sample.answer_sha256)
}
