//! Text as chats have it, of any length and at the speed of a copy: sentences, code, letters of several bytes and images are
//! made once, and each body is cut from them by its own dice.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::dice::Dice;

/// What a list of content looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `messages` of chat completions.
    Messages,
    /// `input` of responses.
    Items,
    /// `input` of embeddings.
    Strings,
}

/// From this length on one body in four holds an image.
const IMAGE_FROM_BYTES: usize = 8 << 10;

/// A JSON array of exactly this many bytes, or as few as its fixed parts need. The last of its texts begins with `nonce`.
pub(crate) fn structured(style: Style, bytes: usize, nonce: &str, dice: &mut Dice) -> String {
    let mut out = String::with_capacity(bytes + 256);
    out.push('[');
    if style == Style::Messages && bytes > 600 {
        turn(&mut out, style, "system", 200);
    }
    let image = style != Style::Strings && bytes >= IMAGE_FROM_BYTES && dice.next().is_multiple_of(4);
    // With an image the text is a tenth; the rest is a picture, as phones take them.
    let until = if image { bytes / 10 } else { bytes };
    let longest = (bytes / 12).clamp(400, 64 << 10); // a few dozen turns, or a document in pieces
    let mut role = "user";
    loop {
        let length = 100 + dice.below(longest);
        if out.len() + length + 2 * LAST_BYTES > until {
            break;
        }
        turn_with(&mut out, style, role, length, dice);
        role = if role == "user" { "assistant" } else { "user" };
    }
    last(&mut out, style, image, bytes, nonce, dice);
    out.push(']');
    out
}

/// More than the fixed parts of the last turn with its image.
const LAST_BYTES: usize = 250;

fn turn(out: &mut String, style: Style, role: &str, length: usize) {
    turn_with(out, style, role, length, &mut Dice::new(1));
}

fn turn_with(out: &mut String, style: Style, role: &str, length: usize, dice: &mut Dice) {
    let (before, after) = frame(style, role);
    out.push_str(before.as_str());
    corpus().text(out, length, dice);
    out.push_str(after);
    out.push_str(", ");
}

