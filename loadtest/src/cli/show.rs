//! How a run is going, on standard error: one line rewritten each second on a terminal, else a plain line each few seconds.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use riparian_loadtest::Progress;

/// Seconds between two lines where nothing can be rewritten.
const PLAIN_EVERY: u64 = 5;

/// Tells progress.
#[derive(Debug)]
pub(crate) struct Show {
    live: bool,
    told: u64,
}

impl Default for Show {
    fn default() -> Self {
        Show { live: std::io::stderr().is_terminal(), told: 0 }
    }
}

impl Show {
    /// Called once a second; `misplaced` are findings that only the clouds know of.
    pub(crate) fn tell(&mut self, progress: &Progress, misplaced: u64) {
        let line = line(progress, misplaced);
        if self.live {
            // A terminal that went away shows nothing; the run goes on.
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
            let _ = std::io::stderr().flush();
        } else if self.told.is_multiple_of(PLAIN_EVERY) {
            eprintln!("{line}");
        }
        self.told += 1;
    }

    /// Leaves the last line standing.
    pub(crate) fn end(&self) {
        if self.live {
            eprintln!();
        }
    }
}

fn line(progress: &Progress, misplaced: u64) -> String {
    let Progress { elapsed, in_flight, ended, refused, failed, dropped, rate, p50, p99, findings, .. } =
        progress;
    let ms = |duration: &Duration| duration.as_secs_f64() * 1e3;
    let mut line = format!(
        "{:6.1} s  {rate:.0}/s  done {ended}  in flight {in_flight}  p50 {:.2} ms  p99 {:.2} ms  refused {refused}  \
         failed {failed}  findings {}",
        elapsed.as_secs_f64(),
        ms(p50),
        ms(p99),
        findings + misplaced,
    );
    if *dropped > 0 {
        line.push_str(&format!("  never sent {dropped}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_that_matters() {
        let progress = Progress {
            elapsed: Duration::from_millis(2100),
            sent: 110,
            in_flight: 10,
            ended: 100,
            refused: 3,
            failed: 2,
            dropped: 0,
            rate: 50.4,
            p50: Duration::from_micros(1500),
            p99: Duration::from_micros(9870),
            findings: 1,
        };
        assert_eq!(
            line(&progress, 1),
            "   2.1 s  50/s  done 100  in flight 10  p50 1.50 ms  p99 9.87 ms  refused 3  failed 2  findings 2"
        );
    }
}
