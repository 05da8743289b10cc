//! Rebuilds a task from the records of its checkpoint and of its changelog.

use std::sync::Arc;

use flockwise_codec::changelog::{
    ChangelogError, ROW, StoredRow, TASK_POSITION, decode_row, decode_task_position,
};
use flockwise_core::task::{Task, TaskPosition};
use flockwise_vocabulary::task_id::TaskId;

use crate::batch::Record;
use crate::broker::{Broker, Failure, Replayed};
use crate::pipeline::Pipeline;
use crate::topics::{Topic, TopicPartition};

/// A task as far as its changelog has been read.
#[derive(Debug)]
pub(crate) struct TaskRestorer {
    task_id: TaskId,
    task: Task,
    position: Option<TaskPosition>,
    /// The transactional id of the worker that wrote the last task position.
    owner: Option<String>,
    /// The next changelog offset to read; `None`: the oldest.
    next: Option<i64>,
    row: StoredRow,
    /// The latest timestamp of the changelog records read, milliseconds since the epoch.
    latest_ms: i64,
    /// Number of changelog records read.
    records: u64,
}

/// Where a record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RecordOrigin {
    Changelog,
    /// The checkpoint, which need not be given the record again.
    Checkpoint,
}

impl TaskRestorer {
    /// An empty restorer: nothing is read yet.
    pub(crate) fn new(pipeline: &Pipeline, task_id: TaskId) -> Self {
        Self {
            task_id,
            task: Task::new(Arc::clone(&pipeline.task)),
            position: None,
            owner: None,
            next: None,
            row: StoredRow::default(),
            latest_ms: i64::MIN,
            records: 0,
        }
    }

    /// Number of changelog records read.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The next changelog offset to read; `None`: the oldest.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Continues at this changelog offset: the checkpoint covers everything before it.
    pub(crate) fn resume_from(&mut self, offset: i64) {
        self.next = Some(offset);
    }

    pub(crate) fn task_id(&self) -> TaskId {
        self.task_id
    }

    /// The transactional id of the worker that wrote the last task position read.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The latest timestamp of the changelog records read, milliseconds since the epoch by the clock of the worker that
    /// wrote them; `i64::MIN`: none.
    pub(crate) fn latest_commit_ms(&self) -> i64 {
        self.latest_ms
    }

    /// Memory that the task's state takes, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.task.bytes()
    }

    /// Number of customers restored so far.
    #[cfg(test)]
    pub(crate) fn customers(&self) -> usize {
        self.task.rows().len()
    }

    /// Applies a committed record of the changelog.
    ///
    /// # Errors
    /// If it was written by a later version or with another plan, or is malformed.
    pub(crate) fn apply(
        &mut self,
        pipeline: &Pipeline,
        record: &Record<'_>,
    ) -> Result<(), ChangelogError> {
        self.next = Some(record.offset + 1);
        self.latest_ms = self.latest_ms.max(record.timestamp_ms);
        let key = record.key.unwrap_or_default();
        self.apply_from(RecordOrigin::Changelog, pipeline, key, record.value)
    }

    /// Applies a record of the checkpoint.
    ///
    /// # Errors
    /// As [`TaskRestorer::apply`].
    pub(crate) fn apply_checkpointed(
        &mut self,
        pipeline: &Pipeline,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), ChangelogError> {
        self.apply_from(RecordOrigin::Checkpoint, pipeline, key, Some(value))
    }

    fn apply_from(
        &mut self,
        origin: RecordOrigin,
        pipeline: &Pipeline,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ChangelogError> {
        match (key.split_first(), value) {
            (Some((&TASK_POSITION, _)), Some(value)) => {
                let (position, owner) = decode_task_position(value, &pipeline.topics.inputs)?;
                self.position = Some(position);
                self.owner = owner;
            }
            (Some((&ROW, id)), Some(value)) => {
                decode_row(id, value, pipeline.task.plan.fingerprint(), &mut self.row)?;
                let row = self.row.as_row();
                match origin {
                    RecordOrigin::Changelog => self.task.restore_row(&row),
                    RecordOrigin::Checkpoint => self.task.restore_kept_row(&row),
                }
            }
            (Some((&ROW, id)), None) => {
                let id = std::str::from_utf8(id)
                    .map_err(|error| ChangelogError::Malformed(error.to_string()))?;
                self.task.remove(id);
            }
            (Some((other, _)), _) => {
                let reason = format!("found key type {other}, expected {TASK_POSITION} or {ROW}");
                return Err(ChangelogError::Malformed(reason));
            }
            (None, _) => {
                return Err(ChangelogError::Malformed(
                    "the record has no key".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Completes the task as of the last commit read.
    ///
    /// # Errors
    /// If the number of customers is not the one that the last commit counted.
    pub(crate) fn finish(mut self, pipeline: &Pipeline) -> Result<Task, Failure> {
        let found = self.task.rows().len() as u64;
        let counted = self
            .position
            .as_ref()
            .and_then(|position| position.customers);
        if let Some(expected) = counted.filter(|expected| *expected != found) {
            let error = ChangelogError::Customers { found, expected };
            return Err(unusable(pipeline, self.task_id, &error));
        }
        if let Some(position) = self.position {
            self.task.restore_position(position);
        }
        Ok(self.task)
    }
}

/// Reads the changelog of each restorer to its present end. Returns how far each got, in order.
///
/// # Errors
/// If a changelog cannot be read, or holds a record that this version or plan cannot use.
pub(crate) fn replay_to_end<B: Broker>(
    restorers: &mut [TaskRestorer],
    broker: &mut B,
    pipeline: &Pipeline,
) -> Result<Vec<Replayed>, Failure> {
    let read = |restorer: &TaskRestorer| {
        let topic_partition = TopicPartition::changelog(restorer.task_id);
        (topic_partition, restorer.next)
    };
    let reads: Vec<_> = restorers.iter().map(read).collect();
    let mut applied = Ok(());
    let replayed = broker.replay_all(&reads, &mut |record| {
        let task_id = TaskId(record.topic_partition.partition);
        let mut restorers = restorers.iter_mut();
        let restorer = restorers.find(|restorer| restorer.task_id == task_id);
        if let (Some(restorer), Ok(())) = (restorer, &applied) {
            restorer.records += 1;
            applied = restorer
                .apply(pipeline, &record)
                .map_err(|error| unusable(pipeline, task_id, &error));
        }
    })?;
    applied?;
    for (restorer, replayed) in restorers.iter_mut().zip(&replayed) {
        if let Replayed::Whole(next) | Replayed::Held(next) = replayed {
            restorer.next = Some(*next);
        }
    }
    Ok(replayed)
}

fn unusable(pipeline: &Pipeline, task_id: TaskId, error: &ChangelogError) -> Failure {
    let topic = pipeline.topics.name(Topic::Changelog);
    Failure::Config(format!("{topic}, partition {task_id}: {error}"))
}
