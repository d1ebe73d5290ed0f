//! `riparian replay`: recorded decisions under another contract. What would come out otherwise, in requests and tokens?
//!
//! A record is a line of the access log or an exported entry of the ledger: both are JSON, and members are known by their names. Each
//! decision is judged again at its own moment, through the function that production calls, from what the record has.

mod record;
mod sessions;
mod told;

use super::explain::Format;
use super::loaded::Loaded;
use super::{ConfigFile, Found};
use record::{Line, Outcome, Recorded};
use riparian_config::{EndpointName, Grade, InnerCalls, Timestamp};
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::judge::{Facts, Owner, judge};
use riparian_filters::policy::Policy;
use riparian_filters::select::select;
use sessions::Sessions;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;
use told::{Change, Told};

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The contract under which to look at it again.
    #[command(flatten)]
    config: ConfigFile,
    /// Access logs, or exports of the ledger; `-` reads standard input.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The longest line that is read: an entry of the ledger has at most 64 KiB.
const LINE_MAX: u64 = 1 << 20;

impl Replay {
    pub(super) fn run(self) -> Found {
        match self.replay() {
            Ok(found) | Err(found) => found,
        }
    }

    fn replay(self) -> Result<Found, Found> {
        let loaded = Loaded::read(&self.config, None)?;
        let (mut told, mut sessions) = (Told::default(), Sessions::default());
        for log in &self.logs {
            let fault = |error: std::io::Error| Found::Usage(format!("{}: {error}", log.display()));
            if log == Path::new("-") {
                read(&loaded.policy, &mut stdin().lock(), &mut sessions, &mut told).map_err(fault)?;
            } else {
                let file = File::open(log).map_err(fault)?;
                read(&loaded.policy, &mut BufReader::new(file), &mut sessions, &mut told).map_err(fault)?;
            }
        }
        let policy = &loaded.policy;
        match self.format {
            Format::Text => print!("{}", told.text(policy, &loaded.hash)),
            Format::Json => println!("{:#}", told.json(policy, &loaded.hash)),
        }
        if told.lines > 0 && told.unread == told.lines {
            return Err(Found::Usage("no line of it is a record of a decision".to_owned()));
        }
        Ok(if told.changes.is_empty() { Found::Nothing } else { Found::Something })
    }
}

fn read(
    policy: &Policy,
    from: &mut impl BufRead,
    sessions: &mut Sessions,
    told: &mut Told,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_MAX && line.last() != Some(&b'\n') {
            told.lines += 1;
            told.unread += 1;
            skip(from)?;
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        told.lines += 1;
        match record::line(&line) {
            Line::Unread => told.unread += 1,
            Line::Other => told.others += 1,
            Line::Unjudged(count) => told.unjudged += count,
            Line::Decision(recorded) => again(policy, &recorded, sessions, told),
        }
    }
}

/// The rest of a line that is too long.
fn skip(from: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let (used, over) = match from.fill_buf()? {
            [] => return Ok(()),
            bytes => match memchr::memchr(b'\n', bytes) {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            },
        };
        from.consume(used);
        if over {
            return Ok(());
        }
    }
}

