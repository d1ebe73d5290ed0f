//! Runs over the dull part of a string: up to the next quote, backslash or control byte.
//!
//! Safe code that the compiler can turn into vector instructions; there is no UTF-8 here, because
//! [`Gate`](super::gate::Gate) has checked it before.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many bytes at the start of `bytes` are neither `"`, nor `\`, nor below 0x20.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    // Keys and short values end within four words; setting out in blocks would cost them more than it saves.
    let near = &bytes[..bytes.len().min(32)];
    let stop = plain_by_word(near);
    if stop < near.len() || near.len() == bytes.len() { stop } else { 32 + plain_by_block(&bytes[32..]) }
}

fn plain_by_block(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let dull = blocks.iter().take_while(|block| !is_special_in(block)).count() * 64;
    dull + plain_by_word(&bytes[dull..])
}

#[inline]
fn is_special_in(block: &[u8; 64]) -> bool {
    // No early exit: that is what lets the compiler look at all bytes at once.
    block.iter().fold(0_u8, |any, &byte| {
        any | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
    }) != 0
}

#[inline]
fn plain_by_word(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let specials = specials(u64::from_le_bytes(*word));
        if specials != 0 {
            return index * 8 + (specials.trailing_zeros() / 8) as usize;
        }
    }
    words.len() * 8 + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of each special byte. A borrow can set wrong bits too, but only above a right one, and only the lowest
/// bit is used.
#[inline]
fn specials(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_every_special_byte_at_every_place() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..200 {
                let mut bytes = vec![b'a'; 200];
                bytes[place] = special;
                assert_eq!(plain(&bytes), place, "byte {special:#x} at {place}");
            }
        }
    }

    #[test]
    fn passes_every_other_byte() {
        for byte in (0x20..=0xFF).filter(|byte| !b"\"\\".contains(byte)) {
            for length in [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 95, 96, 97, 160, 200] {
                assert_eq!(plain(&vec![byte; length]), length, "byte {byte:#x}");
            }
        }
    }

    #[test]
    fn neighbours_of_a_special_byte_do_not_hide_it() {
        for (before, after) in
            [(0x21, 0x23), (0x23, 0x21), (0x5B, 0x5D), (0x5D, 0x5B), (0x20, 0xA2), (0xDC, 0x80)]
        {
            for special in [b'"', b'\\', 0x1F, 0] {
                let bytes = [before, before, special, after, special, after, before, after];
                assert_eq!(plain(&bytes), 2);
            }
        }
    }
}
