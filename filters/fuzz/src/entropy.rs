//! Choices made by a string of bytes: from a fuzzer, from a property test, or from a seed.

/// Bytes that are used up one by one; after the last one every choice is the first.
#[derive(Debug)]
pub struct Entropy<'b> {
    bytes: &'b [u8],
}

impl<'b> Entropy<'b> {
    /// Choices made by these bytes.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let high = if end > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % end
    }

    /// One of these.
    pub fn one_of<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// Is nothing left?
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Cuts into `body`, 0 to 5 of them, in order.
    pub fn cuts(&mut self, body: &[u8]) -> Vec<usize> {
        let count = self.below(6);
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(body.len() + 1)).collect();
        cuts.sort_unstable();
        cuts
    }

    /// Changes up to three bytes of `body`: writes over, takes out, puts in, repeats.
    pub fn mutate(&mut self, body: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(body.len() + 1);
            match self.below(6) {
                0 if at < body.len() => body[at] = self.byte(),
                1 if at < body.len() => {
                    body.remove(at);
                }
                2 => body.insert(at, self.byte()),
                3 => body.insert(
                    at,
                    *self.one_of(&[&b'"', &b'\\', &b'{', &b'}', &b'[', &b']', &b',', &b':', &b'\n']),
                ),
                4 => body.truncate(at),
                _ => {
                    let end = (at + self.below(24)).min(body.len());
                    let copy = body[at..end].to_vec();
                    body.splice(at..at, copy);
                }
            }
        }
    }
}

/// `count` pseudo-random bytes (SplitMix64), the same for the same seed.
#[must_use]
pub fn seeded(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31).to_le_bytes()
    });
    words.flatten().take(count).collect()
}
