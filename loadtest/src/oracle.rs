//! An independent judge. From plain rules it knows which clouds each request may reach; from the clouds' own lists it knows
//! which it did reach. It takes nobody's word for it, least of all the proxy's headers.

use std::collections::{BTreeSet, HashMap};

use crate::cloud::{FakeCloud, Outcome, Seen, sha256};
use crate::drive::{Recipe, Run, Sample, Verdict};

/// Stateless or stateful, by the simple reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It neither cites state nor, if the rules say so, creates any.
    Stateless,
    /// It cites `previous_response_id` or a conversation, or creates either, if the rules count that.
    Stateful,
}

impl Class {
    /// `stateless` or `stateful`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Stateless => "stateless",
            Class::Stateful => "stateful",
        }
    }
}

/// Which clouds each class may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    stateless: Option<BTreeSet<String>>,
    stateful: Option<BTreeSet<String>>,
    creates: Class,
}

impl Default for Rules {
    /// Everything may go anywhere, and what creates state is stateless.
    fn default() -> Self {
        Rules { stateless: None, stateful: None, creates: Class::Stateless }
    }
}

impl Rules {
    /// From lines such as `stateless=azure`, `stateful=aws,openai` (clouds by name) and `creates=stateful`.
    ///
    /// # Errors
    /// A line is none of these; the message repeats it.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Rules, String> {
        let mut rules = Rules::default();
        for line in lines {
            let clouds = |names: &str| Some(names.split(',').map(|name| name.trim().to_owned()).collect());
            match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("stateless", names)) if !names.is_empty() => rules.stateless = clouds(names),
                Some(("stateful", names)) if !names.is_empty() => rules.stateful = clouds(names),
                Some(("creates", "stateful")) => rules.creates = Class::Stateful,
                Some(("creates", "stateless")) => rules.creates = Class::Stateless,
                _ => {
                    return Err(format!(
                        "{line:?} is no rule: stateless=CLOUDS, stateful=CLOUDS or creates=CLASS"
                    ));
                }
            }
        }
        Ok(rules)
    }

    /// The class of a request under these rules.
    pub fn class(&self, recipe: &Recipe) -> Class {
        match (recipe.cites(), recipe.creates()) {
            (true, _) => Class::Stateful,
            (false, true) => self.creates,
            (false, false) => Class::Stateless,
        }
    }

    /// May a request of this class reach this cloud?
    pub fn allow(&self, class: Class, cloud: &str) -> bool {
        let set = match class {
            Class::Stateless => &self.stateless,
            Class::Stateful => &self.stateful,
        };
        set.as_ref().is_none_or(|set| set.contains(cloud))
    }
}

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

/// Everything that the oracle found. Only [`Findings::unanswered`], [`Findings::cut`] and [`Findings::repeated`] can be
/// the fault of a cloud; whether they are findings depends on whether the test broke one.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// A request reached a cloud outside the rules.
    pub leaks: Vec<Finding>,
    /// A handle reached an endpoint that never made it.
    pub misplaced: Vec<Finding>,
    /// A body arrived otherwise than it was sent, apart from the model's name.
    pub altered: Vec<Finding>,
    /// Part of one request's answer was in another's.
    pub cross_talk: Vec<Finding>,
    /// A stream looked complete and was not.
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
    let mut arrivals: HashMap<&str, u32> = HashMap::new();
    for sight in sights {
        for seen in &sight.seen {
            let nonce = seen.nonce.as_deref().unwrap_or_default();
            *arrivals.entry(nonce).or_default() += 1;
            let sample = samples.get(nonce).copied();
            judge_arrival(rules, sight, seen, sample, &mut findings);
        }
    }
    for sample in &run.samples {
        let times = arrivals.get(sample.recipe.nonce.as_str()).copied().unwrap_or_default();
        judge_answer(sample, times, &mut findings);
    }
    findings
}

