//! The terms that speak of a request, and the first condition for which each other one does not.

use super::Subject;
use riparian_config::{Class, CloudName, Config, Grade, Pattern, Term, When};
use riparian_filters::policy::Policy;
use riparian_filters::table::{Cell, Kind};
use serde::Serialize;

/// What the contract says of a request under the enforced reading, and under those that make the other class of it.
pub(super) struct Cells<'p> {
    pub(super) own: &'p Cell,
    /// Only where the readings differ.
    pub(super) other: Option<&'p Cell>,
    class: Class,
}

impl<'p> Cells<'p> {
    pub(super) fn of(subject: &Subject<'p, '_>) -> Self {
        let Subject { policy, at, decision, .. } = *subject;
        let cell = |class| policy.table.at(at, kind(subject, class)).1;
        let other = decision.shadow.is_some().then(|| cell(decision.class.other()));
        Self { own: cell(decision.class), other, class: decision.class }
    }

    /// What readings say that make this of it.
    pub(super) fn of_class(&self, class: Class) -> &'p Cell {
        self.other.filter(|_| class != self.class).unwrap_or(self.own)
    }
}

fn kind(subject: &Subject<'_, '_>, class: Class) -> Kind {
    let Subject { policy, classified, asker, decision, .. } = *subject;
    Kind {
        vendor: decision.vendor,
        surface: classified.surface,
        grade: classified.grade,
        class,
        caller: asker.caller,
        group: policy.table.group(classified.model.as_deref()),
    }
}

/// A term that speaks of the request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TermTold {
    pub(crate) id: String,
    pub(crate) cite: Option<String>,
    pub(crate) parties: Vec<String>,
    pub(crate) approved_by: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) never: Vec<String>,
    pub(crate) prefer: Vec<String>,
    pub(crate) on_expiry: &'static str,
    /// Whether it speaks of it under the enforced reading; else only under one that makes the other class of it.
    pub(crate) enforced: bool,
}

/// A term that does not speak of the request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TermNot {
    pub(crate) id: String,
    pub(crate) cite: Option<String>,
    /// The first condition that does not hold.
    pub(crate) why: String,
    /// Whether it names the request's vendor.
    pub(crate) same_vendor: bool,
}

/// By which kind of expiry a session goes on that the terms in force would not allow any more.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LeaseTold {
    pub(crate) on_expiry: &'static str,
    /// When the terms last allowed it.
    pub(crate) since: String,
    /// The terms that allowed it then and have ended.
    pub(crate) terms: Vec<String>,
}

/// The names of terms by their numbers.
pub(super) fn ids(policy: &Policy, numbers: &[u16]) -> Vec<String> {
    let terms = &policy.config.contract.terms;
    numbers.iter().map(|number| terms[usize::from(*number)].id.to_string()).collect()
}

/// Those that matched, the enforced reading's first.
pub(super) fn matched(subject: &Subject<'_, '_>, cells: &Cells<'_>) -> Vec<TermTold> {
    let terms = &subject.policy.config.contract.terms;
    let names = |clouds: &[CloudName]| clouds.iter().map(ToString::to_string).collect::<Vec<_>>();
    let told = |number: u16, enforced| {
        let term = &terms[usize::from(number)];
        TermTold {
            id: term.id.to_string(),
            cite: term.cite.clone(),
            parties: term.parties.clone(),
            approved_by: term.approved_by.clone(),
            from: term.from.map(|at| at.to_string()),
            until: term.until.map(|at| at.to_string()),
            only: term.only.as_deref().map(names),
            never: names(&term.never),
            prefer: names(&term.prefer),
            on_expiry: term.on_expiry.as_str(),
            enforced,
        }
    };
    let others = cells.other.map_or(&[][..], |other| &other.terms);
    let others = others.iter().filter(|number| !cells.own.terms.contains(number));
    let own = cells.own.terms.iter().map(|number| told(*number, true));
    own.chain(others.map(|number| told(*number, false))).collect()
}

/// All others, each with the first condition that fails.
pub(super) fn not_matched(subject: &Subject<'_, '_>, cells: &Cells<'_>) -> Vec<TermNot> {
    let Subject { policy, decision, .. } = *subject;
    let vendor = decision.vendor.map(|vendor| &policy.config.surfaces.vendors[vendor].name);
    let spoken = |number: &u16| {
        cells.own.terms.contains(number) || cells.other.is_some_and(|other| other.terms.contains(number))
    };
    let others = (0u16..).zip(&policy.config.contract.terms).filter(|(number, _)| !spoken(number));
    others
        .map(|(_, term)| TermNot {
            id: term.id.to_string(),
            cite: term.cite.clone(),
            why: first_failing(subject, term).unwrap_or_else(|| "its conditions do not hold".to_owned()),
            same_vendor: vendor.is_some_and(|vendor| term.when.vendors.contains(vendor)),
        })
        .collect()
}

