//! The page of a comparison.

use super::plot::{Bar, Bars, Lines, Series, percentiles};
use super::svg::Spacing;
use super::{Page, bars, lines};
use crate::compare::model::{self, Comparison, Figure, Growth, PeerResult, WorkResult};
use crate::compare::{Work, table};

/// The page.
pub fn comparison(found: &Comparison) -> String {
    let Comparison { machine, seconds, rounds, .. } = found;
    let below = format!(
        "{}, {} cores, {}. Medians of {rounds} rounds of {seconds} s; least and largest in brackets and as lines on the bars. CPU time is user and system of the whole process tree.",
        machine.processor, machine.cores, machine.kernel
    );
    let mut page = Page::new("Riparian and the field", &below);
    let peers: Vec<String> = found
        .peers
        .iter()
        .map(|peer| format!("{} {}", peer.name, peer.version).trim_end().to_owned())
        .collect();
    page.paragraph("", &format!("Took part: {}.", peers.join(", ")));
    for missing in &found.missing {
        page.paragraph("", &format!("Not installed: {}. To install it: {}", missing.name, missing.install));
    }
    for fault in &found.faults {
        page.paragraph("fault", &format!("FAULT {fault}"));
    }
    if let Some(ratios) = table::ratios(found) {
        page.heading(&format!("Ratios to {}", table::BASE));
        page.table(&ratios);
    }
    if !found.verdicts.is_empty() {
        page.heading("Targets");
        page.table(&table::verdict_rows(&found.verdicts));
    }
    across(&mut page, found);
    for work in &found.works {
        section(&mut page, work);
    }
    if !found.growth.is_empty() {
        page.heading("What grows, of Riparian alone");
        page.figures(found.growth.iter().map(growth).collect());
        page.table(&growth_rows(&found.growth));
    }
    page.end()
}

/// Pictures that need several works, or several figures of one.
fn across(page: &mut Page, found: &Comparison) {
    let by_peer = |points: &dyn Fn(&str) -> Vec<(f64, f64)>| -> Vec<Series> {
        let series =
            found.peers.iter().map(|peer| Series { name: peer.name.clone(), points: points(&peer.name) });
        series.filter(|series| series.points.len() > 1).collect()
    };
    let pick = |peer: &str, wanted: &[(f64, &str, Figure)]| {
        let value = |&(x, work, figure): &(f64, &str, Figure)| Some((x, found.median(work, peer, figure)?));
        wanted.iter().filter_map(value).collect::<Vec<_>>()
    };
    let bodies = [(1.0, "post-1k"), (100.0, "post-100k"), (1024.0, "post-1m"), (10240.0, "post-10m")]
        .map(|(kb, work)| (kb, work, model::CPU_REQUEST));
    let stream = |figures: [(f64, Figure); 4]| figures.map(|(open, figure)| (open, "streams", figure));
    let memory = stream([
        (100.0, model::STREAM_KB_100),
        (1000.0, model::STREAM_KB_1000),
        (3000.0, model::STREAM_KB_3000),
        (9000.0, model::STREAM_KB_9000),
    ]);
    let fresh = stream([
        (100.0, model::FRESH_100),
        (1000.0, model::FRESH_1000),
        (3000.0, model::FRESH_3000),
        (9000.0, model::FRESH_9000),
    ]);
    // What the process holds in all, from the memory of each stream.
    let whole = |peer: &str| pick(peer, &memory).into_iter().map(|(n, kb)| (n, n * kb / 1024.0)).collect();
    let plot = |title: &str, (x, spacing): (&str, Spacing), y, series| {
        let (title, x) = (title.to_owned(), (x.to_owned(), spacing));
        Lines { title, x, y, marks: true, series }
    };
    let log = Spacing::Log;
    let plots = [
        plot(
            "CPU time of a request against body size",
            ("KB of body", log),
            ("us", log),
            by_peer(&|peer| pick(peer, &bodies)),
        ),
        plot(
            "Memory against open streams",
            ("open streams", Spacing::Linear),
            ("MB", Spacing::Linear),
            by_peer(&whole),
        ),
        plot(
            "CPU time of a fresh request against open streams",
            ("open streams", log),
            ("us", Spacing::Linear),
            by_peer(&|peer| pick(peer, &fresh)),
        ),
    ];
    let drawn: Vec<_> = plots.iter().map(lines).filter(|(_, svg)| !svg.is_empty()).collect();
    if !drawn.is_empty() {
        page.heading("Across sizes and numbers");
        page.figures(drawn);
    }
}

