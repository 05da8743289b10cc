//! What was done stands, or is taken back; and local state is told what stands.

use super::{Period, Task, TaskPosition};
use crate::rows::DirtyRow;
use crate::sweep_schedule::Position;

/// Where the task stood when it was last settled.
#[derive(Clone, Debug)]
pub(super) struct CommittedState {
    position: TaskPosition,
    swept: Position,
    sampled: Position,
    watermark_ms: i64,
    period: Option<Period>,
}

impl CommittedState {
    pub(super) fn new(position: &TaskPosition) -> Self {
        Self {
            position: position.clone(),
            swept: Position::default(),
            sampled: Position::default(),
            watermark_ms: i64::MAX,
            period: None,
        }
    }
}

impl Task {
    /// Memory taken by the customers and what is known of them, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.calendar.bytes() + self.sampling.bytes()
    }

    /// What was done since the last call stands: the rows touched are written, and who was let go of is
    /// gone.
    pub fn commit(&mut self) {
        let (calendar, sampling) = (&mut self.calendar, &mut self.sampling);
        self.rows.commit(|row, hash| {
            calendar.leave(row, hash);
            sampling.leave(row, hash);
        });
        self.settled.position.clone_from(&self.position);
        self.settled.swept = self.calendar.position();
        self.settled.sampled = self.sampling.position();
        self.settled.watermark_ms = self.watermark_ms;
        self.settled.period = self.period;
    }

    /// Nothing is swept or sampled before [`Task::set_watermark`] says how far: after a restore, also where the first
    /// transaction is rolled back.
    pub fn await_watermark(&mut self) {
        self.watermark_ms = i64::MIN;
        self.settled.watermark_ms = i64::MIN;
    }

    /// Takes back everything that was done since [`Task::commit`], as if it had never been.
    pub fn roll_back(&mut self) {
        let (calendar, sampling) = (&mut self.calendar, &mut self.sampling);
        self.rows.roll_back(|row, hash| {
            calendar.leave(row, hash);
            sampling.leave(row, hash);
        });
        self.position.clone_from(&self.settled.position);
        self.calendar.go_back(self.settled.swept);
        self.sampling.go_back(self.settled.sampled);
        // Events before a later watermark are to come again.
        self.watermark_ms = self.settled.watermark_ms;
        self.period = self.settled.period;
    }

    /// Customers whom local state does not have as they are, at most.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.rows.dirty_len()
    }

    /// Hands out up to `limit` of them as of the last [`Task::commit`], right after which it is to be
    /// called; what was handed out is taken for kept.
    pub fn take_dirty(&mut self, limit: usize, each: &mut dyn FnMut(DirtyRow<'_>)) {
        self.rows.take_dirty(limit, each);
    }

    /// Local state begins anew: it has none of the customers.
    pub fn mark_all_dirty(&mut self) {
        self.rows.mark_all_dirty();
    }
}
