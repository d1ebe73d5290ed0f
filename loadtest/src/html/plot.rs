//! Two kinds of picture: lines over two axes (percentile curves are lines too) and bars with their spread.

use super::svg::{self, Axis, Spacing, escape, put};
use crate::compare::number;

/// A named line.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over two axes.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: (String, Spacing),
    pub(crate) y: (&'static str, Spacing),
    /// Whether each point is marked: where they are few.
    pub(crate) marks: bool,
    pub(crate) series: Vec<Series>,
}

/// Bars to the right, one a name.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) bars: Vec<Bar>,
}

/// A bar, and how far the rounds spread.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) spread: (f64, f64),
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
/// Room for the legend above the plot.
const TOP: f64 = 34.0;
/// Room for the labels of ticks, and the axis' name below.
const BOTTOM: f64 = 44.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
/// About what a letter takes in the legend.
const LETTER: f64 = 7.2;

/// Who has which colour, everywhere: by the name, so that a peer that did not take part changes nobody else's.
pub(crate) fn colour(name: &str) -> usize {
    const KNOWN: [&str; 5] = ["riparian", "nginx", "haproxy", "envoy", "straight"];
    let others = || 5 + name.bytes().map(usize::from).sum::<usize>() % 3;
    KNOWN.iter().position(|known| *known == name).unwrap_or_else(others)
}

/// Percentile curves, in microseconds.
pub(crate) fn percentiles(title: String, series: Vec<Series>) -> Lines {
    let (x, y) = (("of all are not above".to_owned(), Spacing::Quantile), ("us", Spacing::Log));
    Lines { title, x, y, marks: false, series }
}

impl Lines {
    /// Empty where there is nothing to draw.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let x = Axis::over(points().map(|point| point.0), self.x.1, (LEFT, WIDTH - RIGHT));
        let y = Axis::over(points().map(|point| point.1), self.y.1, (HEIGHT - BOTTOM, TOP));
        let (Some(x), Some(y)) = (x, y) else { return String::new() };
        let mut out = String::new();
        svg::open(&mut out, WIDTH, HEIGHT, &self.title, &self.described());
        self.grid(&mut out, &x, &y);
        for series in &self.series {
            self.line(&mut out, series, &x, &y);
        }
        if self.series.len() > 1 {
            self.legend(&mut out);
        }
        out.push_str("</svg>");
        out
    }

    fn grid(&self, out: &mut String, x: &Axis, y: &Axis) {
        let floor = HEIGHT - BOTTOM;
        for (value, label) in y.ticks() {
            let Some(at) = y.at(value) else { continue };
            let right = WIDTH - RIGHT;
            put(
                out,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
                ),
            );
            svg::text(out, (LEFT - 6.0, at + 4.0), "end", "tick", &label);
        }
        let mut last = f64::NEG_INFINITY;
        for (value, label) in x.ticks() {
            let Some(at) = x.at(value) else { continue };
            put(
                out,
                format_args!(
                    "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{floor}\" y2=\"{:.1}\"/>",
                    floor + 4.0
                ),
            );
            // A label that would touch the one before is left out; its tick stays.
            #[expect(clippy::cast_precision_loss, reason = "a label is a few letters")]
            let half = label.chars().count() as f64 * LETTER / 2.0;
            if at - half > last {
                // The outermost stays inside the picture.
                let middle = at.min(WIDTH - half);
                svg::text(out, (middle, floor + 18.0), "middle", "tick", &label);
                last = middle + half + 4.0;
            }
        }
        let right = WIDTH - RIGHT;
        put(
            out,
            format_args!("<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{floor}\" y2=\"{floor}\"/>"),
        );
        svg::text(out, ((LEFT + right) / 2.0, HEIGHT - 6.0), "middle", "name", &self.x.0);
        svg::text(out, (LEFT - 6.0, 14.0), "end", "name", self.y.0);
    }

    fn line(&self, out: &mut String, series: &Series, x: &Axis, y: &Axis) {
        let at: Vec<(f64, f64)> =
            series.points.iter().filter_map(|&(px, py)| Some((x.at(px)?, y.at(py)?))).collect();
        let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let colour = colour(&series.name);
        put(out, format_args!("<polyline class=\"line s{colour}\" points=\"{}\"/>", path.join(" ")));
        if self.marks {
            for ((at_x, at_y), (px, py)) in at.iter().zip(&series.points) {
                let words = escape(&format!("{}: {} at {}", series.name, number(*py), svg::label(*px)));
                put(
                    out,
                    format_args!(
                        "<circle class=\"mark s{colour}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.5\"><title>{words}</title></circle>"
                    ),
                );
            }
        }
    }

    fn legend(&self, out: &mut String) {
        let mut x = LEFT + 8.0;
        for series in &self.series {
            let colour = colour(&series.name);
            let to = x + 18.0;
            put(
                out,
                format_args!(
                    "<line class=\"line s{colour}\" x1=\"{x:.1}\" x2=\"{to:.1}\" y1=\"14\" y2=\"14\"/>"
                ),
            );
            svg::text(out, (to + 5.0, 18.0), "start", "key", &series.name);
            #[expect(clippy::cast_precision_loss, reason = "a name is a few letters")]
            let width = series.name.chars().count() as f64 * LETTER;
            x = to + 5.0 + width + 16.0;
        }
    }

    fn described(&self) -> String {
        let ends = self.series.iter().filter_map(|series| {
            let (last_x, last_y) = series.points.last()?;
            Some(format!("{}: {} at {}", series.name, number(*last_y), svg::label(*last_x)))
        });
        format!("{} against {}. {}.", self.y.0, self.x.0, ends.collect::<Vec<_>>().join("; "))
    }
}

