//! Restoring a task from its checkpoint and its changelog.

use super::{Task, TaskPosition};
use crate::aggregate::NEVER_MS;
use crate::rows::Row;
use crate::segment_sizes::SegmentSizes;

impl Task {
    /// Restores a row from the changelog.
    pub fn restore_row(&mut self, row: &Row<'_>) {
        let number = self.put_row(row);
        self.rows.mark_dirty(number);
    }

    /// Restores a row from the checkpoint.
    pub fn restore_kept_row(&mut self, row: &Row<'_>) {
        self.put_row(row);
    }

    fn put_row(&mut self, row: &Row<'_>) -> u32 {
        let (number, is_new) = self.rows.restore(row);
        if is_new {
            self.enter(number, self.rows.customer_hash(number));
        }
        number
    }

    /// Removes a customer for whom the changelog has a tombstone.
    pub fn remove(&mut self, customer_id: &str) {
        if let Some((row, hash)) = self.rows.remove(customer_id) {
            self.calendar.leave(row, hash);
            self.sampling.leave(row, hash);
        }
    }

    /// Continues from a task position, once all rows are restored. Customers whom the sweep has scored since their
    /// rows were written get the time of that scoring.
    pub fn restore_position(&mut self, position: TaskPosition) {
        let passed_ms = position.passed_ms;
        self.calendar
            .resume(position.swept_ms, position.leap, passed_ms);
        let sampled_ms = position.sampled_ms;
        let sampled = (sampled_ms > NEVER_MS).then_some(sampled_ms);
        self.sampling.resume(sampled, None, sampled_ms);
        self.position = position;
        if self.settings.time.sweep_ms.is_some() {
            (0..self.rows.end()).for_each(|row| self.restore_as_of(row));
        }
        self.segment_sizes = SegmentSizes::count(&self.rows);
        self.commit();
    }

    fn restore_as_of(&mut self, row: u32) {
        let since_ms = self.position.version_since_ms.unwrap_or(NEVER_MS);
        let due_ms = self.calendar.last_swept_ms(self.rows.customer_hash(row));
        let mut standing = self.rows.standing(row);
        let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > standing.as_of_ms) else {
            return;
        };
        standing.as_of_ms = due_ms;
        if due_ms > since_ms && self.position.version > 0 {
            standing.version = self.position.version;
        }
        self.rows.restore_standing(row, &standing);
    }
}
