//! Sets of clouds, as one word of bits.

/// A set of clouds, by their index in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloudSet(u64);

impl CloudSet {
    /// No cloud.
    pub const NONE: Self = Self(0);

    /// The first `count` clouds; at most 64.
    #[must_use]
    pub fn first(count: usize) -> Self {
        Self(if count >= 64 { u64::MAX } else { (1 << count) - 1 })
    }

    /// The clouds whose bits are set.
    #[must_use]
    pub fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether `cloud` is in it.
    #[must_use]
    pub fn contains(self, cloud: usize) -> bool {
        self.0 >> cloud & 1 == 1
    }

    /// Whether no cloud is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the configuration's order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let cloud = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(cloud)
        })
    }

    pub(crate) fn less(self, cloud: usize) -> Self {
        Self(self.0 & !(1 << cloud))
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<usize> for CloudSet {
    fn from_iter<I: IntoIterator<Item = usize>>(clouds: I) -> Self {
        Self(clouds.into_iter().fold(0, |set, cloud| set | 1 << cloud))
    }
}
