//! When a worker last committed.

use crate::clock::Moment;

/// When a worker last committed.
#[derive(Debug)]
pub(crate) struct CommitTimes {
    latest: Moment,
    /// The time right before the last commit, milliseconds since the epoch. The worker owned its tasks then, whatever has
    /// become of them since.
    latest_ms: i64,
}

impl CommitTimes {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            latest: now,
            latest_ms: 0,
        }
    }

    pub(crate) fn latest(&self) -> Moment {
        self.latest
    }

    pub(crate) fn latest_ms(&self) -> i64 {
        self.latest_ms
    }

    /// A commit that began at `started_ms` has succeeded.
    pub(crate) fn committed(&mut self, now: Moment, started_ms: i64) {
        *self = Self {
            latest: now,
            latest_ms: started_ms,
        };
    }
}
