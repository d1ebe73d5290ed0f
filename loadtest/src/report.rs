//! What a run came to: a table for people, JSON for machines.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cloud::Outcome;
use crate::compare::Curve;
use crate::drive::{Run, Sample, Shape};
use crate::oracle::{Class, Findings, Rules, Sight};

/// How many findings the table prints in full.
pub(crate) const FINDINGS_SHOWN: usize = 20;

/// Percentiles of a duration, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many values there were.
    pub count: u64,
    /// The median.
    pub p50_us: u64,
    /// Nine of ten are not above this.
    pub p90_us: u64,
    /// 99 of 100 are not above this.
    pub p99_us: u64,
    /// The largest.
    pub max_us: u64,
}

impl Spread {
    /// Of these durations; to three digits, and at most an hour.
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Spread {
        let mut histogram = Histogram::<u64>::new_with_max(3_600_000_000, 3)
            .expect("an hour in microseconds to three digits is in range");
        for duration in durations {
            histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
        Spread {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }

    fn json(self) -> Value {
        let Spread { count, p50_us, p90_us, p99_us, max_us } = self;
        json!({"count": count, "p50_us": p50_us, "p90_us": p90_us, "p99_us": p99_us, "max_us": max_us})
    }
}

/// A run, judged and summed up. `Display` prints the table.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests that were sent, and those that were due but never sent.
    pub requests: u64,
    /// Never sent, because too many were outstanding.
    pub dropped: u64,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Arrivals by cloud, endpoint and class; the class is `unknown` for what nobody sent.
    pub arrivals: BTreeMap<(String, String, &'static str), u64>,
    /// How many requests of each endpoint ended how, where not well.
    pub complaints: BTreeMap<(String, String), u64>,
    /// Answers by status; 0 stands for none.
    pub statuses: BTreeMap<u16, u64>,
    /// Refusals by status and `x-riparian-reason`; empty for an upstream's own.
    pub refusals: BTreeMap<(u16, String), u64>,
    /// How the requests of each shape ended.
    pub shapes: BTreeMap<(Shape, &'static str), u64>,
    /// Time to the first byte of the answered.
    pub first_byte: Spread,
    /// Duration of the answered.
    pub duration: Spread,
    /// The longest gap of each stream.
    pub gap: Spread,
    /// The same three as curves of percentiles, by name.
    pub curves: Vec<(&'static str, Curve)>,
    /// What the oracle found.
    pub findings: Findings,
}

impl Report {
    /// Sums up.
    pub fn new(rules: &Rules, run: &Run, sights: &[Sight], findings: Findings) -> Report {
        let mut report = Report {
            requests: run.samples.len() as u64,
            dropped: run.dropped,
            elapsed: run.elapsed,
            arrivals: BTreeMap::new(),
            complaints: BTreeMap::new(),
            statuses: BTreeMap::new(),
            refusals: BTreeMap::new(),
            shapes: BTreeMap::new(),
            first_byte: Spread::of(run.samples.iter().filter_map(|sample| sample.first_byte)),
            duration: Spread::of(run.samples.iter().filter(answered).map(|sample| sample.duration)),
            gap: Spread::of(run.samples.iter().filter_map(|sample| sample.gap_max)),
            curves: curves(&run.samples),
            findings,
        };
        report.add_answers(&run.samples);
        report.add_arrivals(rules, &run.samples, sights);
        report
    }

    fn add_answers(&mut self, samples: &[Sample]) {
        for sample in samples {
            let status = sample.status.unwrap_or_default();
            *self.statuses.entry(status).or_default() += 1;
            *self.shapes.entry((sample.recipe.shape, sample.verdict.name())).or_default() += 1;
            if status >= 400 {
                let reason = sample.riparian("reason").unwrap_or_default().to_owned();
                *self.refusals.entry((status, reason)).or_default() += 1;
            }
        }
    }

    fn add_arrivals(&mut self, rules: &Rules, samples: &[Sample], sights: &[Sight]) {
        let classes: BTreeMap<&str, Class> = samples
            .iter()
            .map(|sample| (sample.recipe.nonce.as_str(), rules.class(&sample.recipe)))
            .collect();
        for sight in sights {
            for seen in &sight.seen {
                let class = seen.nonce.as_deref().and_then(|nonce| classes.get(nonce));
                let class = class.map_or("unknown", |class| class.name());
                let key = (sight.cloud.clone(), sight.endpoint.clone(), class);
                *self.arrivals.entry(key).or_default() += 1;
                if seen.outcome != Outcome::Ok {
                    let key = (sight.endpoint.clone(), format!("{:?}", seen.outcome));
                    *self.complaints.entry(key).or_default() += 1;
                }
            }
        }
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let arrivals: Vec<Value> = self
            .arrivals
            .iter()
            .map(|((cloud, endpoint, class), count)| {
                json!({"cloud": cloud, "endpoint": endpoint, "class": class, "requests": count})
            })
            .collect();
        let complaints: Vec<Value> = self
            .complaints
            .iter()
            .map(|((endpoint, outcome), count)| json!({"endpoint": endpoint, "outcome": outcome, "requests": count}))
            .collect();
        let refusals: Vec<Value> = self
            .refusals
            .iter()
            .map(|((status, reason), count)| json!({"status": status, "reason": reason, "requests": count}))
            .collect();
        let shapes: Vec<Value> = self
            .shapes
            .iter()
            .map(|((shape, verdict), count)| json!({"shape": shape.name(), "verdict": verdict, "requests": count}))
            .collect();
        let statuses: BTreeMap<String, u64> =
            self.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        let counts: serde_json::Map<String, Value> = self
            .counts()
            .into_iter()
            .map(|(name, count)| (name.replace([' ', '-'], "_"), count.into()))
            .collect();
        let violations: Vec<Value> = self
            .findings
            .violations()
            .map(|(kind, finding)| {
                json!({
                    "kind": kind, "nonce": finding.nonce, "endpoint": finding.endpoint, "what": finding.what,
                })
            })
            .collect();
        json!({
            "requests": self.requests, "dropped": self.dropped, "elapsed_seconds": self.elapsed.as_secs_f64(),
            "arrivals": arrivals, "outcomes_not_ok": complaints, "statuses": statuses, "refusals": refusals,
            "shapes": shapes, "first_byte": self.first_byte.json(), "duration": self.duration.json(),
            "gap_max": self.gap.json(), "findings": counts, "violations": violations,
        })
    }

    pub(crate) fn counts(&self) -> [(&'static str, usize); 10] {
        let found = &self.findings;
        [
            ("leaks", found.leaks.len()),
            ("misplaced continuations", found.misplaced.len()),
            ("altered bodies", found.altered.len()),
            ("cross-talk", found.cross_talk.len()),
            ("broken streams", found.broken.len()),
            ("stray credentials", found.stray_credentials.len()),
            ("unexplained", found.unexplained.len()),
            ("cut streams", found.cut.len()),
            ("unanswered", found.unanswered.len()),
            ("repeated", found.repeated.len()),
        ]
    }
}

fn curves(samples: &[Sample]) -> Vec<(&'static str, Curve)> {
    let mut curves = ["first byte", "duration", "longest gap"].map(|name| (name, Curve::default()));
    for sample in samples {
        let duration = sample.first_byte.map(|_| sample.duration);
        for ((_, curve), value) in curves.iter_mut().zip([sample.first_byte, duration, sample.gap_max]) {
            value.into_iter().for_each(|value| curve.record(value));
        }
    }
    curves.into()
}

fn answered(sample: &&Sample) -> bool {
    sample.first_byte.is_some()
}

/// Milliseconds with as many digits as matter.
fn ms(us: u64) -> String {
    if us < 10_000 { format!("{}.{:02}", us / 1000, us % 1000 / 10) } else { (us / 1000).to_string() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "{} requests in {seconds:.1} s, {} never sent", self.requests, self.dropped)?;
        writeln!(f, "\n{:<10} {:<24} {:<10} {:>9}", "cloud", "endpoint", "class", "requests")?;
        for ((cloud, endpoint, class), count) in &self.arrivals {
            writeln!(f, "{cloud:<10} {endpoint:<24} {class:<10} {count:>9}")?;
        }
        for ((endpoint, outcome), count) in &self.complaints {
            writeln!(f, "{:<10} {endpoint:<24} {outcome:<10} {count:>9}", "")?;
        }
        let mut line = String::from("\nstatus ");
        for (status, count) in &self.statuses {
            let name = if *status == 0 { "none".to_owned() } else { status.to_string() };
            write!(line, "  {name}: {count}")?;
        }
        writeln!(f, "{line}")?;
        for ((status, reason), count) in &self.refusals {
            let reason = if reason.is_empty() { "(the upstream's own)" } else { reason };
            writeln!(f, "refused  {status} {reason}: {count}")?;
        }
        writeln!(f, "\n{:<14} {:>9} {:>9} {:>9} {:>9}", "ms", "p50", "p90", "p99", "max")?;
        for (name, spread) in
            [("first byte", self.first_byte), ("duration", self.duration), ("longest gap", self.gap)]
        {
            let Spread { p50_us, p90_us, p99_us, max_us, .. } = spread;
            writeln!(
                f,
                "{name:<14} {:>9} {:>9} {:>9} {:>9}",
                ms(p50_us),
                ms(p90_us),
                ms(p99_us),
                ms(max_us)
            )?;
        }
        writeln!(f)?;
        for (name, count) in self.counts() {
            writeln!(f, "{name:<24} {count:>9}")?;
        }
        let violations: Vec<_> = self.findings.violations().collect();
        for (kind, finding) in violations.iter().take(FINDINGS_SHOWN) {
            writeln!(f, "{kind}: {} {} {}", finding.nonce, finding.endpoint, finding.what)?;
        }
        if violations.len() > FINDINGS_SHOWN {
            writeln!(f, "... and {} more", violations.len() - FINDINGS_SHOWN)?;
        }
        Ok(())
    }
}
