//! What would become of a request, and why: the decision that production would make, and what stands around it. Nothing is sent.
//!
//! The request is read by the same reader, judged by the same function and refused in the same words as a live one; only the
//! clock, the pins and the health of endpoints are given: from the command line by `riparian explain` and `riparian test`, from the
//! running proxy by `POST /explain`. What comes out is one value, in plain words, that text and JSON are two forms of.

pub(crate) mod curl;
mod endpoints;
mod readings;
mod request;
mod terms;
mod text;

use crate::cli::surfaces::words::condition;
use crate::read::{Lent, Reader};
use crate::recall::{Known, conclude, identify, in_particular};
use crate::receive::{classified, fits, head_limits, known};
use crate::refuse::Refusal;
use crate::seals::Opener;
pub(crate) use endpoints::EndpointTold;
use endpoints::Retry;
use readings::{BandTold, ReadingTold};
pub(crate) use request::Request;
use riparian_config::{Grade, Mark, Socket, Timestamp, UnknownHandle};
use riparian_filters::classify::{Classified, HandlePlace};
use riparian_filters::decide::Moment;
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::head;
use riparian_filters::identify::{LastTenant, PinKey, Session, SessionId, SessionSource};
use riparian_filters::judge::{HealthView, Owner};
use riparian_filters::policy::Policy;
use serde::Serialize;
use std::cell::RefCell;
use std::time::Duration;
use terms::{LeaseTold, TermNot, TermTold};
pub(crate) use text::Verbosity;

/// The session of a handle of which only its place is given.
pub(crate) const NOBODYS: SessionId = SessionId::from_bytes([0; 16]);

/// What stands in for the world around a request.
pub(crate) struct World<'w> {
    /// The wall clock.
    pub(crate) at: Timestamp,
    /// Which endpoints are down.
    pub(crate) health: HealthView<'w>,
    /// Requests in flight, by endpoint; empty where nobody knows.
    pub(crate) in_flight: &'w [u32],
    /// Where the handle with this value and key lives.
    pub(crate) lives: &'w dyn Fn(&str, PinKey) -> Known,
    /// The grade of a session in the course of which the request is made.
    pub(crate) grade_of: &'w dyn Fn(SessionId) -> Grade,
    /// How long a session has rested.
    pub(crate) rested: &'w dyn Fn(SessionId) -> Option<Duration>,
    /// What opens seals, where handles bring theirs along.
    pub(crate) seals: Option<&'w RefCell<Opener<'w>>>,
}

/// All that can be said of a request. Tools build on its names: none goes, none changes, and each is there for every verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) at: String,
    pub(crate) epoch: Option<u32>,
    /// When the terms change next.
    pub(crate) next_boundary: Option<String>,
    pub(crate) surface: Option<String>,
    /// The operation in a few words.
    pub(crate) operation: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) vendor: Option<String>,
    /// What was found in it that speaks of state.
    pub(crate) signals: Vec<SignalTold>,
    pub(crate) handles: Vec<String>,
    /// What is known of each handle.
    pub(crate) cited: Vec<CitedTold>,
    pub(crate) grade: &'static str,
    /// What made it that.
    pub(crate) grade_from: String,
    pub(crate) class: &'static str,
    /// The reading that is enforced.
    pub(crate) reading: String,
    pub(crate) readings: Vec<ReadingTold>,
    pub(crate) band: BandTold,
    pub(crate) terms: Vec<String>,
    pub(crate) terms_matched: Vec<TermTold>,
    pub(crate) terms_not_matched: Vec<TermNot>,
    pub(crate) lease: Option<LeaseTold>,
    pub(crate) tenant: Option<String>,
    pub(crate) caller: Option<String>,
    pub(crate) data_region: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) session_from: Option<&'static str>,
    pub(crate) parent_session: Option<String>,
    pub(crate) parent_grade: Option<&'static str>,
    /// The clouds that its own header leaves.
    pub(crate) narrowed_to: Option<Vec<String>>,
    /// Every endpoint of the configuration.
    pub(crate) endpoints: Vec<EndpointTold>,
    pub(crate) candidates: Vec<String>,
    pub(crate) cloud: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) retry: Retry,
    pub(crate) verdict: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) advice: &'static str,
    pub(crate) detail: Option<String>,
    pub(crate) status: u16,
    /// The pin table's keys of its handles.
    #[serde(skip)]
    pub(crate) keys: Vec<PinKey>,
}

