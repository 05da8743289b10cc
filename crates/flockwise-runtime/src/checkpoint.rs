//! Checkpoints: committed rows are handed to the local store in the background, a slice at a time.

use std::time::Duration;

use flockwise_codec::changelog::{TASK_POSITION, encode_row, encode_task_position, row_key};
use flockwise_core::rows::DirtyRow;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::store::{CheckpointBatch, CheckpointState, NoStore, Store};
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

/// How often a task's checkpoint is brought up to date. The next start reads what is newer from the changelog; a
/// customer who acts all the time is written once in this time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Rows written in one call, so that none takes long.
const MAX_ROWS_PER_CALL: usize = 1 << 14;

/// How long a leaving worker waits until the checkpoint of one task is written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The local store, and which changelog its checkpoints belong to.
pub(crate) struct Checkpointer {
    store: Box<dyn Store>,
    /// The id of the changelog topic, once it was asked for.
    changelog_id: Option<String>,
}

/// Progress of one task's checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckpointProgress {
    began: Moment,
    /// While one is being written: the changelog offset that it will cover.
    offset: Option<i64>,
}

impl CheckpointProgress {
    /// As if a checkpoint had just been written.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            began: now,
            offset: None,
        }
    }
}

impl Checkpointer {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self {
            store,
            changelog_id: None,
        }
    }

    pub(crate) fn store(&mut self) -> &mut dyn Store {
        &mut *self.store
    }

    /// Takes the store out: nothing is written through this worker any more.
    pub(crate) fn take_store(&mut self) -> Box<dyn Store> {
        std::mem::replace(&mut self.store, Box::new(NoStore))
    }
}

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

/// Writes the final checkpoints after the worker has left, when others can already take its tasks over.
pub(crate) fn write_final_checkpoints(
    mut store: Box<dyn Store>,
    checkpoints: Vec<(u32, CheckpointBatch)>,
) {
    for (number, batch) in checkpoints {
        if store
            .await_checkpoint(number, FINAL_WRITE_TIMEOUT)
            .accepts_records()
        {
            store.write(number, batch);
        }
        store.release(number);
    }
}
