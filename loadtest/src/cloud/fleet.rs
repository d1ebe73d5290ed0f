//! What several clouds know together, and none of them alone: a handle that arrives at a cloud which did not mint it, a
//! session that a client invented and that two clouds have met, a handle of one tenant in another's hands. Judged when a
//! request has arrived, whatever becomes of it afterwards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::core::{MARK, cores};

/// The request header in which a load test's client says whose request it is. A cloud does not act upon it: to a real one,
/// every tenant behind a proxy is the proxy's one account.
pub const TENANT_HEADER: &str = "x-loadtest-tenant";

/// Violations that are kept in words; all are counted.
const TOLD_MAX: usize = 200;

/// The common book of several clouds. Give each [`crate::CloudSpec::fleet`] a clone of the same [`Arc`].
#[derive(Debug, Default)]
pub struct Fleet {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    marks: HashMap<String, Arc<str>>,
    /// Whose each minted handle is, by its core.
    born: HashMap<String, Arc<str>>,
    asserted: HashMap<String, Asserted>,
    counts: FleetCounts,
    told: Vec<Violation>,
}

#[derive(Debug)]
struct Asserted {
    cloud: Arc<str>,
    tenant: Option<Arc<str>>,
}

/// What a fleet has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// Handles that arrived and that some cloud of the fleet had minted, once for each request that brought them.
    pub handles: u64,
    /// Of these, those that arrived at another cloud than their own.
    pub misplaced: u64,
    /// Of these, those that a tenant brought which another had got.
    pub foreign_tenant: u64,
    /// Sessions that clients invented.
    pub sessions: u64,
    /// Requests within them.
    pub turns: u64,
    /// Requests that brought such a session to another cloud than the one that met it first.
    pub scattered: u64,
    /// Requests that brought one to the cloud where another tenant has it.
    pub shared_sessions: u64,
}

/// Something that no proxy may let happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `misplaced`, `foreign_tenant`, `scattered` or `shared_session`.
    pub kind: &'static str,
    /// The cloud where it was seen.
    pub cloud: String,
    /// The request's nonce, if it had one.
    pub nonce: String,
    /// The request's method and path, and what was wrong.
    pub what: String,
}

/// A request, as the fleet looks at it.
pub(crate) struct Arrival<'a> {
    pub(crate) cloud: &'a Arc<str>,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) nonce: &'a str,
    /// Method and path.
    pub(crate) line: &'a str,
    pub(crate) cores: &'a [String],
    /// Kind and id of sessions that a client may invent.
    pub(crate) asserted: &'a [String],
}

/// What the arrival of a request showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) misplaced: bool,
    pub(crate) foreign_tenant: bool,
}

impl Fleet {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no code panics while it holds the fleet's book")
    }

    /// The counters since it was made.
    pub fn counts(&self) -> FleetCounts {
        self.book().counts
    }

    /// The first violations, in the order in which they were seen.
    pub fn violations(&self) -> Vec<Violation> {
        self.book().told.clone()
    }

    pub(crate) fn join(&self, mark: &str, cloud: &Arc<str>) {
        self.book().marks.insert(mark.to_owned(), Arc::clone(cloud));
    }

    /// A tenant got these.
    pub(crate) fn born(&self, tenant: &str, cores: &[String]) {
        let tenant: Arc<str> = tenant.into();
        let mut book = self.book();
        for core in cores {
            book.born.entry(core.clone()).or_insert_with(|| Arc::clone(&tenant));
        }
    }

    pub(crate) fn arrive(&self, arrival: &Arrival<'_>) -> Shown {
        let mut shown = Shown::default();
        let mut book = self.book();
        for core in arrival.cores {
            book.handle(arrival, core, &mut shown);
        }
        for session in arrival.asserted {
            book.session(arrival, session, &mut shown);
        }
        shown
    }
}

impl Book {
    fn handle(&mut self, arrival: &Arrival<'_>, core: &str, shown: &mut Shown) {
        let Some(owner) = self.marks.get(&core[..MARK]).cloned() else { return };
        self.counts.handles += 1;
        if owner != *arrival.cloud {
            shown.misplaced = true;
            self.counts.misplaced += 1;
            self.tell("misplaced", arrival, &format!("{core} was minted at {owner}"));
        }
        let Some(whose) = self.born.get(core).cloned() else { return };
        if arrival.tenant.is_some_and(|tenant| *tenant != *whose) {
            shown.foreign_tenant = true;
            self.counts.foreign_tenant += 1;
            self.tell("foreign_tenant", arrival, &format!("{core} is {whose}'s"));
        }
    }

    fn session(&mut self, arrival: &Arrival<'_>, session: &str, shown: &mut Shown) {
        if cores(session.as_bytes()).iter().any(|core| self.marks.contains_key(&core[..MARK])) {
            return; // minted by a cloud: a handle, and judged as one
        }
        self.counts.turns += 1;
        let Some(known) = self.asserted.get(session) else {
            self.counts.sessions += 1;
            let tenant = arrival.tenant.map(Arc::from);
            self.asserted.insert(session.to_owned(), Asserted { cloud: Arc::clone(arrival.cloud), tenant });
            return;
        };
        let same_tenant = known.tenant.as_deref() == arrival.tenant;
        let same_cloud = known.cloud == *arrival.cloud;
        let first = Arc::clone(&known.cloud);
        match (same_tenant, same_cloud) {
            (true, true) => {}
            (true, false) => {
                shown.misplaced = true;
                self.counts.scattered += 1;
                self.tell("scattered", arrival, &format!("session {session} began at {first}"));
            }
            // Two tenants that invent the same id mean two sessions; at one cloud they would be one.
            (false, true) => {
                shown.foreign_tenant = true;
                self.counts.shared_sessions += 1;
                self.tell("shared_session", arrival, &format!("session {session} is another tenant's"));
            }
            (false, false) => {}
        }
    }

    fn tell(&mut self, kind: &'static str, arrival: &Arrival<'_>, what: &str) {
        if self.told.len() < TOLD_MAX {
            let what = format!("{}: {what}", arrival.line);
            self.told.push(Violation {
                kind,
                cloud: arrival.cloud.to_string(),
                nonce: arrival.nonce.to_owned(),
                what,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "0123456789abcdef0000000000000001";

    #[test]
    fn each_violation_is_noticed() {
        let fleet = Fleet::default();
        let (here, there): (Arc<str>, Arc<str>) = ("here".into(), "there".into());
        fleet.join(&CORE[..MARK], &here);
        fleet.born("acme", &[CORE.to_owned()]);
        let cores = [CORE.to_owned()];
        let session = ["runtime s1".to_owned()];
        let go = |cloud, tenant, cores: &[String], asserted: &[String]| {
            fleet.arrive(&Arrival { cloud, tenant: Some(tenant), nonce: "", line: "GET /", cores, asserted })
        };
        assert_eq!(go(&here, "acme", &cores, &session), Shown::default());
        assert!(go(&there, "acme", &cores, &[]).misplaced);
        assert!(go(&here, "globex", &cores, &[]).foreign_tenant);
        assert!(go(&there, "acme", &[], &session).misplaced);
        assert!(go(&here, "globex", &[], &session).foreign_tenant);
        let counts = fleet.counts();
        assert_eq!((counts.handles, counts.misplaced, counts.foreign_tenant), (3, 1, 1));
        assert_eq!((counts.sessions, counts.scattered, counts.shared_sessions), (1, 1, 1));
        assert_eq!(fleet.violations().len(), 4);
    }
}
