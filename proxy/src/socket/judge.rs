//! Stages 4 to 7 for what is said on a socket: a message is judged as a request of its own would be, with one handle more, which is the
//! socket itself. So it goes where the socket is connected, or nowhere.

use super::births::Births;
use crate::house::House;
use crate::read::Read;
use crate::receive::{classified, in_particular, recall};
use crate::refuse::Refusal;
use crate::relay::head::RequestHead;
use crate::snapshot::Snapshot;
use riparian_config::{CloudName, EndpointName, Grade, Timestamp};
use riparian_filters::decide::{Moment, Recalled, decide};
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::identify::{Session, Tenant};
use riparian_filters::judge::{Facts, HealthView, Owner, judge};
use riparian_filters::policy::Policy;
use riparian_filters::rewrite::{self, ModelSpan, Splice};
use riparian_filters::surface::Recognised;
use smallvec::SmallVec;

/// What a socket has come to: where it is connected, for whom, and what was said on it.
pub(super) struct Standing {
    /// By name: numbers change with the configuration.
    pub(super) endpoint: EndpointName,
    pub(super) cloud: CloudName,
    pub(super) tenant: Tenant,
    pub(super) session: Option<Session>,
    /// The model that was named last.
    pub(super) model: Option<String>,
    /// The highest so far.
    pub(super) grade: Grade,
}

/// Why a message does not go on.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) decision: Option<Box<Decision>>,
}

/// The operation that a socket is, under a configuration; `None` when that has no such socket any more.
pub(super) fn recognise<'h>(policy: &Policy, head: &'h RequestHead) -> Option<Recognised<'h>> {
    let recognised = policy.recognise(head.method.as_str(), head.uri.path())?;
    policy.surface(recognised.surface).socket?;
    Some(recognised)
}

impl Standing {
    /// Where the socket is connected, as `policy` numbers it.
    fn owner(&self, policy: &Policy) -> Owner {
        match policy.endpoint_named(&self.endpoint) {
            Some(endpoint) if policy.place(endpoint).cloud_name == self.cloud => Owner::Endpoint(endpoint),
            _ => Owner::Removed,
        }
    }

    /// Whether the contract in force allows the socket to go on.
    pub(super) fn may_stay(&self, snapshot: &Snapshot, head: &RequestHead) -> Result<(), Reason> {
        let policy = &snapshot.policy;
        let recognised = recognise(policy, head).ok_or(Reason::Unrecognised)?;
        let facts = Facts {
            now: Timestamp::now(),
            surface: Some(recognised.surface),
            grade: self.grade,
            model: self.model.as_deref(),
            owners: &[self.owner(policy)],
            // It is connected: that is all the health that matters.
            health: HealthView::default(),
            affinity: None,
            seed: 0,
            in_flight: &[],
        };
        judge(policy, &facts).outcome.map(drop)
    }

    /// Judges a message; it may go on, with this change.
    pub(super) fn judge(
        &mut self,
        house: &House,
        births: &Births,
        snapshot: &Snapshot,
        recognised: &Recognised<'_>,
        read: &Read,
    ) -> Result<Option<Splice>, Refused> {
        let policy = &snapshot.policy;
        let before = self.model.clone();
        let mut classified = classified(policy, Some(recognised), read.body())
            .map_err(|refusal| Refused { refusal, decision: None })?;
        let named = classified.model.map(str::to_owned);
        classified.model = classified.model.or(before.as_deref());
        let here = self.owner(policy);
        let owners: SmallVec<[Owner; 4]> = classified
            .handles
            .iter()
            .map(|handle| {
                let key = policy.keys.pin(self.tenant, handle.namespace.as_str(), handle.value);
                if births.knows(key) { here } else { recall(house, policy, key).0 }
            })
            .chain([here])
            .collect();
        let moment = Moment {
            now: Timestamp::now(),
            health: HealthView::default(),
            in_flight: &[],
            random: rand::random(),
        };
        let recalled = Recalled { owners: &owners, lineage: None };
        let decision = decide(policy, &classified, self.tenant, self.session, recalled, moment);
        let endpoint = match &decision.verdict {
            Verdict::Hold(endpoint) => *endpoint,
            verdict => {
                let refusal = in_particular(verdict.reason(), policy, &classified);
                return Err(Refused { refusal, decision: Some(Box::new(decision)) });
            }
        };
        self.grade = self.grade.max(classified.grade);
        let span = match read.span(Some(recognised), policy) {
            // A message that names no model is none that begins anything.
            span @ ModelSpan::Json(_) => span,
            _ => ModelSpan::None,
        };
        drop(classified);
        let splice = rewrite::splice(policy.place(endpoint), named.as_deref(), &span);
        self.model = named.or(self.model.take());
        Ok(splice)
    }
}
