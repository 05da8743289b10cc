//! Customers leave: those whose features have all decayed expire, others are erased on command.

use super::{Output, Task, Versions};
use crate::change::{Change, DRIVERS};
use crate::decide::Cause;

impl Task {
    /// Ids of customers who have expired or were erased since [`Task::commit`]. Write their tombstones to the
    /// changelog before the touched rows, since one of them may be back already.
    pub fn expired(&self) -> impl Iterator<Item = &str> {
        self.rows.expired()
    }

    /// Whether a customer has expired or was erased since [`Task::commit`].
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.rows.has_expired()
    }

    /// Whether nothing is left of the customer by then.
    pub(super) fn is_expired(&self, row: u32, due_ms: i64) -> bool {
        let silent_ms = due_ms.saturating_sub(self.rows.reference_ms(row));
        let time = self.settings.time;
        time.sweep_ms.is_some()
            && time
                .forget_ms
                .is_some_and(|forget_ms| silent_ms > forget_ms)
    }

    /// Removes the customer, with a last change at `at_ms` if there was a segment.
    pub(super) fn remove_with_change(
        &mut self,
        row: u32,
        (at_ms, cause): (i64, Cause),
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let standing = self.rows.standing(row);
        if standing.segment.is_some() {
            output.changes.push(Change {
                row,
                sequence: standing.sequence + 1,
                occurred_ms: at_ms,
                from: standing.segment,
                to: None,
                cause,
                distance: None,
                distance_from: None,
                margin: None,
                is_outlier: false,
                drivers: [None; DRIVERS],
                model_version: versions
                    .map_or(standing.version, |versions| versions.current.version()),
                model_version_before: None,
                trigger: None,
            });
        }
        self.segment_sizes.change(standing.segment, None);
        self.rows.expire(row);
    }
}
