//! What the contract alone says of a kind of request: everything up, nothing cited, nobody's affinity.

use riparian_config::{Grade, Timestamp};
use riparian_filters::judge::{Facts, Owner};
use riparian_filters::readings::Classes;

/// A kind of request.
#[derive(Clone, Copy)]
pub(super) struct Bare<'b> {
    pub(super) now: Timestamp,
    pub(super) surface: Option<usize>,
    pub(super) grade: Grade,
    pub(super) classes: Classes,
    pub(super) model: Option<&'b str>,
    pub(super) caller: Option<usize>,
}

impl<'b> Bare<'b> {
    /// Citing state of these owners, which was lawful where it is at `since`.
    pub(super) fn facts(self, owners: &'b [Owner], since: &'b [Timestamp]) -> Facts<'b> {
        let Self { now, surface, grade, classes, model, caller } = self;
        Facts { model, caller, owners, since, ..Facts::bare(now, surface, grade, classes) }
    }
}
