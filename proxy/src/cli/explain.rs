//! `riparian explain`: the decision that production would make, without sending anything.
//!
//! The request is read by the same reader, judged by the same function and refused in the same words as a live one; only the
//! clock, the pins and the health of endpoints come from the command line.

mod request;
mod show;

use super::{ConfigFile, Found, text};
use crate::credentials::Secrets;
use crate::read::{Lent, Reader};
use crate::recall::{Known, Lives, conclude, identify, in_particular};
use crate::receive::{classified, fits, head_limits, known};
use crate::refuse::Refusal;
use crate::server::beside;
use request::Request;
use riparian_config::{Config, EndpointName, Grade, Socket, Timestamp};
use riparian_filters::decide::Moment;
use riparian_filters::decision::{Decision, Verdict};
use riparian_filters::head;
use riparian_filters::identify::{Keys, LastTenant, SessionId};
use riparian_filters::judge::{HealthView, Owner};
use riparian_filters::policy::{EndpointId, Policy};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigFile,
    /// A file with a raw HTTP/1.1 request; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Explain as of this instant (RFC 3339, or a date for midnight UTC). Default: now.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<Timestamp>,
    /// Explain as if this handle lived at this endpoint. Others are unknown. Can be given many times.
    #[arg(long = "pin", value_name = "HANDLE=ENDPOINT", value_parser = pin)]
    pins: Vec<(String, String)>,
    /// Explain as if this endpoint were down. Can be given many times.
    #[arg(long = "down", value_name = "ENDPOINT")]
    down: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End with 1 when the request is refused.
    #[arg(long)]
    expect_allowed: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let date = || text.len() == 10 && text.as_bytes()[4] == b'-';
    let full = if date() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse()
        .map_err(|_| "write an instant such as 2026-02-27T00:00:00Z, or a date such as 2026-02-27".to_owned())
}

fn pin(text: &str) -> Result<(String, String), String> {
    // Handles can hold `=`; names of endpoints cannot.
    let (handle, endpoint) =
        text.rsplit_once('=').ok_or("write HANDLE=ENDPOINT, such as resp_1=azure-eastus2")?;
    Ok((handle.to_owned(), endpoint.to_owned()))
}

/// All that can be said of a request.
struct Explanation {
    surface: Option<String>,
    model: Option<String>,
    handles: Vec<(String, String)>,
    decision: Option<Decision>,
    refusal: Option<Refusal>,
    at: Timestamp,
}

impl Explain {
    pub(super) fn run(self) -> Found {
        match self.explain() {
            Ok(found) | Err(found) => found,
        }
    }

    fn explain(self) -> Result<Found, Found> {
        let text = text(&self.config)?;
        let file = self.config.config.display().to_string();
        let config = Config::parse_with(&text, &file, &beside(&file)).map_err(|faults| {
            eprint!("{faults}");
            Found::Something
        })?;
        let keys = keys(&config);
        let mut policy = Policy::compile(config, keys).map_err(Found::Usage)?;
        callers(&mut policy);
        let request = Request::read(&self.request).map_err(Found::Usage)?;
        let pins = self.owners(&policy)?;
        let down = self.down(&policy)?;
        let at = self.at.unwrap_or_else(Timestamp::now);
        let mut explanation =
            Explanation { surface: None, model: None, handles: vec![], decision: None, refusal: None, at };
        if let Err(refusal) = explain(&policy, &request, &pins, &down, &mut explanation) {
            explanation.refusal = Some(refusal);
        }
        match self.format {
            Format::Text => print!("{}", show::text(&policy, &explanation)),
            Format::Json => println!("{:#}", show::json(&policy, &explanation)),
        }
        let refused = explanation.refusal.is_some();
        Ok(if refused && self.expect_allowed { Found::Something } else { Found::Nothing })
    }

    fn owners(&self, policy: &Policy) -> Result<Vec<(String, EndpointId)>, Found> {
        self.pins.iter().map(|(handle, name)| Ok((handle.clone(), endpoint(policy, name)?))).collect()
    }