fn section(page: &mut Page, work: &WorkResult) {
    page.heading(&work.title);
    let mut pictures = Vec::new();
    if let Ok(kind) = work.work.parse::<Work>() {
        pictures.push(bars(&bar_plot(work, kind.primary())));
    }
    let titles = [
        ("latency", "Latency"),
        ("first_chunk", "Time to the first chunk"),
        ("gap", "Gap between chunks"),
        ("transit", "A chunk's way from the cloud to the client"),
    ];
    let by_chunk = work.work == "sse-paced";
    for (name, title) in titles {
        // Of a long stream the chunks matter, and of a short one its first; a whole answer's time says nothing of either.
        let wanted = match name {
            "latency" => work.work.starts_with("post"),
            "first_chunk" => work.work == "sse-first",
            _ => by_chunk,
        };
        let series = work.peers.iter().filter_map(|peer| {
            Some(Series {
                name: peer.peer.clone(),
                points: peer.curves.get(name).filter(|_| wanted)?.clone(),
            })
        });
        let series: Vec<Series> = series.collect();
        if !series.is_empty() {
            pictures.push(lines(&percentiles(format!("{title}, us"), series)));
        }
    }
    page.figures(pictures);
    let figures = table::figures(work);
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(figures.iter().map(|figure| figure.title.to_owned()));
    rows.extend(work.peers.iter().map(|peer| {
        let cells = figures.iter().map(|figure| table::cell(peer, *figure));
        std::iter::once(peer.peer.clone()).chain(cells).collect()
    }));
    page.table(&rows);
}

fn bar_plot(work: &WorkResult, figure: Figure) -> Bars {
    let bar = |peer: &PeerResult| {
        // What the straight way adds to itself is no bar.
        let summary = peer.figures.get(figure.name).filter(|summary| summary.median != 0.0)?;
        Some(Bar { name: peer.peer.clone(), value: summary.median, spread: (summary.min, summary.max) })
    };
    Bars { title: work.work.clone(), unit: figure.title, bars: work.peers.iter().filter_map(bar).collect() }
}

fn growth(line: &Growth) -> (String, String) {
    // A thousand times the first x needs a logarithmic axis, and so does a cost that grows as much.
    let spacing = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        if least > 0.0 && most / least > 20.0 { Spacing::Log } else { Spacing::Linear }
    };
    let plot = Lines {
        title: format!("{}: {}", line.title, line.note),
        x: (line.x.clone(), spacing(&mut line.points.iter().map(|point| point.0))),
        y: ("us", spacing(&mut line.points.iter().map(|point| point.1))),
        marks: true,
        series: vec![Series { name: table::BASE.to_owned(), points: line.points.clone() }],
    };
    lines(&plot)
}

fn growth_rows(lines: &[Growth]) -> Vec<Vec<String>> {
    let most = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    let mut rows = vec![vec![String::new(); most + 1]];
    for line in lines {
        let pad = |mut row: Vec<String>| {
            row.resize(most + 1, String::new());
            row
        };
        let x = line.points.iter().map(|point| whole(point.0));
        let y = line.points.iter().map(|point| table::number(point.1));
        rows.push(pad(std::iter::once(line.x.clone()).chain(x).collect()));
        rows.push(pad(std::iter::once(line.y.clone()).chain(y).collect()));
    }
    rows
}

/// Counts and sizes are whole numbers.
fn whole(x: f64) -> String {
    format!("{x:.0}")
}
