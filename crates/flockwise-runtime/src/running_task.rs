//! A task that a worker owns, and what of it is not yet committed.

use flockwise_core::task::{Sweeping, Task};
use flockwise_core::trainer::{CAUGHT_UP, Sampled};

use crate::checkpoint::CheckpointProgress;
use crate::clock::Moment;
use crate::idle_clock::IdleClock;
use crate::topics::TopicPartition;
use crate::watermarks::Watermarks;

/// A task and what of it is not yet committed.
///
/// Invariant: what a transaction changes here goes with the task through [`RunningTask::settle`] and
/// [`RunningTask::roll_back`].
#[derive(Debug)]
pub(crate) struct RunningTask {
    pub(crate) task: Task,
    /// Moves its time on while it has no events.
    pub(crate) idle: IdleClock,
    /// The bookmark is to be written.
    pub(crate) is_dirty: bool,
    /// Input partitions that it reads.
    pub(crate) inputs: Vec<TopicPartition>,
    /// From which row on customers may be without a segment although there is a model.
    pub(crate) unassigned: Option<u32>,
    /// Time has passed that changed nobody, and that the changelog does not know of.
    pub(crate) is_ahead: bool,
    /// How far in event time the other tasks are, as it has heard.
    pub(crate) watermarks: Watermarks,
    /// The latest end of a period of learning up to which it has sampled, and its customers then.
    sampled: Option<Sampled>,
    /// It has left its mark: all history of its inputs is read.
    pub(crate) has_caught_up: bool,
    /// How far its local copy is.
    pub(crate) checkpoint: CheckpointProgress,
}

impl RunningTask {
    /// A task as its changelog has it at this moment. One that sweeps later waits for its watermark before it does.
    pub(crate) fn new(
        mut task: Task,
        sweeping: Sweeping,
        watermarks: Watermarks,
        now: Moment,
    ) -> Self {
        task.set_sweeping(sweeping);
        if sweeping == Sweeping::Later {
            task.await_watermark();
        }
        Self {
            watermarks,
            idle: IdleClock::new(task.stream_ms(), now),
            task,
            is_dirty: false,
            inputs: Vec::new(),
            unassigned: Some(0),
            is_ahead: false,
            sampled: None,
            has_caught_up: false,
            checkpoint: CheckpointProgress::new(now),
        }
    }

    /// It has sampled up to this instant, where a period ends: how far it has sampled, and the customers that it had when
    /// it came there.
    pub(crate) fn sampled_to(&mut self, to_ms: i64) -> Sampled {
        let is_known = |known: &Sampled| known.to_ms >= to_ms && known.to_ms != CAUGHT_UP;
        let known = self.sampled.filter(is_known);
        *self.sampled.insert(known.unwrap_or(Sampled {
            to_ms,
            customers: self.task.rows().len() as u64,
        }))
    }

    /// The transaction is committed: what it did to the task stands.
    pub(crate) fn commit(&mut self) {
        self.task.commit();
        self.idle.commit();
        self.watermarks.commit();
        self.is_dirty = false;
        self.is_ahead = false;
    }

    /// The transaction is aborted: the task is as of the last commit. Customers who got a segment in it have
    /// none again.
    pub(crate) fn roll_back(&mut self) {
        self.task.roll_back();
        self.idle.roll_back();
        self.watermarks.roll_back();
        self.sampled = None;
        self.is_dirty = false;
        // Another mark beside one that is there changes nothing.
        self.has_caught_up = false;
        self.unassigned = Some(0);
    }
}
