//! `riparian ledger show` and `riparian ledger export`.

use super::super::Found;
use super::{By, Fault, Folder};
use crate::ledger::entry::{Entry, Kind};
use crate::ledger::read::entries;
use riparian_config::Timestamp;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    which: Which,
    /// Whole entries, one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Which entries.
#[derive(Debug, clap::Args)]
struct Which {
    /// Of this decision.
    #[arg(long, value_name = "ID")]
    decision: Option<String>,
    /// Made at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Made before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// With this reason.
    #[arg(long)]
    reason: Option<String>,
    /// That went to this cloud.
    #[arg(long)]
    cloud: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    by: By,
    /// The index of the first entry.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The index behind the last. Default: what the checkpoint covers.
    #[arg(long)]
    to: Option<u64>,
}

impl Show {
    pub(super) fn run(self) -> Result<Found, Fault> {
        let (json, which) = (self.json, self.which);
        print(&self.folder, &self.by, 0..u64::MAX, |index, bytes, out| {
            let entry = Entry::decode(bytes).map_err(|what| format!("entry {index}: {what}"))?;
            if !which.has(&entry) {
                return Ok(Ok(()));
            }
            Ok(if json { line(bytes, out) } else { writeln!(out, "{}", words(index, &entry)) })
        })
    }
}

impl Export {
    pub(super) fn run(self) -> Result<Found, Fault> {
        let range = self.from..self.to.unwrap_or(u64::MAX);
        print(&self.folder, &self.by, range, |_, bytes, out| Ok(line(bytes, out)))
    }
}

fn line(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(bytes)?;
    out.write_all(b"\n")
}

/// Goes through the entries that the checkpoint covers. A reader that has had enough ends it.
fn print(
    folder: &Folder,
    by: &By,
    range: std::ops::Range<u64>,
    mut each: impl FnMut(u64, &[u8], &mut BufWriter<io::StdoutLock<'_>>) -> Result<io::Result<()>, String>,
) -> Result<Found, Fault> {
    let source = folder.source();
    let key = by.key(&source)?;
    let size = source.checkpoint(&key)?.size;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut fault = None;
    entries(&source, size, range, |index, bytes| match each(index, bytes, &mut out) {
        Ok(Ok(())) => ControlFlow::Continue(()),
        Ok(Err(_)) => ControlFlow::Break(()),
        Err(what) => {
            fault = Some(what);
            ControlFlow::Break(())
        }
    })?;
    // The same reader, at the end.
    let _ = out.flush();
    fault.map_or(Ok(Found::Nothing), |what| Err(Fault::Ledger(what)))
}

impl Which {
    fn has(&self, entry: &Entry<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &Option<crate::ledger::entry::Text<'_>>| {
            wanted.is_none() || wanted.as_deref() == found.as_deref()
        };
        let time = || entry.time.parse::<Timestamp>().ok();
        is(&self.decision, &entry.decision)
            && is(&self.reason, &entry.reason)
            && is(&self.cloud, &entry.cloud)
            && self.since.is_none_or(|since| time().is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time().is_some_and(|time| time < until))
    }
}

/// An entry on one line.
fn words(index: u64, entry: &Entry<'_>) -> String {
    let text = |text: &Option<crate::ledger::entry::Text<'_>>| text.as_deref().unwrap_or("-").to_owned();
    let begin = format!("{index:>8}  {}", entry.time);
    match entry.kind {
        Kind::Started => format!("{begin}  started  config {}", text(&entry.config)),
        Kind::Refused | Kind::Gap => {
            let kind = if entry.kind == Kind::Gap { "gap" } else { "refused" };
            let (count, since) = (entry.count.unwrap_or(0), text(&entry.since));
            format!("{begin}  {kind}  {count} times {} since {since}", text(&entry.reason))
        }
        Kind::Sent | Kind::Ended => {
            let kind = if entry.kind == Kind::Sent { "sent" } else { "ended" };
            let to = format!("{}/{}", text(&entry.cloud), text(&entry.endpoint));
            let peer = entry.peer.as_ref().map_or(String::new(), |peer| format!(" at {}", peer.address));
            let status =
                entry.status.map_or(String::new(), |status| format!(" {status} {}", text(&entry.outcome)));
            format!(
                "{begin}  {kind}  {}  {} {}  {} {}  {to}{peer}{status}",
                text(&entry.decision),
                text(&entry.surface),
                text(&entry.grade),
                text(&entry.verdict),
                text(&entry.reason),
            )
        }
    }
}
