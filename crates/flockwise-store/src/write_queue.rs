//! Shared by the workers and the writer's thread: the status of each task's checkpoint, and the queue of jobs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flockwise_runtime::checkpoint_owner::CheckpointOwners;
use flockwise_runtime::clock::{Clock, Moment};
use flockwise_runtime::store::{CheckpointBatch, CheckpointState};
use flockwise_runtime::task_id::TaskId;

/// With this much in the queue, every checkpoint is busy: a slow disk must not fill the memory.
const QUEUE_BYTES: usize = 256 * 1024 * 1024;

/// A job on a task's checkpoint.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write a batch. If `is_new`, remove the old checkpoint and start a new one.
    Write {
        batch: CheckpointBatch,
        is_new: bool,
    },
    /// Close the checkpoint.
    Close,
    /// Set the checkpoint aside. `found` is the reason, for the log.
    SetAside { found: String },
    /// Remove the checkpoint.
    Remove,
}

/// The status of a checkpoint once all its jobs are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointStatus {
    Ready,
    Empty,
    /// Lost to a failed write at this moment.
    Failed(Moment),
}

/// The queue, shared by the handles and the writer.
#[derive(Debug)]
pub(crate) struct WriteQueue {
    state: Mutex<QueueState>,
    /// Signals the writer: there is a job, or the store is closed.
    work: Condvar,
    /// Signals the handles: the writer has finished a job, or is dead.
    done: Condvar,
    clock: Clock,
    retry_after: Duration,
}

#[derive(Debug, Default)]
struct QueueState {
    owners: CheckpointOwners,
    tasks: BTreeMap<TaskId, TaskCheckpoint>,
    /// Bounded: a task has at most one batch and one job that ends its checkpoint in the queue.
    jobs: VecDeque<(TaskId, Job)>,
    queued_bytes: usize,
    handles: u64,
    /// The store is closed: no more jobs will come.
    is_over: bool,
    /// The writer's thread has ended.
    is_dead: bool,
}

#[derive(Debug)]
struct TaskCheckpoint {
    /// Jobs that wait or run.
    pending: usize,
    status: CheckpointStatus,
}

