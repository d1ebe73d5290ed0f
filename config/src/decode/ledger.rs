//! The ledger.

use super::clouds::secret;
use crate::fault::Found;
use crate::read::Fields;
use crate::{Durability, Ledger};

/// The longest origin: it stands in each checkpoint.
const ORIGIN_MAX: usize = 255;

/// The ledger, if there is one; the outer `None` only with a fault.
#[allow(clippy::option_option, reason = "the outer one is whether it could be read")]
pub(super) fn ledger(file: &Fields<'_>, found: &mut Found) -> Option<Option<Ledger>> {
    if !file.has("ledger") {
        return Some(None);
    }
    let fields = file.section("ledger", found)?;
    let path = fields.path("path", found);
    let durability = fields.word("durability", found).map(|word| match word {
        "required" => Durability::Required,
        "best_effort" => Durability::BestEffort,
        _ => Durability::Group,
    });
    let key = secret(&fields, "key", found);
    let origin = match fields.text("origin", found) {
        None => Some("riparian".to_owned()),
        Some(spot) => {
            let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
            if spot.text.contains(bad) || spot.text.len() > ORIGIN_MAX {
                let what = format!("`origin` is `{}`", spot.text);
                let why =
                    "it is the name of a key in signed notes: no spaces, no plus signs, at most 255 bytes";
                found.fault(spot.at, what, why, "such as `origin: riparian.example.com/ledger`");
                None
            } else {
                Some(spot.text.to_owned())
            }
        }
    };
    Some(Some(Ledger { path: path?, durability: durability?, key, origin: origin? }))
}
