//! Text that becomes SVG: escaping, axes and their ticks. Colours and fonts are the page's style sheet's.

use std::fmt::Write as _;

/// Escapes text for an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// Opens a picture that a screen reader can name.
pub(crate) fn open(out: &mut String, width: f64, height: f64, title: &str, described: &str) {
    let (title, described) = (escape(title), escape(described));
    put(
        out,
        format_args!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title><desc>{described}</desc>"
        ),
    );
}

/// Appends.
pub(crate) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

/// A piece of text. `class` may be empty.
pub(crate) fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let words = escape(words);
    put(
        out,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{words}</text>"
        ),
    );
}

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Evenly.
    Linear,
    /// By their logarithm; what is not positive is left out.
    Log,
    /// Quantiles (0 to 1) by the logarithm of `1 / (1 - q)`, so that each nine is as wide as the last.
    Quantile,
}

/// An axis over values, as long as it is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    spacing: Spacing,
    from: f64,
    to: f64,
    /// Where `from` and `to` are drawn.
    drawn: (f64, f64),
}

impl Axis {
    /// Over all of these values. A linear one begins at zero.
    pub(crate) fn over(
        values: impl Iterator<Item = f64>,
        spacing: Spacing,
        drawn: (f64, f64),
    ) -> Option<Axis> {
        let placed = values.filter_map(|value| place(spacing, value));
        let (least, most) = placed
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), at| (least.min(at), most.max(at)));
        if least > most {
            return None;
        }
        let (from, to) = match spacing {
            Spacing::Linear => (least.min(0.0), most.max(least.min(0.0) + 1e-9) * 1.05),
            // Half a tenth of a decade to each side, and never less than a decade in all.
            Spacing::Log => {
                let short = (1.0 - (most - least)).max(0.0) / 2.0;
                (least - short - 0.05, most + short + 0.05)
            }
            Spacing::Quantile => (0.0, most.max(1.0)),
        };
        Some(Axis { spacing, from, to, drawn })
    }

    /// Where a value is drawn; `None` where the axis has no place for it.
    pub(crate) fn at(&self, value: f64) -> Option<f64> {
        let part = (place(self.spacing, value)? - self.from) / (self.to - self.from);
        Some(self.drawn.0 + part * (self.drawn.1 - self.drawn.0))
    }

    /// Values with a label each.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        match self.spacing {
            Spacing::Linear => {
                let step = even_step(self.to - self.from);
                let first = (self.from / step).ceil();
                let steps = (0..).map(|at| (first + f64::from(at)) * step);
                steps.take_while(|value| *value <= self.to).map(|value| (value, label(value))).collect()
            }
            Spacing::Log => {
                let marks: &[f64] = if self.to - self.from > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let decades =
                    (-6..12).flat_map(|decade| marks.iter().map(move |mark| mark * 10f64.powi(decade)));
                let inside = decades.filter(|value| (self.from..=self.to).contains(&value.log10()));
                inside.map(|value| (value, label(value))).collect()
            }
            Spacing::Quantile => {
                let marks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
                let names = ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
                let marks = marks.into_iter().zip(names);
                let inside = marks
                    .filter(|(mark, _)| place(self.spacing, *mark).is_some_and(|at| at <= self.to + 1e-9));
                inside.map(|(mark, name)| (mark, name.to_owned())).collect()
            }
        }
    }
}

fn place(spacing: Spacing, value: f64) -> Option<f64> {
    match spacing {
        _ if !value.is_finite() => None,
        Spacing::Linear => Some(value),
        Spacing::Log => (value > 0.0).then(|| value.log10()),
        Spacing::Quantile => (value < 1.0).then(|| -(1.0 - value).log10()),
    }
}

/// 1, 2 or 5 times a power of ten, so that there are four to nine ticks.
fn even_step(range: f64) -> f64 {
    let rough = range / 5.0;
    let decade = 10f64.powf(rough.log10().floor());
    let lead = rough / decade;
    decade
        * if lead < 1.5 {
            1.0
        } else if lead < 3.5 {
            2.0
        } else if lead < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// A tick's value, without digits that say nothing.
pub(crate) fn label(value: f64) -> String {
    let plain = |value: f64| {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 1e6 => format!("{}M", plain(value / 1e6)),
        size if size >= 1e3 => format!("{}k", plain(value / 1e3)),
        _ => plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::over([3.0, 87.0].into_iter(), Spacing::Linear, (0.0, 100.0)).expect("values");
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0", "20", "40", "60", "80"]);
        let axis = Axis::over([0.3, 4_000.0].into_iter(), Spacing::Log, (0.0, 100.0)).expect("values");
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "10", "100", "1k"]);
        for (value, _) in axis.ticks() {
            assert!(axis.at(value).is_some_and(|at| (0.0..=100.0).contains(&at)), "{value}");
        }
        let axis = Axis::over([0.0, 0.999].into_iter(), Spacing::Quantile, (0.0, 300.0)).expect("values");
        assert_eq!(axis.at(0.99).map(f64::round), Some(200.0), "each nine is as wide as the last");
        assert!(Axis::over([0.0].into_iter(), Spacing::Log, (0.0, 1.0)).is_none(), "no place for zero");
    }
}
