//! The tasks of a worker: those that run, and those that are suspended.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::running_task::RunningTask;
use flockwise_vocabulary::task_id::TaskId;

/// The tasks of a worker, by number.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: BTreeMap<TaskId, RunningTask>,
    /// Revoked tasks that are still open. An eager protocol revokes all tasks and may assign the same ones again;
    /// until the next assignment no other worker has them.
    suspended: BTreeMap<TaskId, RunningTask>,
    /// The group's generation when they were revoked.
    suspended_in: Option<i64>,
    is_assigned: bool,
}

impl Tasks {
    /// Has the worker adopted an assignment, even an empty one, that is still in force?
    pub(crate) fn is_assigned(&self) -> bool {
        self.is_assigned
    }

    /// The assignment is adopted.
    pub(crate) fn set_assigned(&mut self) {
        self.is_assigned = true;
    }

    pub(crate) fn insert(&mut self, task_id: TaskId, running: RunningTask) {
        self.running.insert(task_id, running);
    }

    /// Takes out a task that is revoked or lost.
    pub(crate) fn remove(&mut self, task_id: TaskId) -> Option<RunningTask> {
        self.running.remove(&task_id)
    }

    /// Tasks were revoked or lost: no assignment is in force until the next one is adopted.
    pub(crate) fn set_unassigned(&mut self) {
        self.is_assigned = false;
    }

    /// Keeps revoked tasks open for the next assignment.
    pub(crate) fn suspend(&mut self, tasks: Vec<(TaskId, RunningTask)>) {
        self.suspended.extend(tasks);
    }

    /// The suspended tasks were revoked in this generation.
    pub(crate) fn set_suspended_in(&mut self, generation: Option<i64>) {
        self.suspended_in = generation;
    }

    /// Resumes a suspended task; `false` if it is not suspended.
    pub(crate) fn resume(&mut self, task_id: TaskId) -> bool {
        let suspended = self.suspended.remove(&task_id);
        suspended.is_some_and(|running| {
            self.running.insert(task_id, running);
            true
        })
    }

    /// Closes all suspended tasks: they belong to others now. Returns their numbers.
    pub(crate) fn close_suspended(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.suspended).into_keys().collect()
    }

    /// Closes the suspended tasks unless this is the generation right after that in which they were revoked. In a
    /// generation that this worker missed, another may have changed them.
    pub(crate) fn close_stale_suspended(&mut self, generation: Option<i64>) -> Vec<TaskId> {
        let next = self.suspended_in.take().map(|generation| generation + 1);
        match next.is_some() && next == generation {
            true => Vec::new(),
            false => self.close_suspended(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn contains(&self, task_id: TaskId) -> bool {
        self.running.contains_key(&task_id)
    }

    #[inline]
    pub(crate) fn get(&self, task_id: TaskId) -> Option<&RunningTask> {
        self.running.get(&task_id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, task_id: TaskId) -> Option<&mut RunningTask> {
        self.running.get_mut(&task_id)
    }

    /// Numbers of the running tasks, in order.
    pub(crate) fn ids(&self) -> Vec<TaskId> {
        self.running.keys().copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskId, &RunningTask)> + Clone {
        let tasks = self.running.iter();
        tasks.map(|(task_id, running)| (*task_id, running))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (TaskId, &mut RunningTask)> {
        let tasks = self.running.iter_mut();
        tasks.map(|(task_id, running)| (*task_id, running))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &RunningTask> + Clone {
        self.running.values()
    }

    /// The tasks that the open transaction has changed.
    pub(crate) fn dirty(&self) -> impl Iterator<Item = (TaskId, &RunningTask)> {
        self.iter().filter(|(_, running)| running.is_dirty())
    }

    /// As [`Tasks::dirty`].
    pub(crate) fn dirty_mut(&mut self) -> impl Iterator<Item = (TaskId, &mut RunningTask)> {
        self.iter_mut().filter(|(_, running)| running.is_dirty())
    }

    /// Numbers of the tasks whose summary is overdue.
    pub(crate) fn with_overdue_summary(&self, now: Moment) -> Vec<TaskId> {
        self.iter()
            .filter(|(_, running)| running.summary().is_overdue(now))
            .map(|(task_id, _)| task_id)
            .collect()
    }

    /// The transaction is committed.
    pub(crate) fn commit(&mut self) {
        self.dirty_mut().for_each(|(_, running)| running.commit());
    }

    /// The transaction is aborted.
    pub(crate) fn roll_back(&mut self) {
        self.running.values_mut().for_each(RunningTask::roll_back);
    }
}