/// Something that speaks of state.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SignalTold {
    /// Where in the request: a pointer into its body, `path:`, `query:`, `header:` or `field:` and a name.
    pub(crate) at: String,
    /// What was looked for there, in words.
    pub(crate) when: String,
    /// The grade that it speaks of.
    pub(crate) grade: &'static str,
    /// Whether no other speaks of a higher one.
    pub(crate) decided: bool,
    /// The kind of handle that stands there.
    pub(crate) handle: Option<String>,
}

/// A handle, and what is known of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CitedTold {
    pub(crate) handle: String,
    pub(crate) kind: String,
    /// Where in the request.
    pub(crate) at: String,
    /// `pinned`, `removed`, `located`, `new` or `unknown`.
    pub(crate) state: &'static str,
    pub(crate) endpoint: Option<String>,
    pub(crate) cloud: Option<String>,
    /// When the terms last allowed it to be there.
    pub(crate) since: Option<String>,
}

/// Explains one request.
pub(crate) fn explain(policy: &Policy, request: &Request, world: &World<'_>) -> Explanation {
    let mut told = unread(policy, world.at);
    if let Err(refusal) = fill(policy, request, world, &mut told) {
        told.reason = refusal.reason.as_str();
        told.advice = refusal.reason.advice();
        told.detail = refusal.detail;
        told.status = refusal.status;
        if told.endpoints.is_empty() {
            told.endpoints = endpoints::unchosen(policy, refusal.reason);
            told.retry = Retry::refused(policy, refusal.reason);
        }
    }
    told
}

/// What is true of a request before it is read.
fn unread(policy: &Policy, at: Timestamp) -> Explanation {
    let contract = &policy.config.contract;
    Explanation {
        at: at.to_string(),
        epoch: None,
        next_boundary: policy.table.next_boundary(at).map(|at| at.to_string()),
        surface: None,
        operation: None,
        model: None,
        vendor: None,
        signals: Vec::new(),
        handles: Vec::new(),
        cited: Vec::new(),
        grade: Grade::Unknown.as_str(),
        grade_from: "it was not read".to_owned(),
        // What was not read is of grade unknown, and the enforced reading has a class for that, too.
        class: contract.enforced().class(Grade::Unknown).as_str(),
        reading: contract.enforced().name.to_string(),
        readings: Vec::new(),
        band: BandTold::unread(contract.band),
        terms: Vec::new(),
        terms_matched: Vec::new(),
        terms_not_matched: Vec::new(),
        lease: None,
        tenant: None,
        caller: None,
        data_region: None,
        session: None,
        session_from: None,
        parent_session: None,
        parent_grade: None,
        narrowed_to: None,
        endpoints: Vec::new(),
        candidates: Vec::new(),
        cloud: None,
        endpoint: None,
        retry: Retry::default(),
        verdict: "refuse",
        reason: Reason::Internal.as_str(),
        advice: Reason::Internal.advice(),
        detail: None,
        status: 200,
        keys: Vec::new(),
    }
}

