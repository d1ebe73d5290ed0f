//! One request at several moments and under several readings, side by side.

use crate::explain::Explanation;
use serde_json::{Value, json};
use std::fmt::Write;

/// One of them.
pub(super) struct Compared {
    /// The reading that alone is in force; `None` for what the configuration says.
    pub(super) under: Option<String>,
    pub(super) explanation: Explanation,
}

/// `explanations`, each with the members of a single one and `under`.
pub(super) fn json(all: &[Compared]) -> Value {
    let each = all.iter().map(|compared| {
        let mut value = compared.explanation.json();
        value["under"] = json!(compared.under);
        value
    });
    json!({ "explanations": each.collect::<Vec<_>>() })
}

/// A row each, and below them what the terms cite.
pub(super) fn text(all: &[Compared]) -> String {
    let head = ["at", "under", "class", "goes to", "by"].map(str::to_owned);
    let rows = all.iter().map(|compared| {
        let told = &compared.explanation;
        let under = compared.under.clone().unwrap_or_else(|| format!("the file, {} enforced", told.reading));
        let at = told.at.strip_suffix("T00:00:00Z").unwrap_or(&told.at).to_owned();
        [at, under, told.class.to_owned(), goes_to(told), told.terms.join(", ")]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let mut out = columns(&rows);
    let mut cited: Vec<(&str, &str)> = Vec::new();
    for term in all.iter().flat_map(|compared| &compared.explanation.terms_matched) {
        let cite = term.cite.as_deref().unwrap_or("nothing is cited");
        if !cited.contains(&(term.id.as_str(), cite)) {
            cited.push((&term.id, cite));
        }
    }
    for (id, cite) in cited {
        // A `String` takes whatever is written to it.
        let _ = writeln!(out, "{id}: {cite}");
    }
    out
}

/// The clouds in the order in which they are tried, or why none is.
pub(in crate::cli) fn goes_to(told: &Explanation) -> String {
    if !told.allows() {
        return format!("refused: {}", told.reason);
    }
    let mut clouds: Vec<&str> = Vec::new();
    for candidate in &told.candidates {
        let of = told.endpoints.iter().find(|endpoint| endpoint.endpoint == *candidate);
        if let Some(cloud) = of.map(|endpoint| &*endpoint.cloud).filter(|cloud| !clouds.contains(cloud)) {
            clouds.push(cloud);
        }
    }
    clouds.join(", then ")
}

/// Rows in columns that are as wide as they must be, two spaces apart.
pub(in crate::cli) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
