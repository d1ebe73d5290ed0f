//! Which cloud may each request reach? Said in a few lines, or derived from the text of a configuration.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};

use super::contract::{Contract, Life};
use super::facts::Facts;
use crate::drive::Recipe;

/// Stateless or stateful.
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

/// Which clouds each request may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Sets by class; none: anywhere.
    Lines {
        stateless: Option<BTreeSet<String>>,
        stateful: Option<BTreeSet<String>>,
        creates: Class,
    },
    Contract(Contract),
}

impl Default for Rules {
    /// Everything may go anywhere, and what creates state is stateless.
    fn default() -> Self {
        Rules(Source::Lines { stateless: None, stateful: None, creates: Class::Stateless })
    }
}

impl Rules {
    /// From lines such as `stateless=azure`, `stateful=aws,openai` (clouds by name) and `creates=stateful`.
    ///
    /// # Errors
    /// A line is none of these; the message repeats it.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Rules, String> {
        let (mut stateless, mut stateful, mut creates) = (None, None, Class::Stateless);
        for line in lines {
            let clouds = |names: &str| Some(names.split(',').map(|name| name.trim().to_owned()).collect());
            match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("stateless", names)) if !names.is_empty() => stateless = clouds(names),
                Some(("stateful", names)) if !names.is_empty() => stateful = clouds(names),
                Some(("creates", "stateful")) => creates = Class::Stateful,
                Some(("creates", "stateless")) => creates = Class::Stateless,
                _ => {
                    return Err(format!(
                        "{line:?} is no rule: stateless=CLOUDS, stateful=CLOUDS or creates=CLASS"
                    ));
                }
            }
        }
        Ok(Rules(Source::Lines { stateless, stateful, creates }))
    }

    /// From the text of a proxy's configuration: its terms, their dates, the readings, its products and vendors. The oracle reads
    /// and judges them by itself. `read` is given the names of the files that the contract includes, as they are written.
    ///
    /// # Errors
    /// The text is no YAML, lacks a contract, or says something that the oracle cannot judge; the message names the term. So it
    /// does where a file cannot be had.
    pub fn from_config(text: &str, read: impl Fn(&str) -> Result<String, String>) -> Result<Rules, String> {
        Contract::parse(text, read).map(|contract| Rules(Source::Contract(contract)))
    }

    /// Whether sessions may go on where the rules in force leave their cloud out.
    pub(super) fn leases(&self) -> bool {
        matches!(&self.0, Source::Contract(contract) if contract.leases())
    }

    /// The class of a request under these rules: the enforced reading's.
    pub fn class(&self, recipe: &Recipe) -> Class {
        match &self.0 {
            Source::Lines { creates, .. } => match (recipe.cites(), recipe.creates()) {
                (true, _) => Class::Stateful,
                (false, true) => *creates,
                (false, false) => Class::Stateless,
            },
            Source::Contract(contract) => match contract.is_stateful(&Facts::of(recipe)) {
                true => Class::Stateful,
                false => Class::Stateless,
            },
        }
    }

    /// May this request, which arrived at `arrived` and had been sent at most `within` before, reach this cloud? It may if it
    /// might at any instant of its way: when it was judged is not seen from outside.
    pub fn allow(&self, recipe: &Recipe, cloud: &str, arrived: SystemTime, within: Duration) -> bool {
        self.allow_to_go_on(recipe, cloud, arrived, within, &[])
    }

    /// The same for a request that cites what lives there: it may be allowed to go on although the terms in force have changed.
    pub(super) fn allow_to_go_on(
        &self,
        recipe: &Recipe,
        cloud: &str,
        arrived: SystemTime,
        within: Duration,
        lives: &[Life],
    ) -> bool {
        match &self.0 {
            Source::Lines { stateless, stateful, .. } => {
                let set = match self.class(recipe) {
                    Class::Stateless => stateless,
                    Class::Stateful => stateful,
                };
                set.as_ref().is_none_or(|set| set.contains(cloud))
            }
            Source::Contract(contract) => {
                let until = Timestamp::try_from(arrived).unwrap_or(Timestamp::MAX);
                let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
                let from = until.checked_sub(within).unwrap_or(Timestamp::MIN);
                let between = contract.changes().filter(|at| from < *at && *at < until);
                let facts = Facts::of(recipe);
                [from, until].into_iter().chain(between).any(|at| {
                    contract.candidates(&facts, at).contains(cloud)
                        || contract.goes_on(&facts, cloud, at, lives)
                })
            }
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
