//! RFC 8259, section 6: the grammar of a number, a byte at a time. Its value is nobody's business here.

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