    fn down(&self, policy: &Policy) -> Result<Vec<u64>, Found> {
        let mut words = vec![0; policy.places().len().div_ceil(64)];
        for name in &self.down {
            let at = usize::from(endpoint(policy, name)?.0);
            words[at / 64] |= 1 << (at % 64);
        }
        Ok(words)
    }
}

fn endpoint(policy: &Policy, name: &str) -> Result<EndpointId, Found> {
    let found = EndpointName::new(name).ok().and_then(|name| policy.endpoint_named(&name));
    found.ok_or_else(|| {
        let known: Vec<_> = policy.places().iter().map(|place| place.endpoint.name.as_str()).collect();
        Found::Usage(format!("no endpoint is called {name}; there are {}", known.join(", ")))
    })
}

/// Callers are known by those of their credentials that can be had here.
fn callers(policy: &mut Policy) {
    for (number, tenant) in policy.config.tenants.named.clone().iter().enumerate() {
        for credential in tenant.credentials.iter().filter_map(|it| Secrets::system().read(it).ok()) {
            // Two with the same one are for `run` to report.
            let _ = policy.know(number, &credential);
        }
    }
}

/// The configured key where it can be had, so that digests match the log's; else one that is the same every time.
fn keys(config: &Config) -> Keys {
    let secret = config.sessions.key.as_ref().and_then(|reference| Secrets::system().read(reference).ok());
    Keys::derive(secret.as_deref().unwrap_or("explain").as_bytes())
}

fn explain(
    policy: &Policy,
    request: &Request,
    pins: &[(String, EndpointId)],
    down: &[u64],
    explanation: &mut Explanation,
) -> Result<(), Refusal> {
    head::check_raw(&request.raw_head, head_limits(policy))
        .map_err(|fault| Refusal::with(fault.reason, fault.what))?;
    head::check(&request.head(), head_limits(policy))
        .map_err(|fault| Refusal::with(fault.reason, fault.what))?;
    let asked = request.head();
    let recognised = policy.recognise(&asked);
    known(policy, &mut LastTenant::default(), &asked)?;
    explanation.surface =
        recognised.as_ref().map(|recognised| policy.surface(recognised.surface).id.to_string());
    let socket = fits(&asked, recognised.as_ref().map(|found| policy.surface(found.surface)))?;
    let mut reader = match (socket, &recognised) {
        // Its body stands for the first message.
        (Some(Socket::Message), Some(found)) if !request.body.is_empty() => {
            Reader::Json(Lent::take(policy.shared_watch(found.surface)))
        }
        (Some(_), _) => Reader::Blind,
        (None, _) => Reader::new(&request.headers, policy, recognised.as_ref())?,
    };
    if request.body.len() as u64 > policy.config.limits.body {
        return Err(Refusal::from(riparian_filters::decision::Reason::BodyTooLarge));
    }
    // As in production, a request without a body is not read.
    if !request.body.is_empty() {
        reader.feed(&request.body)?;
    }
    let read = reader.finish()?;
    let classified = classified(policy, recognised.as_ref(), &asked, read.body())?;
    explanation.model = classified.model.as_deref().map(str::to_owned);
    explanation.handles = classified
        .handles
        .iter()
        .map(|handle| (handle.namespace.to_string(), handle.value.to_string()))
        .collect();

    let (_, cited) = identify(policy, &asked, &mut LastTenant::default(), &classified, |_| Grade::Runtime)?;
    let known: Vec<Known> = classified
        .handles
        .iter()
        .map(|handle| {
            let (_, owner) = pins.iter().find(|(pinned, _)| *pinned == *handle.value)?;
            let (owner, session) = (Owner::Endpoint(*owner), SessionId::mint([0; 16]));
            Some(Lives { owner, session, since: explanation.at })
        })
        .collect();
    let moment = Moment { now: explanation.at, health: HealthView { down }, in_flight: &[], random: [0; 16] };
    let decision = conclude(policy, &classified, &cited, &known, None, |_| None, moment);
    let refusal = match &decision.verdict {
        Verdict::Refuse(reason) => Err(in_particular(*reason, policy, &classified, &known)),
        Verdict::Free(_) | Verdict::Hold(_) => Ok(()),
    };
    explanation.decision = Some(decision);
    refusal
}
