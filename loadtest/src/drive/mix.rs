//! What arrives: shapes of traffic, sizes of bodies, courses of answers, manners of clients and faults, each with weights.

use std::fmt;
use std::str::FromStr;

use super::dice::Dice;
use super::shape::{Manners, Shape};
use crate::cloud::{Fault, Script};

/// Values with their weights, of which at least one is positive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Weighted<T>(Vec<(T, u32)>);

impl<T: Clone> Weighted<T> {
    fn only(value: T) -> Self {
        Weighted(vec![(value, 1)])
    }

    fn new(weights: impl IntoIterator<Item = (T, u32)>) -> Option<Self> {
        let weights: Vec<_> = weights.into_iter().filter(|(_, weight)| *weight > 0).collect();
        (!weights.is_empty()).then_some(Weighted(weights))
    }

    fn draw(&self, dice: &mut Dice) -> T {
        let total: u64 = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = dice.next() % total;
        for (value, weight) in &self.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return value.clone(),
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }
}

/// What arrives, as weights. Each arrival draws one of each list.
///
/// As text the lists are parted by semicolons; all but the first begin with their name:
///
/// ```
/// # use riparian_loadtest::Mix;
/// let mix: Mix = "chat=4, chat-stream=4, chain=1; sizes: 1k=8, 16k=4, 100k=2, 1m=1; answers: 8=3, 50/10ms/64b=1; \
///     clients: good=97, slow-reader=1, vanish-reading=2; faults: none=98, cut-mid-stream=1, status-503:1=1".parse()?;
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    shapes: Weighted<Shape>,
    sizes: Weighted<Option<usize>>,
    answers: Weighted<Option<Script>>,
    clients: Weighted<Manners>,
    faults: Weighted<Option<Fault>>,
}

/// What one arrival drew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) shape: Shape,
    pub(crate) body_bytes: Option<usize>,
    pub(crate) script: Option<Script>,
    pub(crate) manners: Manners,
    pub(crate) fault: Option<Fault>,
}

impl Mix {
    /// A mix of these shapes; those of weight 0 never arrive. At least one weight must be positive, here and in the lists
    /// below. Bodies are small, answers are told as the clouds tell them, clients are good, and nothing fails.
    pub fn new(weights: impl IntoIterator<Item = (Shape, u32)>) -> Option<Mix> {
        Some(Mix {
            shapes: Weighted::new(weights)?,
            sizes: Weighted::only(None),
            answers: Weighted::only(None),
            clients: Weighted::only(Manners::Good),
            faults: Weighted::only(None),
        })
    }

    /// Bodies of these lengths in bytes, with text as chats have it, a part of it images. None: see
    /// [`crate::Plan::padding_bytes`].
    pub fn sizes(mut self, weights: impl IntoIterator<Item = (Option<usize>, u32)>) -> Option<Mix> {
        self.sizes = Weighted::new(weights)?;
        Some(self)
    }

    /// Answers of these courses; none: as the cloud's spec has it.
    pub fn answers(mut self, weights: impl IntoIterator<Item = (Option<Script>, u32)>) -> Option<Mix> {
        self.answers = Weighted::new(weights)?;
        Some(self)
    }

    /// Clients of these manners. In a chain one turn, drawn by the seed, is so, and the others are good.
    pub fn clients(mut self, weights: impl IntoIterator<Item = (Manners, u32)>) -> Option<Mix> {
        self.clients = Weighted::new(weights)?;
        Some(self)
    }