fn judge_arrival(
    rules: &Rules,
    sight: &Sight,
    seen: &Seen,
    sample: Option<&Sample>,
    findings: &mut Findings,
) {
    let finding = |what: String| Finding {
        nonce: seen.nonce.clone().unwrap_or_default(),
        endpoint: sight.endpoint.clone(),
        what,
    };
    let line = || format!("{} {}", seen.method, seen.target);
    if seen.outcome == Outcome::ForeignHandle {
        findings.misplaced.push(finding(format!("{} cites {}", line(), seen.cited.join(", "))));
    }
    if seen.stray_credential {
        findings.stray_credentials.push(finding(line()));
    }
    let Some(sample) = sample else {
        findings.unexplained.push(finding(format!("nobody sent {}", line())));
        return;
    };
    let class = rules.class(&sample.recipe);
    if !rules.allow(class, &sight.cloud) {
        findings.leaks.push(finding(format!("{} {} reached {}", class.name(), line(), sight.cloud)));
    }
    // A body that did not arrive in full has no digest; neither has any at a cloud that does not digest. One that met a fault
    // was not parsed, so the name of the model in it is not known, and it cannot be made again.
    let parsed =
        seen.outcome != Outcome::Faulted || seen.body_model.is_some() || sample.recipe.model.is_none();
    let arrived = seen.body_sha256 != [0; 32] && parsed;
    if arrived && sha256(&sample.recipe.body(seen.body_model.as_deref())) != seen.body_sha256 {
        findings.altered.push(finding(format!("{}, {} bytes", line(), seen.body_bytes)));
    }
    if seen.outcome == Outcome::Faulted
        && sample.recipe.streams()
        && sample.verdict == Verdict::Whole
        && seen.status == 200
    {
        findings.broken.push(finding(format!("{} was cut here and looks complete to the client", line())));
    }
}

fn judge_answer(sample: &Sample, times: u32, findings: &mut Findings) {
    let finding = |what: &str| Finding {
        nonce: sample.recipe.nonce.clone(),
        endpoint: String::new(),
        what: what.to_owned(),
    };
    match &sample.verdict {
        Verdict::Whole if times == 0 => {
            findings.unexplained.push(finding("answered, but no endpoint saw it"));
        }
        Verdict::Whole | Verdict::Refused | Verdict::Left => {}
        Verdict::Cut(why) => findings.cut.push(finding(why)),
        Verdict::Broken(why) => findings.broken.push(finding(why)),
        Verdict::CrossTalk(why) => findings.cross_talk.push(finding(why)),
        Verdict::Unanswered(why) => findings.unanswered.push(finding(why)),
    }
    if times > 1 {
        findings.repeated.push(finding(&format!("arrived {times} times")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{Manners, Shape, Step};

    fn recipe(step: Step) -> Recipe {
        let nonce = "nonce-0000000000000001".to_owned();
        Recipe {
            shape: Shape::Chat,
            step,
            turn: 1,
            nonce,
            model: None,
            padding_bytes: 0,
            body_bytes: None,
            script: None,
            manners: Manners::Good,
            fault: None,
        }
    }

    #[test]
    fn rules_are_read_as_written() {
        let rules = Rules::parse(["stateless=azure", "stateful=aws,openai", "creates=stateful"])
            .expect("three rules");
        let response = |store, previous: Option<&str>| Step::Response {
            stream: false,
            store,
            previous: previous.map(str::to_owned),
            conversation: None,
        };
        let table = [
            (Step::Chat { stream: false }, Class::Stateless),
            (response(false, None), Class::Stateless),
            (response(true, None), Class::Stateful),
            (response(false, Some("resp_1")), Class::Stateful),
            (Step::NewConversation, Class::Stateful),
        ];
        for (step, class) in table {
            assert_eq!(rules.class(&recipe(step.clone())), class, "{step:?}");
        }
        assert!(rules.allow(Class::Stateful, "openai") && !rules.allow(Class::Stateless, "openai"));
        assert!(Rules::default().allow(Class::Stateful, "anywhere"));
        for line in ["stateless", "stateless=", "state=azure", "creates=maybe"] {
            assert!(Rules::parse([line]).is_err(), "{line:?} is no rule");
        }
    }
}
