//! A line through points, by least squares, and what to call it.

/// Values that differ by less than this part of their mean over the whole range are called flat: runs on a shared machine
/// scatter by as much.
const FLAT_WITHIN: f64 = 0.15;
/// A line explains at least this share of the variance, or it is no line.
const LINEAR_FROM: f64 = 0.97;

/// `y = base + slope * x`, and the share of the variance that it explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) base: f64,
    pub(crate) slope: f64,
    pub(crate) explained: f64,
}

/// By least squares of the relative errors: each point weighs as much as any other, although the largest x is a thousand times
/// the least. `None` below two different x.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<Line> {
    let weigh = |value: fn(f64, f64) -> f64| {
        points.iter().map(|&(x, y)| value(x, y) / (y * y).max(f64::MIN_POSITIVE)).sum::<f64>()
    };
    let (weight, sum_x, sum_y) = (weigh(|_, _| 1.0), weigh(|x, _| x), weigh(|_, y| y));
    let (mean_x, mean_y) = (sum_x / weight, sum_y / weight);
    let (xx, xy) =
        (weigh(|x, _| x * x) - weight * mean_x * mean_x, weigh(|x, y| x * y) - weight * mean_x * mean_y);
    if points.len() < 2 || xx <= f64::EPSILON * weight * mean_x * mean_x {
        return None;
    }
    let slope = xy / xx;
    let base = mean_y - slope * mean_x;
    let error =
        |fit: &dyn Fn(f64) -> f64| points.iter().map(|&(x, y)| (1.0 - fit(x) / y).powi(2)).sum::<f64>();
    let explained = 1.0 - error(&|x| base + slope * x) / error(&|_| mean_y).max(f64::MIN_POSITIVE);
    Some(Line { base, slope, explained })
}

/// `flat`, `linear` with its slope, or how far it is from either.
pub(crate) fn note(points: &[(f64, f64)], x: &str) -> String {
    let ys = || points.iter().map(|&(_, y)| y);
    let (least, most) = (ys().fold(f64::INFINITY, f64::min), ys().fold(f64::NEG_INFINITY, f64::max));
    let times = if least > 0.0 { most / least } else { f64::INFINITY };
    match line(points) {
        None => "too few points".to_owned(),
        Some(_) if most - least <= FLAT_WITHIN * f64::midpoint(most, least) => {
            format!("flat: {} to {} over the whole range", digits(least), digits(most))
        }
        Some(Line { base, slope, explained }) if explained >= LINEAR_FROM && slope > 0.0 => {
            format!("linear: {} + {} x, x in {x}", digits(base), digits(slope))
        }
        Some(_) => format!("neither flat nor linear: largest to least {times:.2}"),
    }
}

/// Three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_from_levels_and_curves() {
        let at = [1.0, 10.0, 100.0, 1000.0];
        let points = |y: fn(f64) -> f64| at.map(|x| (x, y(x)));
        let found = line(&points(|x| 30.0 + 0.2 * x)).expect("a line");
        assert!((found.base - 30.0).abs() < 1e-6 && (found.slope - 0.2).abs() < 1e-9, "{found:?}");
        assert!(note(&points(|x| 30.0 + 0.2 * x), "KB").starts_with("linear: 30.0 + 0.2000 x"));
        assert!(note(&points(|x| 40.0 + x.log10()), "KB").starts_with("flat"));
        assert!(note(&points(|x| x * x), "KB").starts_with("neither"));
        assert!(note(&points(|x| 100.0 / x), "KB").starts_with("neither"), "it falls");
        assert_eq!(note(&[(1.0, 2.0)], "KB"), "too few points");
    }
}
