//! Totals of money, commitments and shares: exact, counted without a lock, and kept over a restart.
//!
//! Each total is an [`Account`], known by a name that a restart does not change. Requests add to accounts that they have at hand; the
//! [`Book`] has them all, shows them, and hands them to its file once a second. What a `kill -9` takes away is what that second
//! brought; an orderly end takes nothing.

mod charges;
mod file;

pub(crate) use charges::{Charge, Charges};
pub use file::BookFault;

use crate::locks::Mutex;
use arc_swap::ArcSwapOption;
use file::File;
use metrics::Counter;
use riparian_config::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Picos in a millionth.
const PICOS: u128 = 1_000_000;

/// A total, in picos of a currency or of tokens. It only grows.
#[derive(Debug)]
pub(crate) struct Account {
    /// Whole millionths, and what was added beside them: together they never overflow, and each addition is one instruction.
    millionths: AtomicU64,
    picos: AtomicU64,
    /// When it began.
    since: Timestamp,
    shown: OnceLock<Shown>,
}

struct Shown(Counter);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl Account {
    fn new(millionths: u64, picos: u64, since: Timestamp) -> Self {
        let (millionths, picos) = (AtomicU64::new(millionths), AtomicU64::new(picos));
        Self { millionths, picos, since, shown: OnceLock::new() }
    }

    /// Adds picos.
    pub(crate) fn add(&self, picos: u128) {
        let whole = u64::try_from(picos / PICOS).unwrap_or(u64::MAX / 2);
        self.millionths.fetch_add(whole, Ordering::Relaxed);
        let rest = u64::try_from(picos % PICOS).expect("less than a million");
        if rest > 0 {
            self.picos.fetch_add(rest, Ordering::Relaxed);
        }
    }

    /// Whole millionths.
    pub(crate) fn millionths(&self) -> u64 {
        let rest = u64::try_from(u128::from(self.picos.load(Ordering::Relaxed)) / PICOS).unwrap_or(0);
        self.millionths.load(Ordering::Relaxed).saturating_add(rest)
    }

    /// When it began.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Book {
    accounts: Mutex<BTreeMap<String, Arc<Account>>>,
    /// Whether there is any account: where no money is counted, whoever looks takes no lock.
    any: AtomicBool,
    /// The commitments in force, to be shown and steered by.
    charges: ArcSwapOption<Charges>,
    file: Mutex<Option<File>>,
}

impl Book {
    /// The account of that name, which begins now when there is none. `show` makes the counter that shows its millionths.
    pub(crate) fn account(&self, name: &str, show: Option<&dyn Fn() -> Counter>) -> Arc<Account> {
        self.any.store(true, Ordering::Release);
        let mut accounts = self.accounts.lock().expect("no holder of this lock panics");
        let new = || Arc::new(Account::new(0, 0, Timestamp::now()));
        let account = Arc::clone(accounts.entry(name.to_owned()).or_insert_with(new));
        if let Some(show) = show {
            account.shown.get_or_init(|| Shown(show()));
        }
        account
    }

    /// Reads the totals that a file has kept, and keeps them there from now on. To be called before anything is added.
    ///
    /// # Errors
    /// When the file is there and cannot be read or written, or is no such file: money that is forgotten is worse than a start that fails.
    pub fn open(&self, path: &Path) -> Result<(), BookFault> {
        let (file, kept) = File::open(path)?;
        self.any.store(true, Ordering::Release);
        let mut accounts = self.accounts.lock().expect("no holder of this lock panics");
        for (name, kept) in kept {
            let account = Arc::new(Account::new(kept.millionths, kept.picos, kept.since));
            if let Some(Shown(counter)) = accounts.get(&name).and_then(|before| before.shown.get()) {
                let _ = account.shown.set(Shown(counter.clone()));
            }
            accounts.insert(name, account);
        }
        *self.file.lock().expect("no holder of this lock panics") = Some(file);
        Ok(())
    }

    /// The names of all accounts.
    pub(crate) fn names(&self) -> Vec<String> {
        self.accounts.lock().expect("no holder of this lock panics").keys().cloned().collect()
    }

    /// Writes what is left, and lets go of the file.
    pub fn close(&self) {
        self.write();
        *self.file.lock().expect("no holder of this lock panics") = None;
    }

    /// Says by what charges commitments are shown and steered from now on.
    pub(crate) fn in_force(&self, charges: Arc<Charges>) {
        let now = Timestamp::now();
        charges.steer(now);
        if let Some(before) = &*self.charges.load() {
            before.hide();
        }
        charges.show(now);
        self.charges.store(Some(charges));
    }

    /// Brings what is shown up to date.
    pub(crate) fn show(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        for account in self.accounts.lock().expect("no holder of this lock panics").values() {
            if let Some(Shown(counter)) = account.shown.get() {
                counter.absolute(account.millionths());
            }
        }
        if let Some(charges) = &*self.charges.load() {
            charges.show(Timestamp::now());
        }
    }

    /// Steers anew by where commitments stand now. To be called each second.
    pub(crate) fn steer(&self) {
        if let Some(charges) = &*self.charges.load() {
            charges.steer(Timestamp::now());
        }
    }

    /// Writes what has changed into the file, if there is one; blocks until the disk has it. True when nothing is left unwritten.
    pub fn write(&self) -> bool {
        let mut file = self.file.lock().expect("no holder of this lock panics");
        let Some(file) = &mut *file else { return true };
        let accounts = self.accounts.lock().expect("no holder of this lock panics").clone();
        let kept = accounts.iter().map(|(name, account)| {
            let millionths = account.millionths.load(Ordering::Relaxed);
            let picos = account.picos.load(Ordering::Relaxed);
            (name.as_str(), file::Kept { millionths, picos, since: account.since })
        });
        match file.write(kept) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the meter's totals are not written yet");
                false
            }
        }
    }
}
