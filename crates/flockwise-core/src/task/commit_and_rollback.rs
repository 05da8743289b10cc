//! Commit and rollback of a task, and the rows that its checkpoint needs.

use super::Task;
use crate::rows::DirtyRow;

impl Task {
    /// Memory used by the customers and their schedules, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.calendar.bytes() + self.sampling.bytes()
    }

    /// Makes everything since the last call permanent: the touched rows have been written, and expired customers
    /// are gone.
    pub fn commit(&mut self) {
        let (calendar, sampling) = (&mut self.calendar, &mut self.sampling);
        self.rows.commit(|row, hash| {
            calendar.leave(row, hash);
            sampling.leave(row, hash);
        });
        self.segment_sizes.commit();
        self.settled.position.clone_from(&self.position);
        self.settled.swept = self.calendar.position();
        self.settled.sampled = self.sampling.position();
        self.settled.watermark_ms = self.watermark_ms;
        self.settled.period = self.period;
    }

    /// Stops sweeping and sampling until [`Task::set_watermark`] is called. A restored task needs this; it also
    /// holds if the first transaction is rolled back.
    pub fn await_watermark(&mut self) {
        self.watermark_ms = i64::MIN;
        self.settled.watermark_ms = i64::MIN;
    }

    /// Rolls back everything since [`Task::commit`].
    pub fn roll_back(&mut self) {
        let (calendar, sampling) = (&mut self.calendar, &mut self.sampling);
        self.rows.roll_back(|row, hash| {
            calendar.leave(row, hash);
            sampling.leave(row, hash);
        });
        self.segment_sizes.roll_back();
        self.position.clone_from(&self.settled.position);
        self.calendar.go_back(self.settled.swept);
        self.sampling.go_back(self.settled.sampled);
        // Events before a later watermark come again.
        self.watermark_ms = self.settled.watermark_ms;
        self.period = self.settled.period;
    }

    /// Upper bound of the number of customers whose state differs from the checkpoint.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.rows.dirty_len()
    }

    /// Passes up to `limit` dirty rows to `each`, as of the last [`Task::commit`]. Call it right after the commit.
    /// The rows passed count as stored.
    pub fn take_dirty(&mut self, limit: usize, each: &mut dyn FnMut(DirtyRow<'_>)) {
        self.rows.take_dirty(limit, each);
    }

    /// Marks all customers dirty, for a checkpoint that starts empty.
    pub fn mark_all_dirty(&mut self) {
        self.rows.mark_all_dirty();
    }
}
