//! Writes checkpoints: committed rows go to the local store in the background, a slice at a time.

use flockwise_codec::changelog::{TASK_POSITION, encode_row, encode_task_position, row_key};
use flockwise_core::rows::DirtyRow;
use flockwise_vocabulary::task_id::TaskId;

use super::{CHECKPOINT_EVERY, MAX_ROWS_PER_CALL};
use crate::broker::{Broker, Failure};
use crate::store::{CheckpointBatch, CheckpointState};
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Hands a slice of one task to the store if one is due. Does nothing while a transaction is open, so that the
    /// store holds committed rows only.
    pub(crate) fn checkpoint_some(&mut self) -> Result<(), Failure> {
        if self.transaction.is_open() {
            return Ok(());
        }
        let store = self.checkpointer.store();
        let tasks = self.tasks.iter();
        let under_way = tasks.filter(|(_, running)| running.checkpoint.offset.is_some());
        let ready = under_way
            .map(|(task_id, _)| task_id)
            .find(|task_id| store.checkpoint_state(*task_id).accepts_records());
        match ready {
            Some(task_id) => self.checkpoint_task(task_id),
            None => self.begin_checkpoints(),
        }
    }

    /// Begins checkpoints of the tasks whose last one is old.
    fn begin_checkpoints(&mut self) -> Result<(), Failure> {
        let (now, store) = (self.time_mode.clock().now(), self.checkpointer.store());
        let mut due = Vec::new();
        for (task_id, running) in self.tasks.iter_mut() {
            let is_due = now.since(running.checkpoint.began) >= CHECKPOINT_EVERY;
            if is_due && running.checkpoint.offset.is_none() {
                running.checkpoint.began = now;
                let state = store.checkpoint_state(task_id);
                if state == CheckpointState::Empty
                    || (state == CheckpointState::Ready && running.task().dirty_len() > 0)
                {
                    due.push(task_id);
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let ends = self.fenced_end_offsets(&due)?;
        for (task_id, end) in due.iter().zip(ends) {
            if let Some(running) = self.tasks.get_mut(*task_id) {
                running.checkpoint.offset = Some(end);
            }
        }
        Ok(())
    }

    /// The end offsets of tasks' changelogs, followed by a commit of those tasks. The commit succeeds only if the worker
    /// has owned them all the time: their rows then hold everything before the end offsets.
    fn fenced_end_offsets(&mut self, task_ids: &[TaskId]) -> Result<Vec<i64>, Failure> {
        let changelogs = task_ids.iter().copied().map(TopicPartition::changelog);
        let ends = self.broker.end_offsets(&changelogs.collect::<Vec<_>>())?;
        self.commit_also(task_ids)?;
        Ok(ends)
    }

    /// Commits, and writes the positions of these tasks even if nothing has changed them.
    pub(crate) fn commit_also(&mut self, task_ids: &[TaskId]) -> Result<(), Failure> {
        for task_id in task_ids {
            if let Some(running) = self.tasks.get_mut(*task_id) {
                running.change(&mut self.transaction);
            }
        }
        self.commit()
    }

    fn checkpoint_task(&mut self, task_id: TaskId) -> Result<(), Failure> {
        let state = self.checkpointer.store().checkpoint_state(task_id);
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        if state == CheckpointState::Empty {
            running.beside_transaction().mark_all_dirty();
        }
        if running.is_ahead() {
            self.commit_also(&[task_id])?;
        }
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        let mut offset = None;
        if running.task().dirty_len() <= MAX_ROWS_PER_CALL {
            offset = running.checkpoint.offset.take();
        }
        let batch = self.checkpoint_batch(task_id, MAX_ROWS_PER_CALL, offset)?;
        self.checkpointer.store().write(task_id, batch);
        Ok(())
    }

    /// Up to `limit` rows of a task that its checkpoint lacks. With an offset they are the last ones, and the task
    /// position follows them.
    fn checkpoint_batch(
        &mut self,
        task_id: TaskId,
        limit: usize,
        offset: Option<i64>,
    ) -> Result<CheckpointBatch, Failure> {
        let plan = self.pipeline.task.plan.fingerprint();
        let mut batch = CheckpointBatch::default();
        batch.changelog = self.changelog_id()?;
        batch.plan = plan;
        batch.offset = offset;
        batch.committed_ms = self.commits.latest_ms();
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(batch);
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let task = running.beside_transaction();
        task.take_dirty(limit, &mut |dirty| {
            key.clear();
            value.clear();
            match dirty {
                DirtyRow::Row(row) => {
                    row_key(row.customer_id, &mut key);
                    encode_row(&row, plan, &mut value);
                    batch.push(&key, Some(&value));
                }
                DirtyRow::Gone(customer_id) => {
                    row_key(customer_id, &mut key);
                    batch.push(&key, None);
                }
            }
        });
        if offset.is_some() {
            value.clear();
            let owner = Some(self.broker.transactional_id());
            let inputs = &self.pipeline.topics.inputs;
            encode_task_position(&running.task().position(), inputs, owner, &mut value);
            batch.push(&[TASK_POSITION], Some(&value));
        }
        Ok(batch)
    }

    /// The id of the changelog topic that the tasks were restored from.
    pub(crate) fn changelog_id(&mut self) -> Result<String, Failure> {
        if let Some(known) = &self.checkpointer.changelog_id {
            return Ok(known.clone());
        }
        let id = self.broker.topic_id(Topic::Changelog)?;
        self.checkpointer.changelog_id = Some(id.clone());
        Ok(id)
    }

    /// Leaves the checkpoints of tasks that go elsewhere as they are.
    pub(crate) fn release_checkpoints(&mut self, task_ids: &[TaskId]) {
        let store = self.checkpointer.store();
        task_ids.iter().for_each(|task_id| store.release(*task_id));
    }

    /// Commits, and returns all that the checkpoints lack, to be written once the worker has left the group.
    ///
    /// # Errors
    /// As [`Worker::run_once`]. If the transaction aborts, there is nothing to write.
    pub(crate) fn final_checkpoints(&mut self) -> Result<Vec<(TaskId, CheckpointBatch)>, Failure> {
        let store = self.checkpointer.store();
        let task_ids = self.tasks.ids().into_iter();
        let task_ids: Vec<TaskId> = task_ids
            .filter(|task_id| store.checkpoint_state(*task_id) != CheckpointState::Off)
            .collect();
        let ends = match self.fenced_end_offsets(&task_ids) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.roll_back()?;
                return Ok(Vec::new());
            }
            ends => ends?,
        };
        let mut checkpoints = Vec::new();
        for (task_id, end) in task_ids.into_iter().zip(ends) {
            let state = self.checkpointer.store().checkpoint_state(task_id);
            let running = self.tasks.get_mut(task_id);
            if let Some(running) = running.filter(|_| state == CheckpointState::Empty) {
                running.beside_transaction().mark_all_dirty();
            }
            let batch = self.checkpoint_batch(task_id, usize::MAX, Some(end))?;
            checkpoints.push((task_id, batch));
        }
        Ok(checkpoints)
    }
}
