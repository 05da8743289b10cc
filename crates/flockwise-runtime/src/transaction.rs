//! The open transaction: what commits or rolls back together.

use crate::metrics::{Counts, WorkerMeter};

/// What the next commit contains besides the tasks' own changes.
///
/// Invariant: it is open while anything was read, changed or produced since the last commit. Only
/// [`Transaction::open`] and [`Transaction::read_samples`] open it; only a commit or an abort takes its content.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    is_open: bool,
    /// The next record of the samples topic to read, if some were read.
    samples_offset: Option<i64>,
    /// Shown once they are committed, so that work that is done again counts once.
    counts: Counts,
}

impl Transaction {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Something was read, changed or produced.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// The samples before this offset are read.
    pub(crate) fn read_samples(&mut self, next_offset: i64) {
        self.samples_offset = Some(next_offset);
        self.is_open = true;
    }

    /// The position to commit in the samples topic, if it has changed.
    pub(crate) fn samples_offset(&self) -> Option<i64> {
        self.samples_offset
    }

    pub(crate) fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// The broker has committed it: its counts stand. `now_ms` is the time of the commit; `None` in a replay, which
    /// has no latencies.
    pub(crate) fn commit(&mut self, meter: &mut WorkerMeter, now_ms: Option<i64>) {
        let Self {
            is_open,
            samples_offset,
            counts,
        } = self;
        *is_open = false;
        *samples_offset = None;
        meter.commit(counts, now_ms);
    }

    /// The broker has aborted it: nothing of it has happened.
    pub(crate) fn roll_back(&mut self) {
        *self = Self::default();
    }
}
