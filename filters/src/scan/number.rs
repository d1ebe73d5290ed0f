//! RFC 8259, section 6: the grammar of a number, a byte at a time, and the value of one that counts something.

/// How far into a number we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// After the minus: a digit must come.
    Minus,
    /// After a first 0: no digit may come.
    Zero,
    Integer,
    /// After the point: a digit must come.
    Point,
    Fraction,
    /// After the e: a sign or a digit must come.
    Exponent,
    /// After its sign: a digit must come.
    Sign,
    Power,
}

impl Number {
    /// Begins a number. `None` when no number begins with this byte.
    #[inline]
    pub(super) fn begin(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Integer),
            _ => None,
        }
    }

    /// Goes on with a byte. `None` when it does not belong to the number.
    #[inline]
    pub(super) fn step(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Some(Self::Power),
            _ => None,
        }
    }

    /// May the number end here?
    #[inline]
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Power)
    }
}

/// A number under way, with its value while that is whole and not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counting {
    number: Number,
    count: Option<u64>,
}

impl Counting {
    /// Begins a number. `None` when no number begins with this byte.
    #[inline]
    pub(super) fn begin(byte: u8) -> Option<Self> {
        let count = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        Number::begin(byte).map(|number| Self { number, count })
    }

    /// Goes on with a byte. `None` when it does not belong to the number.
    #[inline]
    pub(super) fn step(self, byte: u8) -> Option<Self> {
        let number = self.number.step(byte)?;
        let count = match number {
            Number::Integer => {
                self.count.and_then(|count| count.checked_mul(10)?.checked_add(u64::from(byte - b'0')))
            }
            _ => None,
        };
        Some(Self { number, count })
    }

    /// May the number end here?
    #[inline]
    pub(super) fn is_whole(self) -> bool {
        self.number.is_whole()
    }

    /// Its value, when it is written without sign, fraction and exponent and fits.
    #[inline]
    pub(super) fn count(self) -> Option<u64> {
        self.count
    }
}
