//! What a process and all its descendants have used, from `/proc` (Linux): CPU time to the nanosecond where the kernel says
//! so, and memory. nginx, for one, is a master that does nothing and workers that do everything, so a single process never
//! is enough.
//!
//! The CPU time of a thread is in `/proc/PID/task/TID/schedstat`, in nanoseconds; a thread that has ended takes its own with
//! it. `utime` and `stime` of `/proc/PID/stat` keep it, but in ticks of 10 ms. [`Cpu::since`] takes the fine figure unless
//! the coarse one shows that threads have ended with time that is missing in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

/// The tick of `/proc/PID/stat`: a hundredth of a second towards user space, on every architecture of note.
const TICK: Duration = Duration::from_millis(10);

/// A process, by id, with whoever descends from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    root: u32,
}

/// CPU time (user and system) that a tree had used at one instant.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    threads: BTreeMap<u32, Duration>,
    ticks: u64,
    processes: u64,
}

/// Memory that a tree holds at one instant, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident, summed: pages that processes of the tree share count once for each.
    pub rss_kb: u64,
    /// Proportional: shared pages count once in all. Equal to `rss_kb` where the kernel does not tell.
    pub pss_kb: u64,
}

impl Tree {
    /// The tree that hangs on this process.
    pub fn of(root: u32) -> Tree {
        Tree { root }
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn cpu(self) -> io::Result<Cpu> {
        let mut cpu = self.cpu_alone()?;
        for (pid, stat) in descendants(self.root)? {
            cpu.ticks += stat.ticks;
            cpu.processes += 1;
            cpu.add_threads(pid);
        }
        Ok(cpu)
    }

    /// CPU time used so far by the process itself, without its descendants.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub(crate) fn cpu_alone(self) -> io::Result<Cpu> {
        let mut cpu = Cpu { ticks: stat(self.root)?.ticks, processes: 1, ..Cpu::default() };
        cpu.add_threads(self.root);
        Ok(cpu)
    }

    /// Resident memory, in KB; pages that several processes share count for each, as everybody's tools have it.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn rss_kb(self) -> io::Result<u64> {
        let others = descendants(self.root)?;
        let others: u64 = others.iter().filter_map(|(pid, _)| rss_kb(*pid).ok()).sum(); // one may just have ended
        Ok(rss_kb(self.root)? + others)
    }

    /// Memory held now.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn memory(self) -> io::Result<Memory> {
        let mut all = memory(self.root)?;
        for (pid, _) in descendants(self.root)? {
            if let Ok(Memory { rss_kb, pss_kb }) = memory(pid) {
                all.rss_kb += rss_kb;
                all.pss_kb += pss_kb;
            }
        }
        Ok(all)
    }
}

impl Cpu {
    /// What was used between `before` and this.
    pub fn since(&self, before: &Cpu) -> Duration {
        let fine = self.threads.iter().map(|(tid, now)| match before.threads.get(tid) {
            Some(then) => now.saturating_sub(*then),
            None => *now,
        });
        let fine: Duration = fine.sum();
        let ticks = self.ticks.saturating_sub(before.ticks);
        // User and system time are each cut to whole ticks, at both ends: up to two ticks a process are no evidence.
        let doubt = 2 * self.processes.max(before.processes);
        let coarse = TICK * u32::try_from(ticks.saturating_sub(doubt)).unwrap_or(u32::MAX);
        if coarse > fine { TICK * u32::try_from(ticks).unwrap_or(u32::MAX) } else { fine }
    }

    /// All of it, to a tick.
    pub(crate) fn total(&self) -> Duration {
        TICK * u32::try_from(self.ticks).unwrap_or(u32::MAX)
    }

    fn add_threads(&mut self, pid: u32) {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let tid = task.file_name().to_str().and_then(|name| name.parse().ok());
            let text = fs::read_to_string(task.path().join("schedstat"));
            if let (Some(tid), Some(ran)) = (tid, text.ok().and_then(|text| ran(&text))) {
                self.threads.insert(tid, ran);
            }
        }
    }
}

/// The first field of `schedstat`: nanoseconds on a CPU.
fn ran(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn descendants(root: u32) -> io::Result<Vec<(u32, Stat)>> {
    let mut rest: Vec<(u32, Stat)> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid).ok()?))) // ended since it was listed
        .collect();
    let (mut found, mut parents) = (Vec::new(), vec![root]);
    while let Some(parent) = parents.pop() {
        let children: Vec<_>;
        (children, rest) = rest.into_iter().partition(|(_, stat)| stat.parent == parent);
        parents.extend(children.iter().map(|(pid, _)| *pid));
        found.extend(children);
    }
    Ok(found)
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("cannot read the times of process {pid}")))
}

/// The fields `ppid`, `utime` and `stime` of proc(5).
fn parse_stat(text: &str) -> Option<Stat> {
    // The name in brackets may hold anything, brackets and spaces too: the fields start after the last.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(field(4)?).ok()?, ticks: field(14)? + field(15)? })
}

/// A field of this name, in KB.
fn kb(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok())
}

fn rss_kb(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(kb(&status, "VmRSS:").unwrap_or(0)) // a process that has ended holds none
}

fn memory(pid: u32) -> io::Result<Memory> {
    let rss_kb = rss_kb(pid)?;
    // Another user's process does not show its rollup.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    Ok(Memory { rss_kb, pss_kb: kb(&rollup, "Pss:").unwrap_or(rss_kb) })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_read_past() {
        let line = "4711 (a) b (c) S 42 4711 4711 0 -1 4194304 1 0 0 0 123 45 6 7 20 0 3 0 99 1000 10 18446744073709551615";
        let stat = parse_stat(line).expect("a line of proc(5)");
        assert_eq!((stat.parent, stat.ticks), (42, 168));
        assert!(parse_stat("4711 (cut").is_none());
        assert_eq!(ran("82515 78469 2\n"), Some(Duration::from_nanos(82_515)));
    }

    #[test]
    fn time_of_ended_threads_is_not_lost() {
        let cpu = |threads: &[(u32, u64)], ticks| Cpu {
            threads: threads.iter().map(|&(tid, ms)| (tid, Duration::from_millis(ms))).collect(),
            ticks,
            processes: 1,
        };
        let before = cpu(&[(1, 100), (2, 500)], 60);
        let fine = cpu(&[(1, 103), (2, 504)], 61).since(&before);
        assert_eq!(fine, Duration::from_millis(7), "nanoseconds where they are known");
        let ended = cpu(&[(1, 103)], 90).since(&before);
        assert_eq!(ended, Duration::from_millis(300), "ticks where a thread took its time with it");
        let born = cpu(&[(1, 100), (2, 500), (3, 9)], 61).since(&before);
        assert_eq!(born, Duration::from_millis(9));
    }

    #[test]
    fn our_own_use_shows() {
        let tree = Tree::of(std::process::id());
        let before = tree.cpu().expect("this process exists");
        let mut work = 0u64;
        for turn in 0..3_000_000u64 {
            work = std::hint::black_box(work.wrapping_mul(31).wrapping_add(turn));
        }
        assert!(tree.cpu().expect("it still does").since(&before) > Duration::from_micros(100), "{work:x}");
        let Memory { rss_kb, pss_kb } = tree.memory().expect("it still does");
        assert!(rss_kb > 500 && pss_kb > 0 && pss_kb <= rss_kb, "{rss_kb} {pss_kb}");
        assert!(Tree::of(u32::MAX).cpu().is_err());
    }
}
