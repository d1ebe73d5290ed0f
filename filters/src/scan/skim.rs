//! Runs over the dull part of a string: up to the next quote, backslash or control byte.
//!
//! Sixteen bytes in one comparison; there is no UTF-8 here, because [`Gate`](super::gate::Gate) has checked it before.

use wide::u8x16;

/// The bytes of one comparison.
const LANE: usize = 16;

/// Long text goes by so many at once.
const BLOCK: usize = 4 * LANE;

/// The index of the first byte at or behind `from` that is `"`, `\` or below 0x20; the length of `bytes` when there is none.
#[inline(always)]
pub(super) fn special(bytes: &[u8], from: usize) -> usize {
    // Keys and short values end within the first lane; setting out in blocks would cost them more than it saves.
    match bytes.get(from..).and_then(<[u8]>::first_chunk::<LANE>) {
        Some(lane) => match specials(lane) {
            0 => special_afar(bytes, from + LANE),
            set => from + set.trailing_zeros() as usize,
        },
        None => special_at_end(bytes, from),
    }
}

/// The index of the closing quote of a string that nobody wants, or of what takes a closer look: a \u, something wrong, the
/// end of `bytes`. `from` is behind the opening quote.
#[inline(always)]
pub(super) fn end_of_text(bytes: &[u8], from: usize) -> usize {
    match bytes.get(from..).and_then(<[u8]>::first_chunk::<LANE>).map(specials) {
        Some(set) if set != 0 && bytes[from + set.trailing_zeros() as usize] == b'"' => {
            from + set.trailing_zeros() as usize
        }
        Some(0) => end_of_text_afar(bytes, from + LANE),
        _ => end_of_text_afar(bytes, from),
    }
}

/// Block by block: escapes are crossed out of a block's bits, which takes no new look at its bytes. Text that is full of
/// line ends and quotes is common, and going from one to the next by [`special`] would wait for each.
fn end_of_text_afar(bytes: &[u8], from: usize) -> usize {
    let mut at = dull_blocks(bytes, from);
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut set = specials_of_block(block);
        if set == 0 {
            at = dull_blocks(bytes, at + BLOCK);
            continue;
        }
        let mut next = at + BLOCK;
        while set != 0 {
            let place = set.trailing_zeros() as usize;
            if block[place] != b'\\' || !is_simple_escape(bytes.get(at + place + 1)) {
                return at + place;
            }
            // The bit of the escaped byte goes too; behind the last byte of the block there is none.
            set &= !(3 << place);
            next = next.max(at + place + 2);
        }
        at = next;
    }
    loop {
        at = special(bytes, at);
        if bytes.get(at) != Some(&b'\\') || !is_simple_escape(bytes.get(at + 1)) {
            return at;
        }
        at += 2;
    }
}

#[inline]
fn is_simple_escape(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| SIMPLE_ESCAPES[usize::from(*byte)])
}

/// What may follow a backslash, `u` aside, which takes four digits more.
const SIMPLE_ESCAPES: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    let simple = b"\"\\/bfnrt";
    while at < simple.len() {
        table[simple[at] as usize] = true;
        at += 1;
    }
    table
};

fn special_afar(bytes: &[u8], from: usize) -> usize {
    let mut at = dull_blocks(bytes, from);
    while let Some(lane) = bytes.get(at..).and_then(<[u8]>::first_chunk::<LANE>) {
        match specials(lane) {
            0 => at += LANE,
            set => return at + set.trailing_zeros() as usize,
        }
    }
    special_at_end(bytes, at)
}

#[cold]
fn special_at_end(bytes: &[u8], from: usize) -> usize {
    let stops = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    bytes[from..].iter().position(stops).map_or(bytes.len(), |dull| from + dull)
}

/// The index behind all blocks in a row, from `from` on, in which nothing is special.
#[inline]
fn dull_blocks(bytes: &[u8], from: usize) -> usize {
    let (blocks, _) = bytes.get(from..).unwrap_or(&[]).as_chunks::<BLOCK>();
    from + blocks.iter().take_while(|block| !is_special_in(block)).count() * BLOCK
}

#[inline]
fn is_special_in(block: &[u8; BLOCK]) -> bool {
    // No early exit: four lanes are asked for the price of one question.
    let [a, b, c, d] = lanes(block);
    ((compare(a) | compare(b)) | (compare(c) | compare(d))).to_bitmask() != 0
}

/// A bit for each special byte.
#[inline]
fn specials_of_block(block: &[u8; BLOCK]) -> u64 {
    let [a, b, c, d] = lanes(block).map(|lane| u64::from(specials(lane)));
    a | b << LANE | c << (2 * LANE) | d << (3 * LANE)
}

/// Written out, because the compiler does not unroll a loop over them.
#[inline(always)]
fn lanes(block: &[u8; BLOCK]) -> [&[u8; LANE]; 4] {
    let (lanes, _) = block.as_chunks::<LANE>();
    std::array::from_fn(|at| &lanes[at])
}

/// A bit for each special byte.
#[inline]
fn specials(lane: &[u8; LANE]) -> u32 {
    compare(lane).to_bitmask()
}

#[inline]
fn compare(lane: &[u8; LANE]) -> u8x16 {
    let lane = u8x16::new(*lane);
    // With its second bit turned over, a quote (0x22) stands right behind the control bytes, and nothing else joins them: one
    // comparison for both.
    let turned = lane ^ u8x16::splat(0x02);
    turned.min(u8x16::splat(0x20)).simd_eq(turned) | lane.simd_eq(u8x16::splat(b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_every_special_byte_at_every_place() {
        for byte in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..300 {
                let mut bytes = vec![b'a'; 300];
                bytes[place] = byte;
                assert_eq!(special(&bytes, 0), place, "byte {byte:#x} at {place}");
                assert_eq!(special(&bytes, place / 2), place, "byte {byte:#x} at {place}, from the middle");
                assert_eq!(special(&bytes, place + 1), 300, "byte {byte:#x} at {place}, from behind it");
            }
        }
    }

    #[test]
    fn passes_every_other_byte() {
        for byte in (0x20..=0xFF).filter(|byte| !b"\"\\".contains(byte)) {
            for length in [0, 1, 7, 15, 16, 17, 31, 33, 63, 64, 65, 79, 80, 81, 144, 145, 159, 200] {
                assert_eq!(special(&vec![byte; length], 0), length, "byte {byte:#x}");
            }
        }
    }

    #[test]
    fn neighbours_of_a_special_byte_do_not_hide_it() {
        for (before, after) in
            [(0x21, 0x23), (0x23, 0x21), (0x5B, 0x5D), (0x5D, 0x5B), (0x20, 0xA2), (0xDC, 0x80)]
        {
            for byte in [b'"', b'\\', 0x1F, 0] {
                let mut bytes = [before; 24];
                bytes[2..8].copy_from_slice(&[byte, after, byte, after, before, after]);
                assert_eq!(special(&bytes, 0), 2);
            }
        }
    }

    #[test]
    fn plain_escapes_are_passed_and_others_are_not() {
        let simple = br#"a\"b\\c\/d\b\f\n\r\t"#;
        for (end, what) in
            [(&b"\""[..], "a quote"), (br"\u0041", "a \\u"), (br"\x", "a wrong one"), (b"\\", "the end")]
        {
            for dull in 0..40 {
                let text = [&simple[..], &b"x".repeat(dull), end].concat();
                assert_eq!(end_of_text(&text, 0), simple.len() + dull, "{what}");
            }
        }
    }
}
