//! A task on its way back to life: records of its changelog, from wherever a copy of them is at hand.

use std::sync::Arc;

use flockwise_codec::changelog::{
    ChangelogError, ROW, StoredRow, TASK_POSITION, decode_row, decode_task_position,
};
use flockwise_core::task::{Task, TaskPosition};

use crate::batch::Record;
use crate::broker::{Broker, Failure, Replayed};
use crate::pipeline::Pipeline;
use crate::topics::{Topic, TopicPartition};

/// A task as far as its changelog has been read.
#[derive(Debug)]
pub(crate) struct TaskRestorer {
    number: u32,
    task: Task,
    position: Option<TaskPosition>,
    /// Who wrote the bookmark: the name of a worker's transactions.
    owner: Option<String>,
    /// The next offset of the changelog; `None`: from its oldest record.
    next: Option<i64>,
    row: StoredRow,
    /// The latest timestamp of a record of the changelog, milliseconds since the epoch.
    latest_ms: i64,
    /// Records of the changelog that were read.
    records: u64,
}

/// Where a record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Changelog,
    /// Local state, which has the record already.
    Store,
}

impl TaskRestorer {
    /// Nothing read yet.
    pub(crate) fn new(pipeline: &Pipeline, number: u32) -> Self {
        Self {
            number,
            task: Task::new(Arc::clone(&pipeline.task)),
            position: None,
            owner: None,
            next: None,
            row: StoredRow::default(),
            latest_ms: i64::MIN,
            records: 0,
        }
    }

    /// Records of the changelog that were read.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The offset of the changelog to go on from; `None`: from its oldest record.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Goes on from an offset.
    pub(crate) fn resume_from(&mut self, offset: i64) {
        self.next = Some(offset);
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Who wrote the last bookmark read.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// When the latest of the commits read was made, by the clock of who made it.
    pub(crate) fn latest_commit_ms(&self) -> i64 {
        self.latest_ms
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.task.bytes()
    }

    /// Customers so far.
    #[cfg(test)]
    pub(crate) fn customers(&self) -> usize {
        self.task.rows().len()
    }

    /// Takes in a committed record of the changelog.
    ///
    /// # Errors
    /// Where it was written by a later version or under another plan, or is malformed.
    pub(crate) fn take(
        &mut self,
        pipeline: &Pipeline,
        record: &Record<'_>,
    ) -> Result<(), ChangelogError> {
        self.next = Some(record.offset + 1);
        self.latest_ms = self.latest_ms.max(record.timestamp_ms);
        let key = record.key.unwrap_or_default();
        self.put(pipeline, key, record.value, Origin::Changelog)
    }

    /// Takes in a record of the local state.
    ///
    /// # Errors
    /// As [`TaskRestorer::take`].
    pub(crate) fn take_checkpointed(
        &mut self,
        pipeline: &Pipeline,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), ChangelogError> {
        self.put(pipeline, key, Some(value), Origin::Store)
    }

    fn put(
        &mut self,
        pipeline: &Pipeline,
        key: &[u8],
        value: Option<&[u8]>,
        origin: Origin,
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
                    Origin::Changelog => self.task.restore_row(&row),
                    Origin::Store => self.task.restore_kept_row(&row),
                }
            }
            (Some((&ROW, id)), None) => {
                let id = std::str::from_utf8(id)
                    .map_err(|error| ChangelogError::Malformed(error.to_string()))?;
                self.task.remove(id);
            }
            (Some((other, _)), _) => {
                let reason = format!("unknown kind of key {other}");
                return Err(ChangelogError::Malformed(reason));
            }
            (None, _) => return Err(ChangelogError::Malformed("no key".to_owned())),
        }
        Ok(())
    }

    /// The task as of the last commit read.
    ///
    /// # Errors
    /// Where not all customers came back that the last commit counted.
    pub(crate) fn finish(mut self, pipeline: &Pipeline) -> Result<Task, Failure> {
        let found = self.task.rows().len() as u64;
        let counted = self.position.as_ref().and_then(|mark| mark.customers);
        if let Some(expected) = counted.filter(|expected| *expected != found) {
            let error = ChangelogError::Customers { found, expected };
            return Err(unusable(pipeline, self.number, &error));
        }
        if let Some(position) = self.position {
            self.task.restore_position(position);
        }
        Ok(self.task)
    }
}

/// Reads each on to its changelog's end as of now; how far each got, in order.
///
/// # Errors
/// Where a changelog cannot be read, or holds what this version or plan cannot use.
pub(crate) fn replay_to_end<B: Broker>(
    restorer: &mut [TaskRestorer],
    broker: &mut B,
    pipeline: &Pipeline,
) -> Result<Vec<Replayed>, Failure> {
    let read = |one: &TaskRestorer| (TopicPartition::changelog(one.number), one.next);
    let reads: Vec<_> = restorer.iter().map(read).collect();
    let mut unfit = Ok(());
    let replayed = broker.replay_all(&reads, &mut |record| {
        let number = record.source.partition;
        let one = restorer.iter_mut().find(|one| one.number == number);
        if let (Some(one), Ok(())) = (one, &unfit) {
            one.records += 1;
            unfit = one
                .take(pipeline, &record)
                .map_err(|error| unusable(pipeline, number, &error));
        }
    })?;
    unfit?;
    for (one, replayed) in restorer.iter_mut().zip(&replayed) {
        if let Replayed::Whole(next) | Replayed::Held(next) = replayed {
            one.next = Some(*next);
        }
    }
    Ok(replayed)
}

fn unusable(pipeline: &Pipeline, number: u32, error: &ChangelogError) -> Failure {
    let topic = pipeline.topics.name(Topic::Changelog);
    Failure::Config(format!("{topic}, partition {number}: {error}"))
}
