//! Many durations as one curve of percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Durations, to three digits, up to a minute.
#[derive(Clone, Debug)]
pub struct Curve {
    nanos: Histogram<u64>,
}

impl Default for Curve {
    fn default() -> Curve {
        Curve {
            nanos: Histogram::new_with_max(60_000_000_000, 3).expect("a minute in nanoseconds is in range"),
        }
    }
}

impl Curve {
    /// Adds one.
    pub fn record(&mut self, duration: Duration) {
        self.record_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        self.nanos.saturating_record(nanos);
    }

    /// Adds all of another's.
    pub fn add(&mut self, other: &Curve) {
        self.nanos.add(&other.nanos).expect("both have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.nanos.len()
    }

    /// The value, in microseconds, that this share (0 to 1) is not above.
    pub fn at(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a minute in nanoseconds is far below 2^52")]
        let nanos = self.nanos.value_at_quantile(quantile) as f64;
        nanos / 1e3
    }

    /// `(quantile, microseconds)` from the median's side to the last that the count can tell: the steps get finer towards 1,
    /// so that they are even on a logarithmic axis of `1 / (1 - quantile)`.
    pub fn points(&self) -> Vec<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let most = (self.count().max(1) as f64).log10().min(5.0);
        let steps = (0..).map(|step| f64::from(step) / 20.0).take_while(|decades| *decades <= most);
        if self.count() == 0 {
            return Vec::new();
        }
        steps
            .map(|decades| 1.0 - 10f64.powf(-decades))
            .map(|quantile| (quantile, self.at(quantile)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_set() {
        let mut curve = Curve::default();
        assert!(curve.points().is_empty());
        (1..=1000).for_each(|us| curve.record(Duration::from_micros(us)));
        assert_eq!(curve.count(), 1000);
        for (quantile, right) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = curve.at(quantile);
            assert!((found - right).abs() <= right / 500.0, "{quantile}: {found}");
        }
        let points = curve.points();
        assert_eq!(points.len(), 61, "three decades, twenty steps each");
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }
}
