//! A task that a worker runs, and what of it is not yet committed.

use std::mem::swap;

use flockwise_codec::watermarks::Watermarks as Message;
use flockwise_core::change::Trigger;
use flockwise_core::event::Event;
use flockwise_core::task::{Output, Sweeping, Task, Versions};
use flockwise_core::trainer::{CAUGHT_UP, Sampled};

use crate::checkpoint::CheckpointProgress;
use crate::clock::Moment;
use crate::idle_clock::IdleClock;
use crate::summary_clock::SummaryClock;
use crate::topics::TopicPartition;
use crate::transaction::Transaction;
use crate::watermarks::TaskWatermarks;

/// A task, and what of it is not yet committed.
///
/// Invariant: whatever a transaction changes here is private, and goes through [`RunningTask::commit`] and
/// [`RunningTask::roll_back`]. Both name every field, so that a new one does not compile without a decision.
#[derive(Debug)]
pub(crate) struct RunningTask {
    task: Task,
    /// Advances stream time while the task has no events.
    idle: IdleClock,
    /// The open transaction has changed the task: its position must be written.
    is_dirty: bool,
    /// The first row that may be without a segment although there is a model; `None`: no row is.
    unassigned: Option<u32>,
    /// Stream time has advanced without changing a row: the changelog does not have it.
    is_ahead: bool,
    /// The watermarks that other tasks have sent.
    watermarks: TaskWatermarks,
    /// The latest end of a learning period up to which the task has sampled, and its customers then.
    sampled: Option<Sampled>,
    /// The task has read all history of its inputs, and has written its mark.
    has_caught_up: bool,
    /// When it publishes its summary.
    summary: SummaryClock,
    /// Input partitions that it reads.
    pub(crate) inputs: Vec<TopicPartition>,
    /// Progress of its checkpoint.
    pub(crate) checkpoint: CheckpointProgress,
}

impl RunningTask {
    /// A restored task. One with [`Sweeping::Later`] waits for its watermark before it sweeps.
    pub(crate) fn new(
        mut task: Task,
        sweeping: Sweeping,
        watermarks: TaskWatermarks,
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
            unassigned: Some(0),
            is_ahead: false,
            sampled: None,
            has_caught_up: false,
            summary: SummaryClock::default(),
            inputs: Vec::new(),
            checkpoint: CheckpointProgress::new(now),
        }
    }

    pub(crate) fn task(&self) -> &Task {
        &self.task
    }

    pub(crate) fn idle(&self) -> &IdleClock {
        &self.idle
    }

    pub(crate) fn watermarks(&self) -> &TaskWatermarks {
        &self.watermarks
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Has stream time advanced beyond what the changelog has?
    pub(crate) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    pub(crate) fn has_caught_up(&self) -> bool {
        self.has_caught_up
    }

    /// When it publishes its summary.
    pub(crate) fn summary(&self) -> &SummaryClock {
        &self.summary
    }

    /// Its summary was sent in the open transaction.
    pub(crate) fn summary_sent(&mut self, now: Moment) {
        self.summary.sent(now);
    }

    /// The task, to be changed in the open transaction.
    pub(crate) fn change(&mut self, transaction: &mut Transaction) -> &mut Task {
        transaction.open();
        self.is_dirty = true;
        &mut self.task
    }

    /// The task, for what needs no transaction: prefetching, checkpointing, and time that passes. After the last,
    /// call [`RunningTask::settle_if_unchanged`].
    pub(crate) fn beside_transaction(&mut self) -> &mut Task {
        &mut self.task
    }

    /// Processes an event of one of the task's customers, which arrived at this moment.
    pub(crate) fn process(
        &mut self,
        transaction: &mut Transaction,
        (event, trigger, arrived): (&Event, Trigger, Moment),
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        // What an abort undoes, it also uncounts.
        swap(&mut output.inputs, &mut transaction.counts().inputs);
        let task = self.change(transaction);
        task.process(event, trigger, versions, output);
        swap(&mut output.inputs, &mut transaction.counts().inputs);
        self.idle.note_event(self.task.stream_ms(), arrived);
    }

    /// Takes in the watermarks that another worker sent.
    pub(crate) fn receive_watermarks(&mut self, message: &Message, now: Moment) {
        self.watermarks.hear(message, now);
    }

    /// Marks the task as having read all history.
    pub(crate) fn set_caught_up(&mut self, transaction: &mut Transaction) {
        self.change(transaction);
        self.has_caught_up = true;
    }

    /// How far the task has sampled now that it has reached `to_ms`, the end of a learning period, and how many
    /// customers it had when it did.
    pub(crate) fn sampled_to(&mut self, to_ms: i64) -> Sampled {
        let is_known = |known: &Sampled| known.to_ms >= to_ms && known.to_ms != CAUGHT_UP;
        let known = self.sampled.filter(is_known);
        *self.sampled.insert(known.unwrap_or(Sampled {
            to_ms,
            customers: self.task.rows().len() as u64,
        }))
    }

    /// May there be customers without a segment?
    pub(crate) fn has_unassigned(&self) -> bool {
        self.unassigned.is_some()
    }

    /// There is a model now: every customer may be without a segment.
    pub(crate) fn look_for_unassigned(&mut self) {
        self.unassigned = Some(0);
    }

    /// Looks at the next `limit` rows, and assigns those of them that have no segment.
    pub(crate) fn assign_some(&mut self, limit: u32, versions: &Versions, output: &mut Output) {
        if let Some(from) = self.unassigned {
            self.unassigned = self.task.assign_unassigned(from, limit, versions, output);
        }
    }

    /// Has the task produced or changed anything that a commit must contain?
    pub(crate) fn is_changed(&self) -> bool {
        self.is_dirty || self.task.rows().has_touched() || self.task.has_expired()
    }

    /// After time has passed: if that changed a row, the row belongs to the open transaction. If it changed none, no
    /// abort needs to take it back.
    pub(crate) fn settle_if_unchanged(&mut self, transaction: &mut Transaction) {
        if self.is_dirty {
            return;
        }
        if self.task.rows().has_touched() {
            self.change(transaction);
        } else {
            self.task.commit();
            self.is_ahead = true;
        }
    }

    /// The transaction is committed.
    pub(crate) fn commit(&mut self) {
        let Self {
            task,
            idle,
            is_dirty,
            unassigned: _,
            is_ahead,
            watermarks,
            sampled: _,
            has_caught_up: _,
            summary,
            inputs: _,
            checkpoint: _,
        } = self;
        task.commit();
        idle.commit();
        watermarks.commit();
        summary.commit();
        *is_dirty = false;
        *is_ahead = false;
    }

    /// The transaction is aborted: the task is as of the last commit.
    pub(crate) fn roll_back(&mut self) {
        let Self {
            task,
            idle,
            is_dirty,
            unassigned,
            is_ahead: _,
            watermarks,
            sampled,
            has_caught_up,
            summary,
            inputs: _,
            checkpoint: _,
        } = self;
        task.roll_back();
        idle.roll_back();
        watermarks.roll_back();
        summary.roll_back();
        *is_dirty = false;
        // Customers who were assigned in the transaction have no segment again.
        *unassigned = Some(0);
        *sampled = None;
        // A second mark beside the first changes nothing.
        *has_caught_up = false;
    }
}
