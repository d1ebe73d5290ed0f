//! The page `docs/surfaces.md`: every row of the state taxonomy, and what is done with it.

use super::words;
use riparian_config::{Grade, HandleKind, Mark, Surface, Surfaces};
use std::fmt::Write as _;

const HEAD: &str = "# Surfaces

Every API operation that Riparian knows, by the rows of its state taxonomy. `riparian surfaces --markdown` writes this page from the surface
files (`config/surfaces`); `riparian surfaces -c FILE` shows an operator's own operations too.

How to read it:

- **Recognised by**: method and path, after one of the family's bases. To the letter: no slash more or less.
- **Grade**: how much server-side state a request has, from `pure` to `runtime`. The first is the operation's own; signals raise it.
- **Signals**: what in a request says more. A handle by its kind; without a grade it leaves the grade as it is.
- **Born**: the handles that answers give birth to, and where. They are pinned before the bytes that tell them go out. Without
  *stored or not*, only for requests of grade `creates` and above whose answer does not say that it was not stored.
- **Done**: a **list** has no handle and is answered by the tenant's home, never round-robin. What is **ended** by a success is
  forgotten. What is **retired** is answered 410. **Tokens**: answers tell what they cost.

Of a handle that is known, the owner is the only endpoint that is ever tried. Of one that is not, `sessions.unknown_handle` decides: `refuse` it,
take it for the `home`'s, or `ask`. *Located* kinds say where a request must go, but are no conversation. *Asserted* kinds are
invented by clients and bound at the first request. *Sealed* ones are blobs that only their issuer can open, known by a digest.
";

pub(super) fn page(known: &Surfaces, wanted: &[usize]) -> String {
    let mut page = HEAD.to_owned();
    for &at in wanted {
        family(&mut page, known, at);
    }
    page
}

fn family(page: &mut String, known: &Surfaces, at: usize) {
    let family = &known.families[at];
    let of_family: Vec<&Surface> = known.surfaces.iter().filter(|surface| surface.family == at).collect();
    let mut line = |text: &str| writeln!(page, "{text}").expect("a string takes all");
    line(&format!("\n## {} (`{}`)\n", family.title, family.name));
    let bases: Vec<String> =
        family.bases.iter().map(|base| format!("`{}`", if base.is_empty() { "/" } else { base })).collect();
    line(&format!("Paths below {}.", bases.join(", ")));
    let marks = words::marks(&family.marks);
    if !marks.is_empty() {
        let only = if family.only_marked {
            "Known by nothing but"
        } else {
            "Where another family has the path, known by"
        };
        line(&format!("{only} {}.", marks.join(", ")));
    }
    line("\n| row | recognised by | grade | signals | born | done |");
    line("|---|---|---|---|---|---|");
    for row in rows(&of_family) {
        let of_row: Vec<&Surface> = of_family.iter().copied().filter(|surface| is_of(surface, row)).collect();
        line(&table_row(row, &of_row));
    }
    let kinds: Vec<&HandleKind> = known
        .kinds
        .iter()
        .filter(|kind| of_family.iter().any(|surface| surface.kinds().any(|name| *name == kind.name)))
        .collect();
    if kinds.is_empty() {
        return;
    }
    line("\n| handle | is | mark | begins with | forgotten | when unknown |");
    line("|---|---|---|---|---|---|");
    for kind in kinds {
        let prefixes: Vec<String> = kind.prefixes.iter().map(|prefix| format!("`{prefix}`")).collect();
        line(&format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            kind.name,
            kind.title,
            kind.mark.map_or("", Mark::as_str),
            prefixes.join(" "),
            words::lifetime(kind),
            words::when_unknown(kind)
        ));
    }
}

/// The rows of a family in the order of its file; `-` for what no row of the taxonomy is about.
fn rows<'s>(surfaces: &[&'s Surface]) -> Vec<&'s str> {
    let mut rows: Vec<&str> = Vec::new();
    for surface in surfaces {
        let own = surface.rows.iter().map(String::as_str).chain(surface.rows.is_empty().then_some("-"));
        for row in own {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    rows
}

fn is_of(surface: &Surface, row: &str) -> bool {
    surface.rows.iter().any(|own| own == row) || (row == "-" && surface.rows.is_empty())
}

fn table_row(row: &str, surfaces: &[&Surface]) -> String {
    let operations = surfaces.iter().map(|surface| format!("`{}`", words::operation(surface)));
    let mut own: Vec<Grade> = surfaces.iter().map(|surface| surface.grade).collect();
    own.sort_unstable();
    own.dedup();
    let mut raised: Vec<Grade> = surfaces.iter().flat_map(|surface| words::grades(surface)).collect();
    raised.sort_unstable();
    raised.dedup();
    raised.retain(|grade| !own.contains(grade));
    let of = |grades: Vec<Grade>| grades.iter().map(|grade| grade.as_str()).collect::<Vec<_>>().join(", ");
    let grade = if raised.is_empty() { of(own) } else { format!("{}; raised to {}", of(own), of(raised)) };
    let signals = surfaces.iter().flat_map(|surface| {
        let path = surface.path_handle.iter().map(|kind| format!("`{{{kind}}}`: {kind}"));
        path.chain(surface.signals.iter().map(|signal| words::signal(signal, surface)))
    });
    let born = surfaces.iter().flat_map(|surface| surface.births.iter().map(words::birth));
    let done = surfaces.iter().flat_map(|surface| done(surface));
    format!(
        "| {} | {} | {grade} | {} | {} | {} |",
        if row == "-" { "-".to_owned() } else { format!("`{row}`") },
        cell(operations),
        cell(signals),
        cell(born),
        cell(done)
    )
}

/// What else is done with a request on a surface.
fn done(surface: &Surface) -> Vec<String> {
    let list = surface.collective.then(|| "list".to_owned());
    let ended = surface.deletes.as_ref().map(|kind| format!("{kind} ended"));
    let retired = surface.retired.as_ref().map(|day| format!("retired {day}"));
    let socket = surface.socket.map(|_| "socket".to_owned());
    let until = surface
        .expires
        .iter()
        .map(|expiry| format!("{} until {}", expiry.handle, words::places(&expiry.at).join(", ")));
    let usage = (!surface.usage.is_empty()).then(|| "tokens".to_owned());
    list.into_iter().chain(ended).chain(retired).chain(socket).chain(usage).chain(until).collect()
}

/// Each line once, in a cell of a table.
fn cell(lines: impl Iterator<Item = String>) -> String {
    let mut cell: Vec<String> = Vec::new();
    for line in lines {
        let line = line.replace('|', "\\|");
        if !cell.contains(&line) {
            cell.push(line);
        }
    }
    cell.join("<br>")
}
