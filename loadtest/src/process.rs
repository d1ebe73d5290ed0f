//! What the system knows of a process: CPU time, memory, open descriptors.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::compare::tree::Tree;

/// The CPU time of this process so far, user and system, all threads.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("a process has not run for less than no time");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("nanoseconds are below a second"))
}

/// The resident memory of a process and all its descendants that live, in bytes, from `/proc` (Linux). Pages that several of
/// them share count for each, as everybody's tools have it.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    Ok(Tree::of(pid).rss_kb()? << 10)
}

/// Makes room for this many open descriptors, as far as the hard limit goes.
///
/// # Errors
/// The hard limit is lower; the message says what to do.
pub fn allow_descriptors(wanted: u64) -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        let maximum = maximum.unwrap_or_default();
        return Err(format!(
            "{wanted} descriptors are needed and the hard limit is {maximum}: raise it (ulimit -Hn as root, \
             LimitNOFILE= in systemd, nofile in limits.conf), or open fewer streams"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .map_err(|error| format!("the limit of descriptors cannot be raised to {wanted}: {error}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_spends_time() {
        let pid = std::process::id();
        let before = resident_bytes(pid).expect("this process exists");
        let block = vec![1u8; 32 << 20];
        let after = resident_bytes(pid).expect("this process exists");
        assert!(after >= before + (block.len() as u64 / 2), "{before} -> {after} with {} more", block.len());
        assert!(resident_bytes(u32::MAX).is_err());
        let spent = own_cpu();
        let sum = (0..3_000_000u64).fold(0u64, |sum, number| sum.wrapping_mul(31) ^ number);
        assert!(own_cpu() > spent, "{sum:x}");
    }

    #[test]
    fn a_limit_beyond_the_hard_one_says_what_to_do() {
        assert_eq!(allow_descriptors(16), Ok(()));
        if let Some(maximum) = getrlimit(Resource::Nofile).maximum {
            let why = allow_descriptors(maximum + 1).expect_err("beyond the hard limit");
            assert!(why.contains(&maximum.to_string()) && why.contains("ulimit -Hn"), "{why}");
        }
    }
}
