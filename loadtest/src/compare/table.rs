//! A comparison as text: absolute figures with their spread, ratios to Riparian, and the targets.

use std::fmt::{self, Display, Formatter, Write as _};

use super::model::{Comparison, FIGURES, Figure, PeerResult, WorkResult};
use super::verdict::{Kind, Verdict};
use super::work::Work;

/// Who is 1.00 in the table of ratios.
pub(crate) const BASE: &str = "riparian";

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Comparison { machine, seconds, rounds, .. } = self;
        writeln!(
            f,
            "{}, {} cores, {}; medians of {rounds} rounds of {seconds} s, least to largest in brackets",
            machine.processor, machine.cores, machine.kernel
        )?;
        let peers: Vec<String> =
            self.peers.iter().map(|peer| format!("{} {}", peer.name, peer.version)).collect();
        writeln!(f, "{}", peers.iter().map(|peer| peer.trim_end()).collect::<Vec<_>>().join(", "))?;
        for missing in &self.missing {
            writeln!(f, "missing: {}; to install it: {}", missing.name, missing.install)?;
        }
        for work in &self.works {
            writeln!(f, "\n{}: {}", work.work, work.title)?;
            write!(f, "{}", grid(&rows(work)))?;
        }
        if let Some(table) = ratios(self) {
            writeln!(f, "\nratios to {BASE}")?;
            write!(f, "{}", grid(&table))?;
        }
        for growth in &self.growth {
            writeln!(f, "\n{}: {}", growth.title, growth.note)?;
            let points: Vec<String> =
                growth.points.iter().map(|(x, y)| format!("{x}: {}", number(*y))).collect();
            writeln!(f, "  {} ({})", points.join("   "), growth.y)?;
        }
        if !self.verdicts.is_empty() {
            writeln!(f, "\ntargets")?;
            write!(f, "{}", grid(&verdict_rows(&self.verdicts)))?;
        }
        for fault in &self.faults {
            writeln!(f, "\nFAULT {fault}")?;
        }
        Ok(())
    }
}

/// The figures that anybody has in this work, in order.
pub(crate) fn figures(work: &WorkResult) -> Vec<Figure> {
    let has = |figure: &&Figure| {
        figure.shown && work.peers.iter().any(|peer| peer.figures.contains_key(figure.name))
    };
    FIGURES.iter().filter(has).copied().collect()
}

/// A header row, and a row a peer.
fn rows(work: &WorkResult) -> Vec<Vec<String>> {
    let figures = figures(work);
    let titles = figures.iter().map(|figure| figure.title.to_owned());
    let header = std::iter::once(String::new()).chain(titles).collect();
    let row = |peer: &PeerResult| {
        let cells = figures.iter().map(|figure| cell(peer, *figure));
        std::iter::once(peer.peer.clone()).chain(cells).collect()
    };
    std::iter::once(header).chain(work.peers.iter().map(row)).collect()
}

/// `median (least-largest)`, or a dash.
pub(crate) fn cell(peer: &PeerResult, figure: Figure) -> String {
    match peer.figures.get(figure.name) {
        None => "-".to_owned(),
        Some(summary) if summary.rounds.len() == 1 => number(summary.median),
        Some(summary) => {
            format!("{} ({}-{})", number(summary.median), number(summary.min), number(summary.max))
        }
    }
}

/// The primary figure of each work by peer, divided by that of the base. `None` where the base did nothing.
pub(crate) fn ratios(found: &Comparison) -> Option<Vec<Vec<String>>> {
    let works = found.works.iter().filter_map(|result| Some((result, result.work.parse::<Work>().ok()?)));
    let works: Vec<_> = works
        .filter_map(|(result, work)| {
            Some((result, work, found.median(&result.work, BASE, work.primary()).filter(|base| *base > 0.0)?))
        })
        .collect();
    if works.is_empty() {
        return None;
    }
    let mut table = vec![vec![String::new()]];
    table[0].extend(works.iter().map(|(result, _, _)| result.work.clone()));
    for peer in &found.peers {
        let ratio = |(result, work, base): &(&WorkResult, Work, f64)| {
            let value = found.median(&result.work, &peer.name, work.primary());
            value.filter(|value| *value != 0.0).map(|value| value / base) // the straight way adds nothing to itself
        };
        let cells: Vec<Option<f64>> = works.iter().map(ratio).collect();
        if cells.iter().any(Option::is_some) {
            let cells =
                cells.into_iter().map(|cell| cell.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
            table.push(std::iter::once(peer.name.clone()).chain(cells).collect());
        }
    }
    Some(table)
}

/// Header and rows of the targets.
pub(crate) fn verdict_rows(verdicts: &[Verdict]) -> Vec<Vec<String>> {
    let header = ["", "", "bound", "limit", BASE, ""].map(str::to_owned).to_vec();
    let row = |verdict: &Verdict| {
        let kind = if verdict.kind == Kind::Must { "must" } else { "aim" };
        let value = |value: Option<f64>| value.map_or("-".to_owned(), number);
        vec![
            verdict.target.clone(),
            kind.to_owned(),
            verdict.bound.clone(),
            value(verdict.limit),
            value(verdict.ours),
            verdict.outcome.name().to_owned(),
        ]
    };
    std::iter::once(header).chain(verdicts.iter().map(row)).collect()
}

/// About three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { String::from("-") } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns as wide as they need; the first to the left, the others to the right.
fn grid(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let written =
                if at == 0 { write!(line, "{cell:<width$}") } else { write!(line, "   {cell:>width$}") };
            written.expect("a string takes everything");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_matter() {
        let shown = [0.251_82, 2.518_2, 25.182, 251.82, 2518.2, 1_234_567.0, -4321.0].map(number);
        assert_eq!(shown, ["0.25", "2.52", "25.2", "252", "2,518", "1,234,567", "-4,321"]);
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["".to_owned(), "a".to_owned()], vec!["peer".to_owned(), "100".to_owned()]];
        assert_eq!(grid(&rows), "           a\n  peer   100\n");
    }
}