impl WriteQueue {
    pub(crate) fn new(clock: Clock, retry_after: Duration) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            clock,
            retry_after,
        }
    }

    /// Returns the number of a new handle.
    pub(crate) fn handle(&self) -> u64 {
        let mut state = self.lock();
        state.handles += 1;
        state.handles
    }

    /// Makes a handle the task's owner, and waits until the task has no pending jobs. Returns `false` if that takes
    /// longer than `patience`, or if the writer is dead.
    pub(crate) fn take_over(&self, task: TaskId, owner: u64, patience: Duration) -> bool {
        let mut state = self.lock();
        state.owners.take(task, owner);
        let is_busy = |state: &mut QueueState| state.copy(task).pending > 0 && !state.is_dead;
        let waited = self.done.wait_timeout_while(state, patience, is_busy);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out() && !state.is_dead
    }

    /// Sets the status after a load. Ignored if the handle does not own the task.
    pub(crate) fn set_status(&self, task: TaskId, owner: u64, status: CheckpointStatus) {
        let mut state = self.lock();
        if state.owners.owns(task, owner) {
            state.copy(task).set_status(status);
        }
    }

    /// See [`flockwise_runtime::store::Store::checkpoint_state`]. Off for every handle but the owner; busy for all
    /// while the queue is full.
    pub(crate) fn checkpoint_state(&self, task: TaskId, owner: u64) -> CheckpointState {
        let mut state = self.lock();
        match state.queued_bytes {
            QUEUE_BYTES.. => CheckpointState::Busy,
            _ => self.state_in(&mut state, task, owner),
        }
    }

    fn state_in(&self, state: &mut QueueState, task: TaskId, owner: u64) -> CheckpointState {
        if state.is_dead || !state.owners.owns(task, owner) {
            return CheckpointState::Off;
        }
        let copy = state.copy(task);
        match copy.status {
            _ if copy.pending > 0 => CheckpointState::Busy,
            CheckpointStatus::Ready => CheckpointState::Ready,
            CheckpointStatus::Empty => CheckpointState::Empty,
            CheckpointStatus::Failed(since) if self.clock.since(since) < self.retry_after => {
                CheckpointState::Busy
            }
            CheckpointStatus::Failed(_) => CheckpointState::Empty,
        }
    }

    /// Queues a batch. Accepts it even if other tasks have filled the queue since the owner asked for the state.
    pub(crate) fn write(&self, task: TaskId, owner: u64, batch: CheckpointBatch) {
        let mut state = self.lock();
        let is_new = match self.state_in(&mut state, task, owner) {
            CheckpointState::Ready => false,
            CheckpointState::Empty => true,
            CheckpointState::Busy | CheckpointState::Off => {
                // The owner did not ask for the state first. Without this batch the checkpoint would have a gap.
                return self.end(&mut state, task, owner, Job::Remove);
            }
        };
        state.queued_bytes += batch.bytes();
        self.push(&mut state, task, Job::Write { batch, is_new });
    }

    /// Queues a job that ends the checkpoint, if the handle owns the task or no handle does.
    pub(crate) fn discard(&self, task: TaskId, owner: u64, job: Job) {
        let mut state = self.lock();
        state.owners.claim(task, owner);
        self.end(&mut state, task, owner, job);
    }

    fn end(&self, state: &mut QueueState, task: TaskId, owner: u64, job: Job) {
        if state.owners.owns(task, owner) && !state.is_dead {
            self.push(state, task, job);
        }
    }

    /// Gives up the task, and closes its checkpoint.
    pub(crate) fn release(&self, task: TaskId, owner: u64) {
        let mut state = self.lock();
        if state.owners.release(task, owner) {
            self.push(&mut state, task, Job::Close);
        }
    }

    /// Gives up all tasks of a handle that was dropped.
    pub(crate) fn release_all(&self, owner: u64) {
        let mut state = self.lock();
        if state.is_dead {
            return;
        }
        for task in state.owners.release_all(owner) {
            self.push(&mut state, task, Job::Close);
        }
    }

    /// Closes all checkpoints and waits until all jobs are done. Returns `false` if that takes longer than
    /// `patience`, or if the writer is dead.
    pub(crate) fn finish(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        let tasks: Vec<_> = state.tasks.keys().copied().collect();
        for task in tasks {
            self.push(&mut state, task, Job::Close);
        }
        let is_busy = |state: &mut QueueState| {
            let is_pending = state.tasks.values().any(|copy| copy.pending > 0);
            is_pending && !state.is_dead
        };
        let waited = self.done.wait_timeout_while(state, patience, is_busy);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out() && !state.is_dead
    }

    /// Closes the queue. The writer ends after the jobs that are left.
    pub(crate) fn close(&self) {
        self.lock().is_over = true;
        self.work.notify_all();
    }

    /// Waits for the writer's next job; `None` once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<(TaskId, Job)> {
        let is_idle = |state: &mut QueueState| state.jobs.is_empty() && !state.is_over;
        let state = self.work.wait_while(self.lock(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let (task, job) = state.jobs.pop_front()?;
        if let Job::Write { batch, .. } = &job {
            state.queued_bytes -= batch.bytes();
        }
        Some((task, job))
    }

    /// Marks a job as done. `status` is the new status; `None`: unchanged.
    pub(crate) fn finished(&self, task: TaskId, status: Option<CheckpointStatus>) {
        let mut state = self.lock();
        let copy = state.copy(task);
        copy.pending = copy.pending.saturating_sub(1);
        copy.set_status(status.unwrap_or(copy.status));
        self.done.notify_all();
    }

    /// Marks the writer as dead, and drops all jobs.
    pub(crate) fn dead(&self) {
        let mut state = self.lock();
        state.is_dead = true;
        state.jobs.clear();
        self.done.notify_all();
    }

    fn push(&self, state: &mut QueueState, task: TaskId, job: Job) {
        state.copy(task).pending += 1;
        state.jobs.push_back((task, job));
        self.work.notify_all();
    }

    /// Ignores poisoning: no panic can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskCheckpoint {
    /// Sets the status. A failed checkpoint that is still empty stays failed, so that it is not retried at once.
    fn set_status(&mut self, status: CheckpointStatus) {
        let is_still_lost =
            matches!(self.status, CheckpointStatus::Failed(_)) && status == CheckpointStatus::Empty;
        if !is_still_lost {
            self.status = status;
        }
    }
}

