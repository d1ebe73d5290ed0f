//! The page of a run of the driver.

use super::plot::{Series, percentiles};
use super::{Page, lines};
use crate::report::{Report, Spread};

/// The page.
pub fn run(report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64();
    let below = format!("{} requests in {seconds:.1} s, {} never sent.", report.requests, report.dropped);
    let mut page = Page::new("A run, judged", &below);
    findings(&mut page, report);
    page.heading("How long it took");
    let curves = report.curves.iter().filter(|(_, curve)| curve.count() > 0);
    let pictures = curves.map(|(name, curve)| {
        let series = vec![Series { name: (*name).to_owned(), points: curve.points() }];
        lines(&percentiles(format!("{name}, us"), series))
    });
    page.figures(pictures.collect());
    let spreads =
        [("first byte", report.first_byte), ("duration", report.duration), ("longest gap", report.gap)];
    let mut rows = vec![["us", "count", "p50", "p90", "p99", "largest"].map(str::to_owned).to_vec()];
    rows.extend(spreads.map(|(name, spread)| {
        let Spread { count, p50_us, p90_us, p99_us, max_us } = spread;
        let cells = [count, p50_us, p90_us, p99_us, max_us].map(|value| value.to_string());
        std::iter::once(name.to_owned()).chain(cells).collect()
    }));
    page.table(&rows);
    counts(&mut page, report);
    page.end()
}

fn findings(page: &mut Page, report: &Report) {
    page.heading("What the oracle found");
    let mut rows = vec![["", "found"].map(str::to_owned).to_vec()];
    rows.extend(report.counts().into_iter().map(|(name, count)| vec![name.to_owned(), count.to_string()]));
    page.table(&rows);
    for (kind, finding) in report.findings.violations().take(crate::report::FINDINGS_SHOWN) {
        page.paragraph("fault", &format!("{kind}: {} {} {}", finding.nonce, finding.endpoint, finding.what));
    }
}

fn counts(page: &mut Page, report: &Report) {
    let table = |page: &mut Page, title: &str, names: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            page.heading(title);
            let header = names.iter().map(|name| (*name).to_owned()).collect();
            page.table(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
        }
    };
    let arrivals = report.arrivals.iter().map(|((cloud, endpoint, class), count)| {
        vec![format!("{cloud} / {endpoint}"), (*class).to_owned(), count.to_string()]
    });
    table(page, "Where requests arrived", &["endpoint", "class", "requests"], arrivals.collect());
    let shapes = report.shapes.iter().map(|((shape, verdict), count)| {
        vec![shape.name().to_owned(), (*verdict).to_owned(), count.to_string()]
    });
    table(page, "How they ended", &["shape", "ended", "requests"], shapes.collect());
    let statuses = report.statuses.iter().map(|(status, count)| {
        let name = if *status == 0 { "none".to_owned() } else { status.to_string() };
        vec![name, count.to_string()]
    });
    table(page, "Answers by status", &["status", "answers"], statuses.collect());
    let refusals = report.refusals.iter().map(|((status, reason), count)| {
        let reason = if reason.is_empty() { "(the upstream's own)" } else { reason };
        vec![format!("{status} {reason}"), count.to_string()]
    });
    table(page, "Refused", &["status and reason", "answers"], refusals.collect());
}
