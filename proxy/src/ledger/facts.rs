//! A request's record as an entry: from an allow-list, as the access log's line is.

use super::entry::{Attempt, Entry, Kind, Peer, Usage, cut};
use super::{Kept, Ledger, Unavailable};
use crate::metrics::Outcome;
use crate::record::{Record, Tried};
use crate::relay::met::Met;
use crate::snapshot::Snapshot;
use riparian_config::Timestamp;
use riparian_filters::decision::Decision;
use riparian_filters::policy::EndpointId;
use std::fmt::Write;

/// Clouds that are named for one other reading: with more of them, or more terms, an entry could be too long to be one.
const CLOUDS_MAX: usize = 16;

/// Terms that are named in an entry.
const NAMES_MAX: usize = 128;

impl Ledger {
    /// Writes down that the newest attempt of a request is about to be sent. It may be sent when what this returns has been waited
    /// for.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn sending(&self, record: &Record) -> Result<Kept, Unavailable> {
        let mut entry = of(record, Kind::Sent);
        entry.attempt = Some(record.attempts);
        if let Some(tried) = record.tried.last() {
            at(&mut entry, &record.snapshot, tried.endpoint, tried.met.as_deref());
        }
        self.offer(&entry)
    }

    /// The same for a question about a handle, which is asked before anything is decided.
    pub(crate) fn asking(
        &self,
        snapshot: &Snapshot,
        allowed: &Decision,
        endpoint: EndpointId,
        met: &Met,
    ) -> Result<Kept, Unavailable> {
        let mut entry = Entry::new(Kind::Sent, Timestamp::now().to_string());
        decided(&mut entry, snapshot, allowed);
        entry.reason = Some("asked".into());
        at(&mut entry, snapshot, endpoint, Some(met));
        self.offer(&entry)
    }

    /// Writes down that a request is over.
    pub(crate) fn settled(&self, record: &Record) {
        if record.decision.is_none() {
            return self.counted(match record.outcome {
                Outcome::ClientAbort => Outcome::ClientAbort.as_str(),
                _ => record.reason.as_str(),
            });
        }
        if record.tried.iter().any(|tried| tried.sent) {
            self.ended(&ended(record));
        } else {
            self.refused(record.reason.as_str(), || ended(record));
        }
    }
}

fn ended(record: &Record) -> Entry<'_> {
    let mut entry = of(record, Kind::Ended);
    let attempt = |tried: &'_ Tried| {
        let place = record.snapshot.policy.place(tried.endpoint);
        Attempt {
            cloud: place.cloud_name.as_str().to_owned().into(),
            endpoint: place.endpoint.name.as_str().to_owned().into(),
            peer: tried.met.as_ref().map(|met| peer(&record.snapshot, tried.endpoint, met)),
            sent: tried.sent,
        }
    };
    entry.attempts = record.tried.iter().map(attempt).collect();
    if let Some(endpoint) = record.endpoint {
        at(&mut entry, &record.snapshot, endpoint, None);
    }
    entry.outcome = Some(record.outcome.as_str().into());
    entry.status = Some(record.status);
    entry.request_bytes = Some(record.request_bytes);
    entry.response_bytes = Some(record.response_bytes);
    entry.usage = record.usage.map(|usage| Usage {
        cached: Some(usage.cached),
        input: Some(usage.input),
        output: Some(usage.output),
        partial: usage.partial,
        reasoning: Some(usage.reasoning),
    });
    let took = record.arrived.elapsed().as_micros();
    entry.duration_us = Some(u64::try_from(took).unwrap_or(u64::MAX));
    entry
}

/// What is said of a request whichever entry it is for.
fn of(record: &Record, kind: Kind) -> Entry<'_> {
    let mut entry = Entry::new(kind, Timestamp::now().to_string());
    entry.decision = Some(record.id.to_string().into());
    entry.method = Some(cut(record.method.as_str()));
    entry.model = record.model.as_deref().map(cut);
    entry.surface = Some(record.surface_name().into());
    if let Some(decision) = &record.decision {
        decided(&mut entry, &record.snapshot, decision);
    }
    entry.reason = Some(record.reason.as_str().into());
    entry
}

/// What was decided.
fn decided<'r>(entry: &mut Entry<'r>, snapshot: &'r Snapshot, decision: &Decision) {
    let config = &snapshot.policy.config;
    entry.config = Some((&*snapshot.hash).into());
    let name = |endpoint: &EndpointId| snapshot.policy.place(*endpoint).endpoint.name.as_str().into();
    entry.candidates = decision.verdict.endpoints().iter().map(name).collect();
    let contract = &config.contract;
    for (number, reading) in contract.readings.iter().enumerate() {
        let class = decision.classes.of(number);
        entry.classes.insert(reading.name.as_str().into(), class.as_str().into());
        if let Some(shadow) = decision.shadow.as_ref().filter(|_| class != decision.class) {
            let clouds = shadow.clouds.iter().take(CLOUDS_MAX);
            let clouds: Vec<_> = clouds.map(|cloud| config.clouds[cloud].name.as_str()).collect();
            let said = shadow.refusal.map_or_else(|| clouds.join(" "), |reason| reason.as_str().to_owned());
            entry.shadows.insert(reading.name.as_str().into(), said.into());
        }
    }
    entry.band = decision.in_band.then(|| contract.band.as_str().into());
    entry.lease = decision.lease.map(|lease| lease.as_str().into());
    entry.enforced = Some(config.contract.enforced().name.as_str().into());
    entry.epoch = Some(decision.epoch);
    entry.grade = Some(decision.grade.as_str().into());
    entry.session = decision.session.map(|session| session.id.to_string().into());
    entry.tenant = Some(decision.tenant.to_string().into());
    let terms = decision.terms.iter().take(NAMES_MAX);
    entry.terms = terms.map(|term| config.contract.terms[usize::from(*term)].id.as_str().into()).collect();
    entry.vendor = decision.vendor.map(|vendor| config.surfaces.vendors[vendor].name.as_str().into());
    entry.verdict = Some(decision.verdict.as_str().into());
}

/// Where it goes, or went.
fn at<'r>(entry: &mut Entry<'r>, snapshot: &'r Snapshot, endpoint: EndpointId, met: Option<&Met>) {
    let place = snapshot.policy.place(endpoint);
    entry.cloud = Some(place.cloud_name.as_str().into());
    entry.endpoint = Some(place.endpoint.name.as_str().into());
    entry.peer = met.map(|met| peer(snapshot, endpoint, met));
}

fn peer<'r>(snapshot: &'r Snapshot, endpoint: EndpointId, met: &Met) -> Peer<'r> {
    let url = &snapshot.policy.place(endpoint).endpoint.url;
    Peer {
        address: met.address.to_string().into(),
        certificate_key: met.certificate.as_ref().map(|certificate| hex(&certificate.key).into()),
        sni: url.tls.then(|| url.host.as_str().into()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into memory does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
