//! Writes JSON bodies that go where the scanner looks, in all the spellings that the grammar has.

use super::entropy::Entropy;

const KEYS: [&str; 24] = [
    "model",
    "input",
    "id",
    "type",
    "store",
    "conversation",
    "previous_response_id",
    "tools",
    "container",
    "messages",
    "content",
    "file_id",
    "role",
    "encrypted_content",
    "prompt_cache_key",
    "background",
    "audio",
    "file_ids",
    "Model",
    "",
    "a-key-that-is-longer-than-all-watched-ones-and-a-word",
    "\u{1F600}",
    "é",
    "id\0",
];
const STRINGS: [&str; 16] = [
    "gpt-5.5",
    "resp_1",
    "resp_2",
    "conv_1",
    "item_reference",
    "item_referencf",
    "cntr_1",
    "code_interpreter",
    "",
    "a plain text that is somewhat longer than a word of a machine",
    "\u{10FFFF}\u{10000}\u{FFFF}\u{800}\u{80}",
    "é",
    "\u{8}\t\n\u{c}\r/",
    "\"\\/",
    "\0",
    "container_auto",
];
const SCALARS: [&str; 14] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-12.5e+3",
    "1E9",
    "0.25",
    "123456789012345678901234567890",
    "1e999",
    "-0.0e-0",
    "10",
    "5e-324",
];

/// RFC 8259's short escapes.
const SHORT: [(char, u8); 8] = [
    ('"', b'"'),
    ('\\', b'\\'),
    ('/', b'/'),
    ('\u{8}', b'b'),
    ('\u{c}', b'f'),
    ('\n', b'n'),
    ('\r', b'r'),
    ('\t', b't'),
];

/// A root object.
#[must_use]
pub fn body(entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    space(entropy, &mut text);
    object(entropy, &mut text, 0);
    space(entropy, &mut text);
    text
}

fn value(entropy: &mut Entropy<'_>, text: &mut Vec<u8>, depth: usize) {
    match entropy.below(if depth > 5 || entropy.is_spent() { 6 } else { 12 }) {
        0..3 => string(entropy, text, true),
        3 => text.extend_from_slice(entropy.one_of(&SCALARS).as_bytes()),
        4 => {
            // Bounds of handles, models and cache keys, to the byte.
            let length = [255, 256, 257, 511, 512, 513][entropy.below(6)];
            text.push(b'"');
            text.extend(std::iter::repeat_n(b'x', length - 2 * (length / 300)));
            text.extend_from_slice(["é", "éé", "", "xx"][entropy.below(4)].as_bytes());
            text.push(b'"');
        }
        5 => {
            let depth = if entropy.once_in(8) { 60 + entropy.below(8) } else { entropy.below(8) };
            text.extend(std::iter::repeat_n(b'[', depth));
            text.push(b'1');
            text.extend(std::iter::repeat_n(b']', depth));
        }
        6..9 => object(entropy, text, depth + 1),
        _ => array(entropy, text, depth + 1),
    }
}

fn object(entropy: &mut Entropy<'_>, text: &mut Vec<u8>, depth: usize) {
    text.push(b'{');
    space(entropy, text);
    // Without repeats most of the time, or hardly any body would be right.
    let may_repeat = entropy.once_in(16);
    let mut had = Vec::new();
    for _ in 0..entropy.below(7) {
        let key = entropy.below(KEYS.len());
        if had.contains(&key) && !may_repeat {
            continue;
        }
        if !had.is_empty() {
            text.push(b',');
            space(entropy, text);
        }
        had.push(key);
        spell(entropy, text, KEYS[key]);
        space(entropy, text);
        text.push(b':');
        space(entropy, text);
        value(entropy, text, depth);
        space(entropy, text);
    }
    text.push(b'}');
}

fn array(entropy: &mut Entropy<'_>, text: &mut Vec<u8>, depth: usize) {
    text.push(b'[');
    space(entropy, text);
    for index in 0..entropy.below(4) {
        if index > 0 {
            text.push(b',');
            space(entropy, text);
        }
        value(entropy, text, depth);
        space(entropy, text);
    }
    text.push(b']');
}

fn string(entropy: &mut Entropy<'_>, text: &mut Vec<u8>, may_be_odd: bool) {
    if may_be_odd && entropy.once_in(24) {
        let odd = [
            r#""\ud800""#,
            r#""\udc00x""#,
            r#""x\ud800\ud800\udc00""#,
            r#""\ud800\n""#,
            r#""a\uDFFF\uD8001""#,
            r#""\ud83cx\udf0a""#,
            r#""\ud83c\n\udf0a""#,
        ];
        text.extend_from_slice(entropy.one_of(&odd).as_bytes());
    } else {
        let word = entropy.one_of(&STRINGS);
        spell(entropy, text, word);
    }
}

/// Writes a string, with some characters as escapes that need none.
fn spell(entropy: &mut Entropy<'_>, text: &mut Vec<u8>, word: &str) {
    let odd = entropy.once_in(6);
    text.push(b'"');
    for character in word.chars() {
        let due = matches!(character, '"' | '\\') || u32::from(character) < 0x20;
        let short =
            SHORT.iter().find(|(own, _)| *own == character).filter(|_| (due || odd) && entropy.once_in(2));
        if let Some((_, escape)) = short {
            text.extend_from_slice(&[b'\\', *escape]);
        } else if due || odd && entropy.once_in(3) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let spelled =
                    if entropy.once_in(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                text.extend_from_slice(spelled.as_bytes());
            }
        } else {
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    text.push(b'"');
}

fn space(entropy: &mut Entropy<'_>, text: &mut Vec<u8>) {
    if entropy.once_in(8) {
        text.extend_from_slice(entropy.one_of(&[&b" "[..], b"\n  ", b"\t", b"\r\n", b"    "]));
    }
}