/// The stages in their order, up to the decision; what each found out is told even where the next one refuses.
fn fill(
    policy: &Policy,
    request: &Request,
    world: &World<'_>,
    told: &mut Explanation,
) -> Result<(), Refusal> {
    let malformed = |fault: head::HeadFault| Refusal::with(fault.reason, fault.what);
    head::check_raw(&request.raw_head, head_limits(policy)).map_err(malformed)?;
    let bare = world.seals.and_then(|seals| request.opened(&mut seals.borrow_mut()));
    let request = bare.as_ref().unwrap_or(request);
    let asked = request.head();
    head::check(&asked, head_limits(policy)).map_err(malformed)?;
    let recognised = policy.recognise(&asked);
    let surface = recognised.as_ref().map(|recognised| policy.surface(recognised.surface));
    known(policy, &mut LastTenant::default(), &asked)?;
    told.surface = surface.map(|surface| surface.id.to_string());
    told.operation = surface.map(|surface| surface.title.clone());
    let mut reader = match (fits(&asked, surface)?, &recognised) {
        // Its body stands for the first message.
        (Some(Socket::Message), Some(found)) if !request.body.is_empty() => {
            Reader::Json(Lent::take(policy.shared_watch(found.surface)))
        }
        (Some(_), _) => Reader::Blind,
        (None, _) => Reader::new(&request.headers, policy, recognised.as_ref())?,
    };
    if request.body.len() as u64 > policy.config.limits.body {
        return Err(Refusal::from(Reason::BodyTooLarge));
    }
    // As in production, a request without a body is not read.
    if !request.body.is_empty() {
        let chunk = std::iter::once(request.body.as_slice());
        let bare = world.seals.and_then(|seals| seals.borrow_mut().body(&reader, chunk));
        reader.feed(bare.as_deref().unwrap_or(&request.body))?;
    }
    let read = reader.finish()?;
    let classified = classified(policy, recognised.as_ref(), &asked, read.body())?;
    told.found(policy, &classified);

    let grade_of = |session| (world.grade_of)(session);
    let (identity, cited) = identify(policy, &asked, &mut LastTenant::default(), &classified, grade_of)?;
    let caller = identity.caller.map(|number| &policy.config.tenants.named[number]);
    told.caller = caller.map(|caller| caller.name.to_string());
    told.data_region = caller.and_then(|caller| Some(caller.data_region.as_ref()?.to_string()));
    told.parent_session = identity.parent.map(|session| session.to_string());
    told.parent_grade = cited.asker.inner.map(Grade::as_str);
    told.narrowed_to = cited.asker.narrow.map(|clouds| endpoints::names(policy, clouds));
    told.keys = cited.keys.to_vec();
    let lives = classified.handles.iter().zip(&cited.keys);
    let known: Vec<Known> = lives.map(|(handle, key)| (world.lives)(&handle.value, *key)).collect();
    told.recalled(policy, &classified, &known);
    let moment = Moment {
        now: world.at,
        health: world.health,
        in_flight: world.in_flight,
        favoured: riparian_filters::table::CloudSet::NONE,
        random: [0; 16],
    };
    let rested = |session| (world.rested)(session);
    let decision = conclude(policy, &classified, &cited, &known, None, rested, moment);
    let subject = Subject {
        policy,
        at: world.at,
        classified: &classified,
        asker: &cited.asker,
        known: &known,
        health: world.health,
        decision: &decision,
    };
    told.decided(&subject);
    match decision.verdict {
        Verdict::Refuse(reason) => {
            let mut refusal = in_particular(reason, policy, &classified, &known);
            if reason == Reason::UnknownHandle && would_ask(policy, &classified, &known) {
                refusal.detail = Some(
                    "nobody was asked; the running proxy, with `sessions.unknown_handle: ask`, first asks each endpoint that the contract allows \
                     for the request, and says this when none of them has it"
                        .to_owned(),
                );
            }
            Err(refusal)
        }
        Verdict::Free(_) | Verdict::Hold(_) => Ok(()),
    }
}

/// Whether a live request would have an unknown handle asked for.
fn would_ask(policy: &Policy, classified: &Classified<'_>, known: &[Known]) -> bool {
    let mut unknown = classified.handles.iter().zip(known).filter(|(_, known)| known.is_none());
    policy.config.sessions.unknown_handle == UnknownHandle::Ask
        && unknown.any(|(handle, _)| policy.kind(handle.namespace).ask.is_some())
}

/// A decision, and what it was made from.
struct Subject<'s, 'c> {
    policy: &'s Policy,
    at: Timestamp,
    classified: &'s Classified<'c>,
    asker: &'s riparian_filters::decide::Asker,
    known: &'s [Known],
    health: HealthView<'s>,
    decision: &'s Decision,
}

impl Explanation {
    /// Whether it goes anywhere.
    pub(crate) fn allows(&self) -> bool {
        self.verdict != "refuse"
    }