impl Bars {
    /// Empty where there is nothing to draw.
    pub(crate) fn svg(&self) -> String {
        const ROW: f64 = 30.0;
        const NAME: f64 = 96.0;
        const VALUE: f64 = 96.0;
        let values = self.bars.iter().flat_map(|bar| [bar.value, bar.spread.1]);
        let Some(x) = Axis::over(values, Spacing::Linear, (NAME, WIDTH - VALUE)) else {
            return String::new();
        };
        #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
        let height = ROW * self.bars.len() as f64 + 8.0;
        let told = self.bars.iter().map(|bar| format!("{} {}", bar.name, number(bar.value)));
        let described = format!("{}: {}", self.unit, told.collect::<Vec<_>>().join(", "));
        let mut out = String::new();
        svg::open(&mut out, WIDTH, height, &self.title, &described);
        let zero = x.at(0.0).unwrap_or(NAME);
        let mut top = 4.0;
        for bar in &self.bars {
            let place = |value: f64| x.at(value).unwrap_or(zero);
            let (end, (low, high)) = (place(bar.value), (place(bar.spread.0), place(bar.spread.1)));
            let (left, width) = (zero.min(end), (end - zero).abs().max(1.0));
            let (colour, middle) = (colour(&bar.name), top + ROW / 2.0);
            svg::text(&mut out, (NAME - 8.0, middle + 4.5), "end", "key", &bar.name);
            put(
                &mut out,
                format_args!(
                    "<rect class=\"bar s{colour}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\"/>",
                    top + 4.0,
                    ROW - 8.0
                ),
            );
            put(
                &mut out,
                format_args!(
                    "<line class=\"spread\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
                ),
            );
            let after = end.max(high).max(zero) + 8.0;
            svg::text(&mut out, (after, middle + 4.5), "start", "value", &number(bar.value));
            top += ROW;
        }
        put(
            &mut out,
            format_args!("<line class=\"axis\" x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"0\" y2=\"{height}\"/>"),
        );
        out.push_str("</svg>");
        out
    }
}
