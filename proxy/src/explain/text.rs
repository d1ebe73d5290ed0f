//! An explanation for people: line by line, in the order of the stages.

use super::Explanation;
use std::fmt::Write;

/// How much is said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verbosity {
    /// Also of the terms that do not speak of the request.
    pub(crate) why_not: bool,
}

struct Lines(String);

impl Lines {
    fn line(&mut self, label: &str, value: impl AsRef<str>) {
        // A `String` takes whatever is written to it.
        let _ = writeln!(self.0, "{label:<11}{}", printable(value.as_ref()));
    }
}

/// What a client or a file says does not move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Explanation {
    /// For a terminal.
    pub(crate) fn text(&self, verbosity: Verbosity) -> String {
        let mut out = Lines(String::new());
        self.request(&mut out);
        if self.epoch.is_some() {
            self.contract(&mut out, verbosity);
        }
        self.verdict(&mut out);
        out.0
    }

    fn request(&self, out: &mut Lines) {
        out.line("surface", self.surface.as_deref().unwrap_or("unrecognised"));
        if let Some(model) = &self.model {
            out.line("model", model);
        }
        for signal in &self.signals {
            let cites = signal.handle.as_ref().map_or(String::new(), |kind| format!(", cites a {kind}"));
            let decided = if signal.decided { ", which is the highest" } else { "" };
            out.line("signal", format!("{}: {}{cites}{decided}", signal.when, signal.grade));
        }
        for cited in &self.cited {
            out.line("handle", format!("{} ({})", cited.handle, cited.kind));
            let at = &cited.at;
            let told = match (cited.state, &cited.endpoint) {
                ("pinned", Some(endpoint)) => format!(
                    "at {at}; it lives at {endpoint}, as the terms allowed at {}",
                    cited.since.as_deref().unwrap_or("no time that is known")
                ),
                ("removed", _) => format!("at {at}; it lived at an endpoint that is no longer configured"),
                ("located", _) => format!("at {at}; the configuration says where it is"),
                ("new", _) => format!("at {at}; nobody knows it yet: it is bound where it goes now"),
                _ => format!("at {at}; nobody here knows it"),
            };
            out.line("", told);
        }
    }

    fn contract(&self, out: &mut Lines, verbosity: Verbosity) {
        out.line("grade", self.grade);
        out.line("", format!("from {}", self.grade_from));
        out.line("class", format!("{} under {}", self.class, self.reading));
        for told in &self.readings {
            let clouds = match told.refusal {
                Some(refusal) => format!("refused: {refusal}"),
                None => told.clouds.join(", "),
            };
            let enforced = if told.enforced { " (enforced)" } else { "" };
            out.line("reading", format!("{}{enforced}: {}: {clouds}", told.reading, told.class));
            out.line("", &told.why);
        }
        if let Some(does) = &self.band.does {
            out.line("band", format!("{}: {does}", self.band.band));
        }
        if let Some(vendor) = &self.vendor {
            out.line("vendor", vendor);
        }
        if let Some(from) = self.session_from {
            let unnamed = if from == "minted" { "a new one" } else { "that of what it cites" };
            out.line("session", format!("{} (from {from})", self.session.as_deref().unwrap_or(unnamed)));
        }
        if let (Some(parent), Some(grade)) = (&self.parent_session, self.parent_grade) {
            out.line("within", format!("the session {parent}, of grade {grade}"));
        }
        if let Some(caller) = &self.caller {
            let region =
                self.data_region.as_ref().map_or(String::new(), |region| format!(", data in {region}"));
            out.line("caller", format!("{caller}{region}"));
        }
        out.line("tenant", self.tenant.as_deref().unwrap_or("none"));
        if let Some(clouds) = &self.narrowed_to {
            out.line("narrowed", format!("by its own header to {}", clouds.join(", ")));
        }
        let epoch = self.epoch.map_or(String::new(), |epoch| format!(", epoch {epoch}"));
        out.line("at", format!("{}{epoch}", self.at));
        if let Some(next) = &self.next_boundary {
            out.line("", format!("the terms change next at {next}"));
        }
        for term in &self.terms_matched {
            let cite = term.cite.as_ref().map_or(String::new(), |cite| format!(": {cite}"));
            out.line(if term.enforced { "term" } else { "other term" }, format!("{}{cite}", term.id));
        }
        if verbosity.why_not {
            for term in &self.terms_not_matched {
                out.line("no term", format!("{}: {}", term.id, term.why));
            }
        }
        if let Some(lease) = &self.lease {
            let (on_expiry, terms) = (lease.on_expiry, lease.terms.join(", "));
            out.line(
                "lease",
                format!("{on_expiry}, by {terms}, which has ended; lawful until {}", lease.since),
            );
        }
    }

    fn verdict(&self, out: &mut Lines) {
        out.line("verdict", self.verdict);
        let turns = self.endpoints.iter().filter_map(|told| Some((told.turn?, told)));
        let mut turns: Vec<_> = turns.collect();
        turns.sort_by_key(|(turn, _)| *turn);
        for (turn, told) in turns {
            let place = format!("{} in {}", told.endpoint, told.cloud);
            match (self.verdict, turn) {
                ("hold", _) => out.line("goes to", format!("{place}, and nowhere else")),
                (_, 1) => out.line("goes to", place),
                _ => out.line("then to", place),
            }
            out.line("", &told.why);
        }
        for told in self.endpoints.iter().filter(|told| told.turn.is_none() && self.epoch.is_some()) {
            out.line("not to", format!("{} in {}: {}", told.endpoint, told.cloud, told.why));
        }
        if !self.allows() {
            out.line("reason", format!("{}, status {}", self.reason, self.status));
            let detail = self.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
            out.line("", format!("{}{detail}", self.advice));
        }
        let next = match &self.retry.next[..] {
            [] => self.retry.why.clone(),
            next => format!("{} ({})", next.join(", then "), self.retry.why),
        };
        out.line("retry", next);
    }
}
