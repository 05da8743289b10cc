//! How far the tasks have sampled.

use std::collections::BTreeMap;

use flockwise_vocabulary::task_id::TaskId;

/// How far a task has sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Every sample up to this instant has been sent; [`CAUGHT_UP`] if the task has read everything.
    pub to_ms: i64,
    /// Number of customers of the task at that time.
    pub customers: u64,
}

/// Value of [`Sampled::to_ms`] for a task without a backlog.
pub const CAUGHT_UP: i64 = i64::MAX;

/// The latest report of each task, with its offset.
#[derive(Clone, Debug, Default)]
pub(super) struct SamplingProgress(BTreeMap<TaskId, (Sampled, i64)>);

impl SamplingProgress {
    pub(super) fn note(&mut self, sampled: &BTreeMap<TaskId, Sampled>, offset: i64) {
        let said = sampled.iter();
        self.0
            .extend(said.map(|(task, sampled)| (*task, (*sampled, offset))));
    }

    /// Whether every task has reported.
    pub(super) fn is_of_all(&self, tasks: u32) -> bool {
        TaskId::all(tasks).all(|task| self.0.contains_key(&task))
    }

    /// The instant up to which all tasks have sampled, and the sum of their customers.
    pub(super) fn total(&self) -> Sampled {
        let sampled = || self.0.values().map(|(sampled, _)| sampled);
        let to_ms = sampled().map(|sampled| sampled.to_ms).min();
        Sampled {
            to_ms: to_ms.unwrap_or(CAUGHT_UP),
            customers: sampled().map(|sampled| sampled.customers).sum(),
        }
    }

    /// The lowest offset of the latest reports of tasks with a backlog; `None` if no task has one.
    pub(super) fn first_offset(&self) -> Option<i64> {
        let said = self.0.values();
        let behind = said.filter(|(sampled, _)| sampled.to_ms != CAUGHT_UP);
        behind.map(|(_, offset)| *offset).min()
    }
}
