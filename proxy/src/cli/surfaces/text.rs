//! For a terminal.

use super::words;
use riparian_config::Surfaces;
use std::fmt::Write as _;

pub(super) fn page(known: &Surfaces, wanted: &[usize]) -> String {
    let mut page = String::new();
    let mut line =
        |text: String| writeln!(page, "{}", text.replace('`', "").trim_end()).expect("a string takes all");
    for (nth, &at) in wanted.iter().enumerate() {
        let family = &known.families[at];
        if nth > 0 {
            line(String::new());
        }
        line(format!("{}  {}", family.name, family.title));
        let bases: Vec<&str> =
            family.bases.iter().map(|base| if base.is_empty() { "/" } else { base.as_str() }).collect();
        line(format!("  below      {}", bases.join(" ")));
        let marks = words::marks(&family.marks);
        if !marks.is_empty() {
            let only = if family.only_marked { ", and by nothing else" } else { "" };
            line(format!("  known by   {}{only}", marks.join(", ")));
        }
        let of_family = || known.surfaces.iter().filter(|surface| surface.family == at);
        for surface in of_family() {
            line(String::new());
            let grades: Vec<&str> = words::grades(surface).iter().map(|grade| grade.as_str()).collect();
            line(format!("  {}  {}", surface.id, words::operation(surface)));
            line(format!("    grade    {}", grades.join(", ")));
            let dialects: Vec<&str> = surface.served_by.iter().map(|dialect| dialect.as_str()).collect();
            line(format!("    served   {}", dialects.join(", ")));
            if let Some(day) = &surface.retired {
                line(format!("    retired  {day}"));
            }
            if surface.collective {
                line("    list     answered by the tenant's home".to_owned());
            }
            if let Some(kind) = &surface.path_handle {
                line(format!("    cites    {{{kind}}}"));
            }
            for signal in &surface.signals {
                line(format!("    signal   {}", words::signal(signal, surface)));
            }
            for birth in &surface.births {
                line(format!("    born     {}", words::birth(birth)));
            }
            if let Some(kind) = &surface.deletes {
                line(format!("    ends     {kind}"));
            }
        }
        let kinds: Vec<_> = known
            .kinds
            .iter()
            .filter(|kind| of_family().any(|surface| surface.kinds().any(|name| *name == kind.name)))
            .collect();
        if !kinds.is_empty() {
            line(String::new());
            line("  handles".to_owned());
        }
        for kind in kinds {
            let mark = kind.mark.map_or("", |mark| mark.as_str());
            line(format!(
                "    {:<24} {:<9} {:<28} {}",
                kind.name.as_str(),
                mark,
                words::lifetime(kind),
                kind.title
            ));
        }
    }
    page
}