impl QueueState {
    fn copy(&mut self, task: TaskId) -> &mut TaskCheckpoint {
        self.tasks.entry(task).or_insert(TaskCheckpoint {
            pending: 0,
            status: CheckpointStatus::Empty,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> CheckpointBatch {
        let mut batch = CheckpointBatch::default();
        batch.push(&[], Some(&vec![0; bytes]));
        batch
    }

    /// A queue with three tasks, each owned by the handle of the same number.
    fn queue() -> WriteQueue {
        let queue = WriteQueue::new(Clock::simulated(0), Duration::ZERO);
        for task in 1..=3 {
            assert!(queue.take_over(TaskId(task), task.into(), Duration::ZERO));
            assert_eq!(
                queue.checkpoint_state(TaskId(task), task.into()),
                CheckpointState::Empty
            );
        }
        queue
    }

    #[test]
    fn with_too_much_to_be_written_all_is_busy_and_what_was_promised_is_taken() {
        let queue = queue();
        queue.write(TaskId(1), 1, batch(QUEUE_BYTES));
        assert_eq!(queue.checkpoint_state(TaskId(2), 2), CheckpointState::Busy);
        // This task asked for the state before the queue was full.
        queue.write(TaskId(2), 2, batch(10));
        for _ in 0..2 {
            let (task, job) = queue.next().unwrap();
            assert!(matches!(job, Job::Write { is_new: true, .. }));
            queue.finished(task, Some(CheckpointStatus::Ready));
            assert_eq!(
                queue.checkpoint_state(task, task.0.into()),
                CheckpointState::Ready
            );
        }
        assert_eq!(queue.checkpoint_state(TaskId(3), 3), CheckpointState::Empty);
    }

    #[test]
    fn nobody_waits_for_a_writer_that_is_no_more() {
        let queue = queue();
        queue.write(TaskId(1), 1, batch(10));
        queue.dead();
        let long = Duration::from_secs(1_000);
        assert!(!queue.take_over(TaskId(1), 2, long) && !queue.finish(long));
        assert_eq!(queue.checkpoint_state(TaskId(1), 2), CheckpointState::Off);
        queue.write(TaskId(1), 2, batch(10));
        queue.discard(TaskId(1), 2, Job::Remove);
        queue.release(TaskId(1), 2);
    }

    #[test]
    fn a_load_that_waits_in_vain_begins_anew_behind_what_is_at_work() {
        let queue = queue();
        queue.write(TaskId(1), 1, batch(10));
        assert!(!queue.take_over(TaskId(1), 2, Duration::ZERO));
        queue.discard(TaskId(1), 2, Job::Remove);
        let (task, _) = queue.next().unwrap();
        queue.finished(task, Some(CheckpointStatus::Ready));
        assert_eq!(queue.checkpoint_state(TaskId(1), 2), CheckpointState::Busy);
        assert!(matches!(queue.next(), Some((TaskId(1), Job::Remove))));
        queue.finished(TaskId(1), Some(CheckpointStatus::Empty));
        assert_eq!(queue.checkpoint_state(TaskId(1), 2), CheckpointState::Empty);
    }

    #[test]
    fn what_is_queued_is_done_before_the_end() {
        let queue = queue();
        queue.write(TaskId(1), 1, batch(10));
        queue.close();
        assert!(queue.next().is_some() && queue.next().is_none());
    }
}