fn frame(style: Style, role: &str) -> (String, &'static str) {
    match style {
        Style::Messages => (format!(r#"{{"role": "{role}", "content": ""#), r#""}"#),
        Style::Items => {
            let kind = if role == "assistant" { "output_text" } else { "input_text" };
            (format!(r#"{{"role": "{role}", "content": [{{"type": "{kind}", "text": ""#), r#""}]}"#)
        }
        Style::Strings => ("\"".to_owned(), "\""),
    }
}

/// The last turn takes all that is left, less the closing bracket.
fn last(out: &mut String, style: Style, image: bool, bytes: usize, nonce: &str, dice: &mut Dice) {
    let (before, after) = match (style, image) {
        (Style::Messages, true) => {
            (r#"{"role": "user", "content": [{"type": "text", "text": ""#.to_owned(), r#""}]}"#)
        }
        _ => frame(style, "user"),
    };
    out.push_str(&before);
    out.push_str(nonce);
    out.push(' ');
    if image {
        corpus().text(out, bytes / 20, dice);
        let (open, close) = match style {
            Style::Messages => {
                (r#""}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"#, r#""}}]}"#)
            }
            _ => (r#""}, {"type": "input_image", "image_url": "data:image/png;base64,"#, r#""}]}"#),
        };
        let left = (bytes - 1).saturating_sub(out.len() + open.len() + close.len());
        corpus().text(out, left % 4, dice); // base64 comes in fours
        out.push_str(open);
        corpus().image(out, left / 4 * 4, dice);
        out.push_str(close);
    } else {
        let left = (bytes.max(1) - 1).saturating_sub(out.len() + after.len());
        corpus().text(out, left, dice);
        out.push_str(after);
    }
}

/// What texts are cut from.
struct Corpus {
    /// Sentences, escaped as JSON has them.
    text: String,
    /// Where each begins, and where the last one ends.
    cuts: Vec<usize>,
    /// A picture, in base64.
    image: String,
}

fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(Corpus::make)
}

impl Corpus {
    const TEXT_BYTES: usize = 512 << 10;
    const IMAGE_BYTES: usize = 384 << 10;

    fn make() -> Corpus {
        let mut dice = Dice::new(0x0c0_4905);
        let (mut text, mut cuts) = (String::with_capacity(Self::TEXT_BYTES + 512), vec![0]);
        while text.len() < Self::TEXT_BYTES {
            let sentence = sentence(&mut dice);
            let escaped = serde_json::Value::from(sentence).to_string();
            text.push_str(&escaped[1..escaped.len() - 1]);
            cuts.push(text.len());
        }
        let noise: Vec<u8> = (0..Self::IMAGE_BYTES / 8).flat_map(|_| dice.next().to_le_bytes()).collect();
        Corpus { text, cuts, image: STANDARD.encode(noise) }
    }

    /// Exactly this many bytes: whole sentences, then a tail of plain letters.
    fn text(&self, out: &mut String, bytes: usize, dice: &mut Dice) {
        let end = out.len() + bytes;
        let mut at = dice.below(self.cuts.len() - 1);
        while out.len() < end {
            let from = self.cuts[at];
            let limit = from + (end - out.len());
            let upto = self.cuts.partition_point(|cut| *cut <= limit) - 1;
            if upto == at {
                break; // not even one sentence fits
            }
            out.push_str(&self.text[from..self.cuts[upto]]);
            at = upto % (self.cuts.len() - 1);
        }
        const TAIL: &str = " and so on";
        while out.len() < end {
            out.push_str(&TAIL[..TAIL.len().min(end - out.len())]);
        }
    }

    /// `bytes` is a multiple of four.
    fn image(&self, out: &mut String, bytes: usize, dice: &mut Dice) {
        let end = out.len() + bytes;
        let mut at = dice.below(self.image.len() / 4) * 4;
        while out.len() < end {
            let length = (self.image.len() - at).min(end - out.len());
            out.push_str(&self.image[at..at + length]);
            at = 0;
        }
    }
}

/// A sentence, a line of code, or something that a scanner can trip over.
fn sentence(dice: &mut Dice) -> String {
    const WORDS: [&str; 24] = [
        "the", "model", "of", "a", "river", "carries", "state", "between", "two", "banks", "and", "what",
        "we", "asked", "about", "earlier", "was", "never", "stored", "on", "this", "side", "until",
        "morning",
    ];
    const CODE: [&str; 4] = [
        "```rust\nfn main() {\n    println!(\"{}\", 1 + 1);\n}\n```\n",
        "\tif (x[\"model\"] == '\\\\') { return {}; }\n",
        "{\"previous_response_id\": \"resp_not_a_handle\", \"model\": \"x\"}\n",
        "SELECT * FROM t WHERE a LIKE '%\\_%' -- ]}\n",
    ];
    match dice.below(40) {
        0 => CODE[dice.below(CODE.len())].to_owned(),
        1 => "Größe, naïveté, 水は流れる, 🜁🜂 and a zero\u{200b}width space. ".to_owned(),
        _ => {
            let words: Vec<&str> = (0..4 + dice.below(14)).map(|_| WORDS[dice.below(WORDS.len())]).collect();
            let end = if dice.below(8) == 0 { ".\n\n" } else { ". " };
            words.join(" ") + end
        }
    }
}

/// Text of which a quarter is quotes, escapes, braces, words that are field names, letters of several bytes.
pub(crate) fn tricky(bytes: usize, dice: &mut Dice) -> String {
    const WORDS: [&str; 8] = [
        "plain ",
        "\"model\": \"x\" ",
        "\\\" ",
        "{[}] ",
        "é水🜁 ",
        "previous_response_id ",
        "\n\t",
        "lorem ipsum dolor ",
    ];
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        // Mostly plain, as prompts are.
        let word = if dice.next().is_multiple_of(4) { WORDS[dice.below(WORDS.len())] } else { WORDS[7] };
        text.push_str(word);
    }
    text
}