/// Judges one decision again.
fn again(policy: &Policy, recorded: &Recorded, sessions: &mut Sessions, told: &mut Told) {
    told.seen(recorded);
    let config = &policy.config;
    let surfaces = &config.surfaces.surfaces;
    let surface = surfaces.iter().position(|surface| surface.id.as_str() == recorded.surface);
    if surface.is_none() && recorded.surface != "unrecognised" {
        told.unknown_surfaces += 1;
    }
    let grade = if surface.is_some() { recorded.grade } else { Grade::Unknown };
    let caller = recorded.caller.as_deref();
    let caller =
        caller.and_then(|name| config.tenants.named.iter().position(|tenant| tenant.name.as_str() == name));
    if config.contract.readings.iter().any(|reading| !reading.signals.is_empty()) {
        told.signals_unknown += 1;
    }
    let inherits = config.contract.readings.iter().any(|reading| reading.inner_calls == InnerCalls::Inherit);
    told.inner_unknown += u64::from(inherits && recorded.within);
    let owners: Vec<Owner> = owner(policy, recorded).into_iter().collect();
    told.assumed_owners += u64::from(!owners.is_empty());
    // Of a session that began before the record does, the record says that it was lawful there at that moment, and of no other.
    let stay = sessions.stay(recorded);
    told.begun_before += u64::from(!owners.is_empty() && stay.is_none());
    let (since, rested) = stay.unwrap_or((recorded.time, Duration::ZERO));
    let since: &[Timestamp] = if owners.is_empty() { &[] } else { std::slice::from_ref(&since) };
    let facts = Facts {
        model: recorded.model.as_deref(),
        caller,
        owners: &owners,
        since,
        rested,
        ..Facts::bare(recorded.time, surface, grade, policy.classes(surface, grade, 0, None))
    };
    let ruling = judge(policy, &facts);
    let named = |cloud: &str| config.clouds.iter().position(|known| known.name.as_str() == cloud);
    let allowed = |cloud: &str| named(cloud).is_some_and(|number| ruling.clouds.contains(number));
    if let Outcome::Cloud(cloud) = &recorded.outcome {
        sessions.seen(recorded, ruling.lease.is_none() && allowed(cloud));
    }
    let verdict = match ruling.outcome {
        Err(reason) => Verdict::Refuse(reason),
        Ok(_) => select(policy, &ruling, &facts),
    };
    let is = outcome(policy, &ruling.cell.prefer, &verdict, recorded);
    if is == recorded.outcome {
        return;
    }
    let terms = ruling.cell.terms.iter();
    let terms = terms.map(|number| config.contract.terms[usize::from(*number)].id.to_string());
    let still = match &recorded.outcome {
        Outcome::Cloud(cloud) => allowed(cloud) && matches!(is, Outcome::Cloud(_)),
        Outcome::Refused(_) => false,
    };
    let change = Change {
        was: recorded.outcome.clone(),
        is,
        still_allowed: still,
        terms_were: recorded.terms.clone(),
        terms_are: terms.collect(),
    };
    told.change(change, recorded);
}

/// Where the state lives that it was sent to because of: where the record has it. State that was not there then is not there now.
fn owner(policy: &Policy, recorded: &Recorded) -> Option<Owner> {
    if let Outcome::Refused(reason) = &recorded.outcome {
        return (reason == Reason::UnknownHandle.as_str()).then_some(Owner::Unknown);
    }
    if !recorded.held {
        return None;
    }
    let named = EndpointName::new(&recorded.endpoint).ok().and_then(|name| policy.endpoint_named(&name));
    let cloud = |id: &riparian_filters::policy::EndpointId| match &recorded.outcome {
        Outcome::Cloud(cloud) => policy.place(*id).cloud_name.as_str() == cloud,
        Outcome::Refused(_) => false,
    };
    Some(named.filter(cloud).map_or(Owner::Removed, Owner::Endpoint))
}

/// What would come out; the recorded cloud where it is as good as the first.
fn outcome(policy: &Policy, prefer: &[usize], verdict: &Verdict, recorded: &Recorded) -> Outcome {
    let first = match verdict {
        Verdict::Refuse(reason) => {
            let passing = |word: &str| Reason::ALL.iter().any(|it| it.as_str() == word && it.is_passing());
            // It was refused for what went on then, and would go nowhere else now.
            return match &recorded.outcome {
                Outcome::Refused(was) if passing(was) => recorded.outcome.clone(),
                _ => Outcome::Refused(reason.as_str().to_owned()),
            };
        }
        Verdict::Hold(owner) => policy.place(*owner),
        Verdict::Free(candidates) => policy.place(candidates[0]),
    };
    match &recorded.outcome {
        Outcome::Cloud(was) => {
            let among = verdict.endpoints().iter().any(|id| policy.place(*id).cloud_name.as_str() == was);
            // Without a preference the clouds take turns by chance.
            if among && !prefer.contains(&first.cloud) {
                recorded.outcome.clone()
            } else {
                Outcome::Cloud(first.cloud_name.to_string())
            }
        }
        // What was not the contract's to refuse would be refused again.
        Outcome::Refused(was) if !record::is_contracts(was) => recorded.outcome.clone(),
        Outcome::Refused(_) => Outcome::Cloud(first.cloud_name.to_string()),
    }
}