/// The first condition of a term that does not hold, in the order in which people ask: when, whose, what, who.
fn first_failing(subject: &Subject<'_, '_>, term: &Term) -> Option<String> {
    let Subject { policy, at, classified, decision, asker, .. } = *subject;
    let config = &policy.config;
    if let Some(until) = term.until.filter(|until| *until <= at) {
        return Some(format!("it ended at {until}"));
    }
    if let Some(from) = term.from.filter(|from| *from > at) {
        return Some(format!("it begins at {from}"));
    }
    let when = &term.when;
    let vendor = decision.vendor.map(|vendor| &config.surfaces.vendors[vendor].name);
    if !when.vendors.is_empty() && !vendor.is_some_and(|vendor| when.vendors.contains(vendor)) {
        let vendor = vendor.map_or("nobody's".to_owned(), |vendor| format!("{vendor}'s"));
        return Some(format!("it speaks of the vendor {}, and this is {vendor}", list(&when.vendors)));
    }
    if let Some(class) = when.class.filter(|class| *class != decision.class) {
        let reading = &config.contract.enforced().name;
        return Some(format!("it speaks of {class} calls, and this is {} under {reading}", decision.class));
    }
    let grade = classified.grade;
    if grade == Grade::Unknown && !when.grades.contains(&grade) {
        return Some("it does not name the grade unknown".to_owned());
    }
    if !when.grades.is_empty() && !when.grades.contains(&grade) {
        return Some(format!("it speaks of grade {}, and this is {grade}", list(&when.grades)));
    }
    let surface = classified.surface.map(|number| policy.surface(number).id.as_str());
    let among = |patterns: &[Pattern]| {
        surface.is_some_and(|surface| patterns.iter().any(|pattern| pattern.matches(surface)))
    };
    if !when.surfaces.is_empty() && !among(&when.surfaces) {
        let surface = surface.unwrap_or("not recognised");
        return Some(format!("it speaks of {}, and this is {surface}", list(&when.surfaces)));
    }
    if !when.products.is_empty() && !products(config, when).any(|product| among(&product.surfaces)) {
        return Some(format!("it speaks of the product {}, and this is none of it", list(&when.products)));
    }
    let model = classified.model.as_deref();
    let named = model.is_some_and(|model| when.models.iter().any(|pattern| pattern.matches(model)));
    if !when.models.is_empty() && !named {
        let model = model.unwrap_or("no model");
        return Some(format!("it speaks of the model {}, and this is {model}", list(&when.models)));
    }
    let caller = asker.caller.map(|number| &config.tenants.named[number]);
    if !when.tenants.is_empty() && !caller.is_some_and(|caller| when.tenants.contains(&caller.name)) {
        let caller = caller.map_or("nobody with a name", |caller| caller.name.as_str());
        return Some(format!("it speaks of the tenant {}, and {caller} asks", list(&when.tenants)));
    }
    let region = caller.and_then(|caller| caller.data_region.as_ref());
    if !when.data_regions.is_empty() && !region.is_some_and(|region| when.data_regions.contains(region)) {
        let region = region.map_or("none", riparian_config::DataRegion::as_str);
        return Some(format!(
            "it speaks of the data region {}, and the caller's is {region}",
            list(&when.data_regions)
        ));
    }
    None
}

fn products<'c>(config: &'c Config, when: &'c When) -> impl Iterator<Item = &'c riparian_config::Product> {
    config.products.iter().filter(|product| when.products.contains(&product.name))
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// The lease by which it goes on, with the terms that it lives by.
pub(super) fn lease(subject: &Subject<'_, '_>) -> Option<LeaseTold> {
    let Subject { policy, at, decision, .. } = *subject;
    let on_expiry = decision.lease?;
    let latest = policy.table.latest(at);
    let terms = &policy.config.contract.terms;
    let then = |class| policy.table.at(decision.since, kind(subject, class)).1;
    let differ = decision.classes.differ(policy.config.contract.readings.len());
    let cells = [Some(then(decision.class)), differ.then(|| then(decision.class.other()))];
    let mut ended: Vec<u16> =
        cells.into_iter().flatten().flat_map(|cell| cell.terms.iter().copied()).collect();
    ended.retain(|number| !terms[usize::from(*number)].is_in_force(latest));
    ended.sort_unstable();
    ended.dedup();
    Some(LeaseTold {
        on_expiry: on_expiry.as_str(),
        since: decision.since.to_string(),
        terms: ids(policy, &ended),
    })
}
