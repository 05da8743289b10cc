//! Writes checkpoints: committed rows go to the local store in the background, a slice at a time.

use flockwise_codec::changelog::{TASK_POSITION, encode_row, encode_task_position, row_key};
use flockwise_core::rows::DirtyRow;

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
            .map(|(number, _)| number)
            .find(|number| store.checkpoint_state(*number).accepts_records());
        match ready {
            Some(number) => self.checkpoint_task(number),
            None => self.begin_checkpoints(),
        }
    }

    /// Begins checkpoints of the tasks whose last one is old.
    fn begin_checkpoints(&mut self) -> Result<(), Failure> {
        let (now, store) = (self.time_mode.clock().now(), self.checkpointer.store());
        let mut due = Vec::new();
        for (number, running) in self.tasks.iter_mut() {
            let is_due = now.since(running.checkpoint.began) >= CHECKPOINT_EVERY;
            if is_due && running.checkpoint.offset.is_none() {
                running.checkpoint.began = now;
                let state = store.checkpoint_state(number);
                if state == CheckpointState::Empty
                    || (state == CheckpointState::Ready && running.task().dirty_len() > 0)
                {
                    due.push(number);
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let ends = self.fenced_end_offsets(&due)?;
        for (number, end) in due.iter().zip(ends) {
            if let Some(running) = self.tasks.get_mut(*number) {
                running.checkpoint.offset = Some(end);
            }
        }
        Ok(())
    }

    /// The end offsets of tasks' changelogs, followed by a commit of those tasks. The commit succeeds only if the worker
    /// has owned them all the time: their rows then hold everything before the end offsets.
    fn fenced_end_offsets(&mut self, numbers: &[u32]) -> Result<Vec<i64>, Failure> {
        let changelogs = numbers.iter().copied().map(TopicPartition::changelog);
        let ends = self.broker.end_offsets(&changelogs.collect::<Vec<_>>())?;
        self.commit_also(numbers)?;
        Ok(ends)
    }

    /// Commits, and writes the positions of these tasks even if nothing has changed them.
    pub(crate) fn commit_also(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        for number in numbers {
            if let Some(running) = self.tasks.get_mut(*number) {
                running.change(&mut self.transaction);
            }
        }
        self.commit()
    }

    fn checkpoint_task(&mut self, number: u32) -> Result<(), Failure> {
        let state = self.checkpointer.store().checkpoint_state(number);
        let Some(running) = self.tasks.get_mut(number) else {
            return Ok(());
        };
        if state == CheckpointState::Empty {
            running.beside_transaction().mark_all_dirty();
        }
        if running.is_ahead() {
            self.commit_also(&[number])?;
        }
        let Some(running) = self.tasks.get_mut(number) else {
            return Ok(());
        };
        let mut offset = None;
        if running.task().dirty_len() <= MAX_ROWS_PER_CALL {
            offset = running.checkpoint.offset.take();
        }
        let batch = self.checkpoint_batch(number, MAX_ROWS_PER_CALL, offset)?;
        self.checkpointer.store().write(number, batch);
        Ok(())
    }

    /// Up to `limit` rows of a task that its checkpoint lacks. With an offset they are the last ones, and the task
    /// position follows them.
    fn checkpoint_batch(
        &mut self,
        number: u32,
        limit: usize,
        offset: Option<i64>,
    ) -> Result<CheckpointBatch, Failure> {
        let plan = self.pipeline.task.plan.fingerprint();
        let mut batch = CheckpointBatch::default();
        batch.changelog = self.changelog_id()?;
        batch.plan = plan;
        batch.offset = offset;
        batch.committed_ms = self.commits.latest_ms();
        let Some(running) = self.tasks.get_mut(number) else {
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
    pub(crate) fn release_checkpoints(&mut self, numbers: &[u32]) {
        let store = self.checkpointer.store();
        numbers.iter().for_each(|number| store.release(*number));
    }

    /// Commits, and returns all that the checkpoints lack, to be written once the worker has left the group.
    ///
    /// # Errors
    /// As [`Worker::run_once`]. If the transaction aborts, there is nothing to write.
    pub(crate) fn final_checkpoints(&mut self) -> Result<Vec<(u32, CheckpointBatch)>, Failure> {
        let store = self.checkpointer.store();
        let numbers = self.tasks.numbers().into_iter();
        let numbers: Vec<u32> = numbers
            .filter(|number| store.checkpoint_state(*number) != CheckpointState::Off)
            .collect();
        let ends = match self.fenced_end_offsets(&numbers) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.roll_back()?;
                return Ok(Vec::new());
            }
            ends => ends?,
        };
        let mut checkpoints = Vec::new();
        for (number, end) in numbers.into_iter().zip(ends) {
            let state = self.checkpointer.store().checkpoint_state(number);
            let running = self.tasks.get_mut(number);
            if let Some(running) = running.filter(|_| state == CheckpointState::Empty) {
                running.beside_transaction().mark_all_dirty();
            }
            let batch = self.checkpoint_batch(number, usize::MAX, Some(end))?;
            checkpoints.push((number, batch));
        }
        Ok(checkpoints)
    }
}
