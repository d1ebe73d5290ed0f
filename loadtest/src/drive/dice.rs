//! Randomness that can be had again.

/// A small generator (SplitMix64): the same seed gives the same test.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// Seeded by a text, for instance a nonce.
    pub(crate) fn of(text: &str) -> Self {
        Dice(text.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into())))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    /// An exponentially distributed gap between arrivals, in seconds: what makes them independent of each other.
    pub(crate) fn gap_seconds(&mut self, rate: f64) -> f64 {
        // 53 random bits make a double in (0, 1].
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_average_out() {
        let mut dice = Dice::new(1);
        let sum: f64 = (0..10_000).map(|_| dice.gap_seconds(100.0)).sum();
        assert!((90.0..110.0).contains(&sum), "10,000 arrivals at 100 a second took {sum} s");
    }
}
