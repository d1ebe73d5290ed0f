//! `riparian explain`: the decision that production would make, without sending anything; of one request at several moments and under
//! several readings, too.

pub(super) mod compare;

use super::loaded::{Loaded, instant, span};
use super::{ConfigFile, Found};
use crate::explain::curl::curl;
use crate::explain::{Explanation, NOBODYS, Request, Verbosity, World, explain};
use crate::recall::{Known, Lives};
use compare::Compared;
use riparian_config::{Grade, Timestamp};
use riparian_filters::judge::{HealthView, Owner};
use riparian_filters::policy::EndpointId;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigFile,
    /// A file with a raw HTTP/1.1 request; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Explain as of this instant (RFC 3339, or a date for midnight UTC). Default: now. With several, a table of them.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Vec<Timestamp>,
    /// Explain as if this reading alone were in force, without a band. With several, a table of them.
    #[arg(long, value_name = "NAME")]
    reading: Vec<String>,
    /// Explain as if this handle lived at this endpoint. Others are unknown. Can be given many times.
    #[arg(long = "pin", value_name = "HANDLE=ENDPOINT", value_parser = pin)]
    pins: Vec<(String, String)>,
    /// When the terms last allowed what is pinned to be where it is. Default: the instant that is explained.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    since: Option<Timestamp>,
    /// How long the session has rested. Default: since then.
    #[arg(long, value_name = "TIME", value_parser = span)]
    rested: Option<Duration>,
    /// Explain as if this endpoint were down. Can be given many times.
    #[arg(long = "down", value_name = "ENDPOINT")]
    down: Vec<String>,
    /// Explain as if this caller of `tenants` asked, whatever credential is in the request.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Also say of each term that does not speak of the request which of its conditions does not hold.
    #[arg(long)]
    why_not: bool,
    /// Print the `curl` that sends this request to the first listener of a running proxy, and nothing else.
    #[arg(long)]
    curl: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End with 1 when the request is refused.
    #[arg(long)]
    expect_allowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

fn pin(text: &str) -> Result<(String, String), String> {
    // Handles can hold `=`; names of endpoints cannot.
    let (handle, endpoint) =
        text.rsplit_once('=').ok_or("write HANDLE=ENDPOINT, such as resp_1=azure-eastus2")?;
    Ok((handle.to_owned(), endpoint.to_owned()))
}

impl Explain {
    pub(super) fn run(self) -> Found {
        match self.explain() {
            Ok(found) | Err(found) => found,
        }
    }

    fn explain(self) -> Result<Found, Found> {
        let mut loaded = Loaded::read(&self.config, None)?;
        let mut request = Request::read(&self.request).map_err(Found::Usage)?;
        if self.curl {
            let listener = loaded.policy.config.listeners.first().expect("there is at least one");
            println!("{}", curl(&request, listener));
            return Ok(Found::Nothing);
        }
        if let Some(caller) = &self.caller {
            request.comes_from(&loaded.caller(caller)?);
        }
        let given = Given {
            pins: self.owners(&loaded)?,
            since: self.since,
            rested: self.rested,
            down: loaded.down(&self.down)?,
        };
        let moments = if self.at.is_empty() { vec![Timestamp::now()] } else { self.at.clone() };
        let mut readings: Vec<Option<usize>> =
            self.reading.iter().map(|name| loaded.reading(name).map(Some)).collect::<Result<_, _>>()?;
        if readings.len() != 1 {
            // Beside the parties' readings stands what becomes of the request.
            readings.insert(0, None);
        }
        let mut all = Vec::new();
        for at in &moments {
            for reading in &readings {
                let name =
                    reading.map(|number| loaded.policy.config.contract.readings[number].name.to_string());
                let explanation = given.explain(&mut loaded, &request, *at, *reading);
                all.push(Compared { under: name, explanation });
            }
        }
        let refused = all.iter().any(|compared| !compared.explanation.allows());
        match (self.format, &all[..]) {
            (Format::Text, [one]) => {
                print!("{}", one.explanation.text(Verbosity { why_not: self.why_not }));
            }
            (Format::Json, [one]) => println!("{:#}", one.explanation.json()),
            (Format::Text, all) => print!("{}", compare::text(all)),
            (Format::Json, all) => println!("{:#}", compare::json(all)),
        }
        Ok(if refused && self.expect_allowed { Found::Something } else { Found::Nothing })
    }

    fn owners(&self, loaded: &Loaded) -> Result<Vec<(String, EndpointId)>, Found> {
        self.pins.iter().map(|(handle, name)| Ok((handle.clone(), loaded.endpoint(name)?))).collect()
    }
}

/// What is given in the world's stead; the same for `explain` and `test`.
pub(super) struct Given {
    /// Where handles live.
    pub(super) pins: Vec<(String, EndpointId)>,
    pub(super) since: Option<Timestamp>,
    pub(super) rested: Option<Duration>,
    pub(super) down: Vec<u64>,
}

impl Given {
    /// Explains a request at `at`, under one reading alone or as the configuration has it.
    pub(super) fn explain(
        &self,
        loaded: &mut Loaded,
        request: &Request,
        at: Timestamp,
        reading: Option<usize>,
    ) -> Explanation {
        let lives = |handle: &str, _| -> Known {
            let (_, owner) = self.pins.iter().find(|(pinned, _)| pinned == handle)?;
            let (owner, session) = (Owner::Endpoint(*owner), NOBODYS);
            Some(Lives { owner, session, since: self.since.unwrap_or(at) })
        };
        let world = World {
            at,
            health: HealthView { down: &self.down },
            in_flight: &[],
            lives: &lives,
            grade_of: &|_| Grade::Runtime,
            rested: &|_| self.rested,
            // Whoever asks here has no keys: where a sealed handle lives is given, as of any other.
            seals: None,
        };
        explain(loaded.under(reading), request, &world)
    }
}
