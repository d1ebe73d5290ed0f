//! Stages 4 to 7 for what is said on a socket: a message is judged as a request of its own would be, with one handle more, which is the
//! socket itself. So it goes where the socket is connected, or nowhere.

use crate::house::House;
use crate::observe::Observer;
use crate::pins::sealed::Opened;
use crate::read::Read;
use crate::recall::{Lives, Over, cited, in_particular, recall};
use crate::receive::{asked, classified};
use crate::refuse::Refusal;
use crate::relay::head::RequestHead;
use crate::snapshot::Snapshot;
use riparian_config::{CloudName, EndpointName, Grade, Timestamp};
use riparian_filters::decide::{Asker, Moment};
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::identify::SessionId;
use riparian_filters::judge::{Facts, HealthView, Owner, judge};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::rewrite::{self, ModelSpan, Splice};
use riparian_filters::surface::Recognised;
use riparian_filters::table::CloudSet;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What a socket has come to: where it is connected, for whom, and what was said on it.
pub(super) struct Standing {
    /// By name: numbers change with the configuration.
    pub(super) endpoint: EndpointName,
    pub(super) cloud: CloudName,
    /// Whose it is, and what the head that asked for it said of where it may go.
    pub(super) asker: Asker,
    /// What handles that are known nowhere else belong to.
    pub(super) lineage: SessionId,
    /// The model that was named last.
    pub(super) model: Option<String>,
    /// The highest so far.
    pub(super) grade: Grade,
    /// The slots of the signals that were found so far, one bit each.
    pub(super) fired: u64,
    /// When the terms last allowed it to be there.
    pub(super) since: Timestamp,
}

/// Why a message does not go on.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) decision: Option<Box<Decision>>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, decision: None }
    }
}

/// The operation that a socket is, under a configuration; `None` when that has no such socket any more.
pub(super) fn recognise<'h>(policy: &'h Policy, head: &'h RequestHead) -> Option<Recognised<'h>> {
    let recognised = policy.recognise(&asked(head))?;
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
    pub(super) fn may_stay(&mut self, snapshot: &Snapshot, head: &RequestHead) -> Result<(), Reason> {
        let policy = &snapshot.policy;
        let recognised = recognise(policy, head).ok_or(Reason::Unrecognised)?;
        let (surface, now) = (Some(recognised.surface), Timestamp::now());
        let facts = Facts {
            now,
            surface,
            grade: self.grade,
            classes: policy.classes(surface, self.grade, self.fired, self.asker.inner),
            model: self.model.as_deref(),
            caller: self.asker.caller,
            narrow: self.asker.narrow,
            owners: &[self.owner(policy)],
            since: &[self.since],
            // It is open, and that is not to rest.
            rested: Duration::ZERO,
            located: None,
            tenant: self.asker.tenant.affinity(),
            home: policy.home(self.asker.tenant),
            // It is connected: that is all the health that matters.
            health: HealthView::default(),
            affinity: None,
            seed: 0,
            in_flight: &[],
            favoured: CloudSet::NONE,
        };
        let ruling = judge(policy, &facts);
        if ruling.lease.is_none() && ruling.outcome.is_ok() {
            self.since = now;
        }
        ruling.outcome.map(drop)
    }

    /// Judges a message; it may go on, with this change.
    pub(super) async fn judge(
        &mut self,
        house: &Arc<House>,
        head: &RequestHead,
        observer: Option<&Observer>,
        snapshot: &Snapshot,
        recognised: &Recognised<'_>,
        (read, opened): (&Read, &[Opened]),
    ) -> Result<Option<Splice>, Refused> {
        let policy = &snapshot.policy;
        let asked = asked(head);
        let mut classified = classified(policy, Some(recognised), &asked, read.body())?;
        let named = classified.model.as_deref().map(str::to_owned);
        if classified.model.is_none() {
            classified.model = self.model.clone().map(Cow::Owned);
        }
        let cited = cited(policy, self.asker, &classified);
        let owns = |key| observer.is_some_and(|observer| observer.owns(key));
        let lives = Lives { owner: self.owner(policy), session: self.lineage, since: self.since };
        let over = Over { lives, owns: &owns };
        let (health, random) = (HealthView::default(), rand::random());
        let moment =
            Moment { now: Timestamp::now(), health, in_flight: &[], favoured: CloudSet::NONE, random };
        let (decision, known) =
            recall(house, snapshot, head, &classified, &cited, (opened, Some(over)), moment)
                .await
                .map_err(Refusal::from)?;
        let endpoint: EndpointId = match &decision.verdict {
            Verdict::Hold(endpoint) => *endpoint,
            verdict => {
                let refusal = in_particular(verdict.reason(), policy, &classified, &known);
                return Err(Refused { refusal, decision: Some(Box::new(decision)) });
            }
        };
        self.grade = self.grade.max(classified.grade);
        self.fired |= classified.fired;
        self.since = decision.since;
        // A message that names no model is none that begins anything.
        let span =
            Some(read.span(Some(recognised), policy)).filter(|span| matches!(span, ModelSpan::Json(_)));
        let splice = span.and_then(|span| rewrite::splice(policy.place(endpoint), named.as_deref(), &span));
        if named.is_some() {
            self.model = named;
        }
        Ok(splice)
    }
}
