//! How far the tasks have sampled.

use std::collections::BTreeMap;

/// How far a task has sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Every sample up to this instant has been sent; [`CAUGHT_UP`]: the task has read all there is.
    pub to_ms: i64,
    /// Customers of the task then.
    pub customers: u64,
}

/// See [`Sampled::to_ms`].
pub const CAUGHT_UP: i64 = i64::MAX;

/// What each task said last, and the offset at which it said so.
#[derive(Clone, Debug, Default)]
pub(super) struct SamplingProgress(BTreeMap<u32, (Sampled, i64)>);

impl SamplingProgress {
    pub(super) fn note(&mut self, sampled: &BTreeMap<u32, Sampled>, offset: i64) {
        let said = sampled.iter();
        self.0
            .extend(said.map(|(task, sampled)| (*task, (*sampled, offset))));
    }

    /// Has every task said how far it is?
    pub(super) fn is_of_all(&self, tasks: u32) -> bool {
        (0..tasks).all(|task| self.0.contains_key(&task))
    }

    /// The instant up to which all of them have sampled, and their customers.
    pub(super) fn total(&self) -> Sampled {
        let sampled = || self.0.values().map(|(sampled, _)| sampled);
        let to_ms = sampled().map(|sampled| sampled.to_ms).min();
        Sampled {
            to_ms: to_ms.unwrap_or(CAUGHT_UP),
            customers: sampled().map(|sampled| sampled.customers).sum(),
        }
    }

    /// The first offset of what tasks with a backlog said last.
    pub(super) fn first_offset(&self) -> Option<i64> {
        let said = self.0.values();
        let behind = said.filter(|(sampled, _)| sampled.to_ms != CAUGHT_UP);
        behind.map(|(_, offset)| *offset).min()
    }
}
