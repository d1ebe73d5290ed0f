//! A report as one HTML page that needs nothing else: style and pictures are in it, there is no script, and it reads well in
//! light and dark. Every picture has a title and a description, and its numbers stand in a table too.

mod comparison;
mod plot;
mod run;
mod svg;

pub use comparison::comparison;
pub use run::run;

use plot::{Bars, Lines};
use svg::escape;

/// A page on its way.
struct Page {
    out: String,
}

impl Page {
    fn new(title: &str, below: &str) -> Page {
        let (title, below) = (escape(title), escape(below));
        let out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p class=\"below\">{below}</p>\n"
        );
        Page { out }
    }

    fn heading(&mut self, text: &str) {
        self.out.push_str(&format!("<h2>{}</h2>\n", escape(text)));
    }

    fn paragraph(&mut self, class: &str, text: &str) {
        self.out.push_str(&format!("<p class=\"{class}\">{}</p>\n", escape(text)));
    }

    fn figures(&mut self, pictures: Vec<(String, String)>) {
        let drawn: Vec<_> = pictures.into_iter().filter(|(_, svg)| !svg.is_empty()).collect();
        if drawn.is_empty() {
            return;
        }
        self.out.push_str("<div class=\"figures\">\n");
        for (caption, svg) in drawn {
            let caption = escape(&caption);
            self.out.push_str(&format!("<figure><figcaption>{caption}</figcaption>{svg}</figure>\n"));
        }
        self.out.push_str("</div>\n");
    }

    /// The first row is the header, the first column names its row.
    fn table(&mut self, rows: &[Vec<String>]) {
        let Some((header, rows)) = rows.split_first() else { return };
        self.out.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
        for cell in header {
            self.out.push_str(&format!("<th scope=\"col\">{}</th>", escape(cell)));
        }
        self.out.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.out.push_str("<tr>");
            for (at, cell) in row.iter().enumerate() {
                let text = escape(cell);
                match at {
                    0 => self.out.push_str(&format!("<th scope=\"row\">{text}</th>")),
                    _ => self.out.push_str(&format!("<td{}>{text}</td>", mood(cell))),
                }
            }
            self.out.push_str("</tr>\n");
        }
        self.out.push_str("</tbody>\n</table></div>\n");
    }

    fn end(mut self) -> String {
        self.out.push_str("</main>\n</body>\n</html>\n");
        self.out
    }
}

/// Outcomes are words; their colour only helps.
fn mood(cell: &str) -> &'static str {
    match cell {
        "met" => " class=\"good\"",
        "not met" => " class=\"bad\"",
        _ => "",
    }
}

fn lines(plot: &Lines) -> (String, String) {
    (plot.title.clone(), plot.svg())
}

fn bars(plot: &Bars) -> (String, String) {
    (format!("{}, {}", plot.title, plot.unit), plot.svg())
}

const STYLE: &str = "
:root { --paper: #fcfcfb; --ink: #1f1e1c; --soft: #6b6963; --rule: #e3e1da; --good: #1a7f37; --bad: #b3261e;
  --c0: #1f6fd0; --c1: #d9730d; --c2: #2a9d6f; --c3: #b0479a; --c4: #8a8880; --c5: #7a5af0; --c6: #c2922a; --c7: #3a9bb5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191918; --ink: #eceae4; --soft: #a19e96; --rule: #363531; --good: #5bc27a; --bad: #f0837a;
    --c0: #62a3f2; --c1: #f0964a; --c2: #4fc396; --c3: #d67fc4; --c4: #98958c; --c5: #a591ff; --c6: #ddb457; --c7: #6cc3da; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 18px; margin: 40px 0 10px; padding-top: 14px; border-top: 1px solid var(--rule); }
p { margin: 0 0 10px; max-width: 90ch; }
.below, figcaption { color: var(--soft); }
.fault { color: var(--bad); white-space: pre-wrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 20px 28px; margin: 8px 0 14px; align-items: start; }
figure { margin: 0; }
figcaption { font-size: 13px; margin-bottom: 4px; }
svg { display: block; width: 100%; max-width: 720px; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--ink); font-family: inherit; }
svg .tick, svg .name { fill: var(--soft); }
svg .value { font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .mark { stroke: var(--paper); stroke-width: 1.5; }
svg .spread { stroke: var(--ink); stroke-width: 1.5; opacity: .75; }
.line.s0 { stroke: var(--c0); stroke-width: 3; } .line.s1 { stroke: var(--c1); } .line.s2 { stroke: var(--c2); } .line.s3 { stroke: var(--c3); }
.line.s4 { stroke: var(--c4); stroke-dasharray: 5 3; } .line.s5 { stroke: var(--c5); } .line.s6 { stroke: var(--c6); } .line.s7 { stroke: var(--c7); }
.bar.s0, .mark.s0 { fill: var(--c0); } .bar.s1, .mark.s1 { fill: var(--c1); } .bar.s2, .mark.s2 { fill: var(--c2); } .bar.s3, .mark.s3 { fill: var(--c3); }
.bar.s4, .mark.s4 { fill: var(--c4); } .bar.s5, .mark.s5 { fill: var(--c5); } .bar.s6, .mark.s6 { fill: var(--c6); } .bar.s7, .mark.s7 { fill: var(--c7); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; vertical-align: bottom; }
thead th { font-weight: 500; color: var(--soft); white-space: normal; }
th:first-child { text-align: left; font-weight: 500; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
";

#[cfg(test)]
mod tests;
