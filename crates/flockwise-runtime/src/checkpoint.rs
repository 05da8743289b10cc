//! What was committed is handed to the local state, a slice at a time, behind the commits.

use std::time::Duration;

use flockwise_codec::changelog::{TASK_POSITION, encode_row, encode_task_position, row_key};
use flockwise_core::rows::DirtyRow;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::store::{CheckpointBatch, CheckpointState, Store};
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

/// How often a task's local copy is brought up to date: what is newer is read from the changelog at the
/// next start, and a customer who acts all the time is written once in this time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Rows written in a turn, so that no turn takes long.
const MAX_ROWS_PER_CALL: usize = 1 << 14;

/// How long a worker that leaves waits for one copy to be written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a task's local copy is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckpointProgress {
    began: Moment,
    /// While a round is under way: the offset that the copy will have at its end.
    offset: Option<i64>,
}

impl CheckpointProgress {
    /// As good as written a moment ago.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            began: now,
            offset: None,
        }
    }
}

impl<B: Broker> Worker<B> {
    /// Hands a slice of one task to the store if it is time; only between transactions, so that nothing
    /// but what was committed gets there.
    pub(crate) fn checkpoint_some(&mut self) -> Result<(), Failure> {
        if self.transaction.is_open() {
            return Ok(());
        }
        let store = &mut self.store;
        let mut under_way = self
            .tasks
            .iter()
            .filter(|(_, running)| running.checkpoint.offset.is_some())
            .map(|(number, _)| *number);
        match under_way.find(|number| store.checkpoint_state(*number).accepts_records()) {
            Some(number) => self.checkpoint_task(number),
            None => self.begin_checkpoints(),
        }
    }

    /// Begins a round for the tasks whose copies have become old.
    fn begin_checkpoints(&mut self) -> Result<(), Failure> {
        let (now, store) = (self.time_mode.clock().now(), &mut self.store);
        let mut due = Vec::new();
        for (number, running) in &mut self.tasks {
            let is_due = now.since(running.checkpoint.began) >= CHECKPOINT_EVERY;
            if is_due && running.checkpoint.offset.is_none() {
                running.checkpoint.began = now;
                let copy = store.checkpoint_state(*number);
                if copy == CheckpointState::Empty
                    || (copy == CheckpointState::Ready && running.task().dirty_len() > 0)
                {
                    due.push(*number);
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let ends = self.fenced_end_offsets(&due)?;
        for (number, end) in due.iter().zip(ends) {
            if let Some(running) = self.tasks.get_mut(number) {
                running.checkpoint.offset = Some(end);
            }
        }
        Ok(())
    }

    /// The ends of tasks' changelogs, and a commit of those tasks after that: it succeeds only if they were
    /// this worker's all the time, so everything before the ends is in their rows.
    fn fenced_end_offsets(&mut self, numbers: &[u32]) -> Result<Vec<i64>, Failure> {
        let sources: Vec<TopicPartition> = numbers
            .iter()
            .copied()
            .map(TopicPartition::changelog)
            .collect();
        let ends = self.broker.end_offsets(&sources)?;
        self.commit_also(numbers)?;
        Ok(ends)
    }

    /// Commits, and with it the bookmarks of these tasks, whether or not anything happened to them.
    pub(crate) fn commit_also(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        for number in numbers {
            if let Some(running) = self.tasks.get_mut(number) {
                running.change(&mut self.transaction);
            }
        }
        self.commit()
    }

    fn checkpoint_task(&mut self, number: u32) -> Result<(), Failure> {
        let is_empty = self.store.checkpoint_state(number) == CheckpointState::Empty;
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        if is_empty {
            running.beside_transaction().mark_all_dirty();
        }
        if running.is_ahead() {
            self.commit_also(&[number])?;
        }
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        let mut offset = None;
        if running.task().dirty_len() <= MAX_ROWS_PER_CALL {
            offset = running.checkpoint.offset.take();
        }
        let records = self.checkpoint_batch(number, MAX_ROWS_PER_CALL, offset)?;
        self.store.write(number, records);
        Ok(())
    }

    /// So many rows of a task that its local copy lacks; with an offset they are the last, and the
    /// bookmark comes along.
    fn checkpoint_batch(
        &mut self,
        number: u32,
        most: usize,
        offset: Option<i64>,
    ) -> Result<CheckpointBatch, Failure> {
        let plan = self.pipeline.task.plan.fingerprint();
        let mut records = CheckpointBatch::default();
        records.changelog = self.changelog_id()?;
        records.plan = plan;
        records.offset = offset;
        records.committed_ms = self.committed_ms;
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(records);
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        running
            .beside_transaction()
            .take_dirty(most, &mut |checkpoint_batch| {
                key.clear();
                value.clear();
                match checkpoint_batch {
                    DirtyRow::Row(row) => {
                        row_key(row.customer_id, &mut key);
                        encode_row(&row, plan, &mut value);
                        records.push(&key, Some(&value));
                    }
                    DirtyRow::Gone(customer_id) => {
                        row_key(customer_id, &mut key);
                        records.push(&key, None);
                    }
                }
            });
        if offset.is_some() {
            value.clear();
            let owner = Some(self.broker.transactional_id());
            let inputs = &self.pipeline.topics.inputs;
            encode_task_position(&running.task().position(), inputs, owner, &mut value);
            records.push(&[TASK_POSITION], Some(&value));
        }
        Ok(records)
    }

    /// What tells the changelog from another of the same name; asked for once.
    pub(crate) fn changelog_id(&mut self) -> Result<String, Failure> {
        if let Some(known) = &self.changelog {
            return Ok(known.clone());
        }
        let identity = self.broker.topic_id(Topic::Changelog)?;
        self.changelog = Some(identity.clone());
        Ok(identity)
    }

    /// Commits, and says all that the local copies lack, for when the worker has left.
    ///
    /// # Errors
    /// As [`Worker::turn`]; where the transaction must be done again there is nothing to be said.
    pub(crate) fn final_checkpoints(&mut self) -> Result<Vec<(u32, CheckpointBatch)>, Failure> {
        let store = &mut self.store;
        let numbers = self.tasks.keys().copied();
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
            let copy = self.store.checkpoint_state(number);
            if let Some(running) = self
                .tasks
                .get_mut(&number)
                .filter(|_| copy == CheckpointState::Empty)
            {
                running.beside_transaction().mark_all_dirty();
            }
            checkpoints.push((
                number,
                self.checkpoint_batch(number, usize::MAX, Some(end))?,
            ));
        }
        Ok(checkpoints)
    }
}

/// Writes what [`Worker::final_checkpoints`] said, now that others can take over meanwhile.
pub(crate) fn write_final_checkpoints(
    mut store: Box<dyn Store>,
    checkpoints: Vec<(u32, CheckpointBatch)>,
) {
    for (number, records) in checkpoints {
        if store
            .await_checkpoint(number, FINAL_WRITE_TIMEOUT)
            .accepts_records()
        {
            store.write(number, records);
        }
        store.release(number);
    }
}