    /// Clouds that fail so, wherever the request goes. In a chain one turn, drawn by the seed, does.
    pub fn faults(mut self, weights: impl IntoIterator<Item = (Option<Fault>, u32)>) -> Option<Mix> {
        self.faults = Weighted::new(weights)?;
        Some(self)
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> Arrival {
        Arrival {
            shape: self.shapes.draw(dice),
            body_bytes: self.sizes.draw(dice),
            script: self.answers.draw(dice),
            manners: self.clients.draw(dice),
            fault: self.faults.draw(dice),
        }
    }
}

impl Default for Mix {
    /// Mostly stateless, with every kind of state: `chat=4,chat-stream=4,embeddings=2,response=2,chain=1,chain-stream=1`.
    /// No conversations, because not every cloud has them.
    fn default() -> Self {
        use Shape::{Chain, ChainStream, Chat, ChatStream, Embeddings, Response};
        let weights =
            [(Chat, 4), (ChatStream, 4), (Embeddings, 2), (Response, 2), (Chain, 1), (ChainStream, 1)];
        Mix::new(weights).expect("the weights are positive")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lists = text.split(';');
        let shapes = weights(lists.next().unwrap_or_default(), |name| {
            let shape = Shape::ALL.into_iter().find(|shape| shape.name() == name);
            shape.ok_or_else(|| format!("no such shape: {name:?}"))
        })?;
        let positive = || "at least one weight must be positive".to_owned();
        let mut mix = Mix::new(shapes).ok_or_else(positive)?;
        for list in lists {
            let (name, list) = list.split_once(':').unwrap_or((list, ""));
            let changed = match name.trim() {
                "sizes" => mix.sizes(weights(list, size)?),
                "answers" => mix.answers(weights(list, |text| unless(text, "plan", str::parse))?),
                "clients" => mix.clients(weights(list, manners)?),
                "faults" => mix.faults(weights(list, |text| unless(text, "none", str::parse))?),
                _ => {
                    return Err(format!("no such list: {name:?}; there are sizes, answers, clients, faults"));
                }
            };
            mix = changed.ok_or_else(positive)?;
        }
        Ok(mix)
    }
}

/// `name=weight, ...`; a weight that is not given is 1.
fn weights<T>(list: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<(T, u32)>, String> {
    let pair = |pair: &str| {
        let (name, weight) = pair.rsplit_once('=').unwrap_or((pair, "1"));
        let value = read(name.trim())?;
        let weight = weight.trim().parse::<u32>().map_err(|error| format!("weight of {name}: {error}"))?;
        Ok((value, weight))
    };
    list.split(',').map(pair).collect()
}

/// `word` stands for none.
fn unless<T, E: fmt::Display>(
    text: &str,
    word: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    if text == word { Ok(None) } else { read(text).map(Some).map_err(|error| error.to_string()) }
}

fn manners(name: &str) -> Result<Manners, String> {
    let manners = Manners::ALL.into_iter().find(|manners| manners.name() == name);
    manners.ok_or_else(|| format!("no such client: {name:?}"))
}

/// `1k`, `100k`, `10m`, `1000`; `plan` for what the plan says. In powers of 1024.
fn size(text: &str) -> Result<Option<usize>, String> {
    const BYTES_MAX: usize = 64 << 20; // what the fake clouds take
    if text == "plan" {
        return Ok(None);
    }
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match (lower.strip_suffix('k'), lower.strip_suffix('m')) {
        (Some(digits), _) => (digits, 10),
        (_, Some(digits)) => (digits, 20),
        _ => (lower.as_str(), 0),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    let bytes = bytes.filter(|bytes| (1..=BYTES_MAX).contains(bytes));
    bytes.map(Some).ok_or_else(|| format!("{text:?} is no size: 1000, 16k, 10m, at most 64m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_parse() {
        let shapes = Mix::new([(Shape::Chat, 2), (Shape::Chain, 1)]).expect("positive weights");
        assert_eq!("chat=2, chain".parse(), Ok(shapes.clone()));
        let text = "chat=2, chain; sizes: 1k, 10m=3; answers: plan=9, 8/1ms; clients: good=9, vanish-sending; \
                    faults: none=9, status-429:7=2";
        let whole = shapes
            .sizes([(Some(1 << 10), 1), (Some(10 << 20), 3)])
            .and_then(|mix| mix.answers([(None, 9), ("8/1ms".parse().ok(), 1)]))
            .and_then(|mix| mix.clients([(Manners::Good, 9), (Manners::VanishSending, 1)]))
            .and_then(|mix| mix.faults([(None, 9), ("status-429:7".parse().ok(), 2)]));
        assert_eq!(text.parse::<Mix>().ok(), whole);
        for text in [
            "",
            "chat=0",
            "chat=x",
            "tea",
            "chat; sizes: 0",
            "chat; sizes: 65m",
            "chat; faults: rain",
            "chat; clients: rude",
            "chat; answers: fast",
            "chat; moods: good",
            "chat; sizes",
        ] {
            assert!(text.parse::<Mix>().is_err(), "{text:?} is no mix");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let mix: Mix = "chat,chain; sizes: 1k,16k; clients: good,slow-reader".parse().expect("a good mix");
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| format!("{:?}", mix.draw(&mut dice))).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