    /// As JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("text, numbers and lists of them")
    }

    /// The same for eyes that may see no handle: each stands there as its digest.
    pub(crate) fn without_handles(mut self) -> Self {
        for ((handle, cited), key) in self.handles.iter_mut().zip(&mut self.cited).zip(&self.keys) {
            *handle = key.to_string();
            cited.handle.clone_from(handle);
        }
        self
    }

    fn found(&mut self, policy: &Policy, classified: &Classified<'_>) {
        let surface = classified.surface.map(|number| policy.surface(number));
        self.model = classified.model.as_deref().map(str::to_owned);
        self.grade = classified.grade.as_str();
        let signals = surface.map_or(&[][..], |surface| &surface.signals);
        let fired = signals.iter().enumerate().filter(|(slot, _)| classified.fired & (1 << slot) != 0);
        self.signals = fired
            .map(|(_, signal)| SignalTold {
                at: signal.at.to_string(),
                when: condition(signal).replace('`', ""),
                grade: signal.grade.as_str(),
                decided: signal.grade == classified.grade,
                handle: signal.handle.as_ref().map(ToString::to_string),
            })
            .collect();
        let deciding: Vec<&str> =
            self.signals.iter().filter(|signal| signal.decided).map(|signal| &*signal.at).collect();
        self.grade_from = match (surface, &deciding[..]) {
            (None, _) => "the operation is not recognised".to_owned(),
            (Some(surface), _) if surface.grade == classified.grade => "the operation itself".to_owned(),
            (Some(_), at) => at.join(", "),
        };
        let place = |place| match place {
            HandlePlace::Path => "path".to_owned(),
            HandlePlace::Signal(slot) => signals[slot].at.to_string(),
        };
        self.handles = classified.handles.iter().map(|handle| handle.value.to_string()).collect();
        let cited = |handle: &riparian_filters::classify::Handle<'_>| CitedTold {
            handle: handle.value.to_string(),
            kind: handle.namespace.to_string(),
            at: place(handle.place),
            state: "unknown",
            endpoint: None,
            cloud: None,
            since: None,
        };
        self.cited = classified.handles.iter().map(cited).collect();
    }

    fn recalled(&mut self, policy: &Policy, classified: &Classified<'_>, known: &[Known]) {
        for ((cited, known), handle) in self.cited.iter_mut().zip(known).zip(&classified.handles) {
            let Some(lives) = known else {
                let holders = || policy.holders(&handle.value);
                cited.state = match handle.mark {
                    Some(Mark::Asserted) => "new",
                    Some(Mark::Located) if holders().iter().any(|word| *word != 0) => "located",
                    _ => "unknown",
                };
                continue;
            };
            cited.since = Some(lives.since.to_string());
            cited.state = "removed";
            if let Owner::Endpoint(owner) = lives.owner {
                let place = policy.place(owner);
                cited.state = "pinned";
                cited.endpoint = Some(place.endpoint.name.to_string());
                cited.cloud = Some(place.cloud_name.to_string());
            }
        }
    }

    fn decided(&mut self, subject: &Subject<'_, '_>) {
        let Subject { policy, decision, .. } = *subject;
        self.grade = decision.grade.as_str();
        self.class = decision.class.as_str();
        self.epoch = Some(decision.epoch);
        self.vendor = decision.vendor.map(|vendor| policy.config.surfaces.vendors[vendor].name.to_string());
        self.tenant = Some(decision.tenant.to_string());
        // What would be minted cannot be foreseen.
        let known = |session: &Session| session.source != SessionSource::Minted && session.id != NOBODYS;
        let stays = decision.session.filter(known);
        self.session = stays.map(|session| session.id.to_string());
        self.session_from = decision.session.map(|session| session.source.as_str());
        let cells = terms::Cells::of(subject);
        self.readings = readings::told(subject, &cells);
        self.band = BandTold::of(subject, &cells);
        self.terms = terms::ids(policy, &decision.terms);
        self.terms_matched = terms::matched(subject, &cells);
        self.terms_not_matched = terms::not_matched(subject, &cells);
        self.lease = terms::lease(subject);
        self.endpoints = endpoints::told(subject, &cells);
        self.candidates = endpoints::named(policy, decision.verdict.endpoints());
        let first = decision.verdict.endpoints().first().map(|id| policy.place(*id));
        self.cloud = first.map(|place| place.cloud_name.to_string());
        self.endpoint = first.map(|place| place.endpoint.name.to_string());
        self.retry = Retry::of(subject);
        self.verdict = decision.verdict.as_str();
        self.reason = decision.verdict.reason().as_str();
        self.advice = decision.verdict.reason().advice();
    }
}
