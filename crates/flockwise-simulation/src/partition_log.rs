//! One partition: its records in order, and which of them can be read.

use flockwise_memory::CommittedRecord;
use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::ORIGIN_HEADER;
use flockwise_runtime::topics::TopicPartition;

use crate::leader_epochs::LeaderEpochs;

/// A partition's records, and the group's committed offset.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    /// By offset, those of open transactions included.
    pub(crate) records: Vec<CommittedRecord>,
    /// The oldest offset that can be read.
    pub(crate) start: i64,
    /// The offset of the next record.
    pub(crate) end: i64,
    pub(crate) committed: Option<i64>,
    /// How often the topic was recreated.
    pub(crate) generation: u32,
    pub(crate) epochs: LeaderEpochs,
    /// Records from this offset on must not be read, because the first of them belongs to an open transaction.
    pub(crate) held_from: i64,
}

impl PartitionLog {
    /// The empty partition of a topic that was recreated this many times.
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            records: Vec::new(),
            start: 0,
            end: 0,
            committed: None,
            generation,
            epochs: LeaderEpochs::default(),
            held_from: i64::MAX,
        }
    }

    /// Appends a record and returns its offset, which replaces the one it has.
    pub(crate) fn append(&mut self, record: CommittedRecord) -> i64 {
        let offset = self.end;
        self.end += 1;
        self.records.push(CommittedRecord { offset, ..record });
        offset
    }

    /// Takes offsets that no record will have, as control records do.
    pub(crate) fn skip(&mut self, offsets: i64) {
        self.end += offsets;
    }

    /// The last stable offset: the first one that must not be read yet.
    pub(crate) fn stable(&self) -> i64 {
        self.end.min(self.held_from)
    }

    /// The readable records from an offset on, oldest first.
    pub(crate) fn readable(&self, from: i64) -> &[CommittedRecord] {
        let index = |offset| {
            self.records
                .partition_point(|record| record.offset < offset)
        };
        let end = index(self.held_from);
        &self.records[index(from).min(end)..end]
    }

    /// The offset of the first readable record from `from` on; the last stable offset if there is none.
    pub(crate) fn next_readable(&self, from: i64) -> i64 {
        let first = self.readable(from).first();
        first.map_or(self.stable().max(from), |record| record.offset)
    }

    /// Removes the records below an offset, as retention does.
    pub(crate) fn remove(&mut self, below: i64) {
        let start = below.clamp(self.start, self.stable());
        self.start = start;
        self.records.retain(|record| record.offset >= start);
    }

    /// Removes the records from an offset on, as when a replica without them becomes leader.
    pub(crate) fn truncate(&mut self, to: i64) {
        self.records.retain(|record| record.offset < to);
        self.start = self.start.min(to);
        self.end = to;
        self.epochs.truncate(to);
    }

    /// The first offset that a reader has not read in this log, if it has read up to `offset` and the last record that
    /// it read has this leader epoch.
    pub(crate) fn first_unread(&self, offset: i64, leader_epoch: Option<i32>) -> i64 {
        let end = leader_epoch.map(|epoch| self.epochs.end(epoch, self.end));
        end.map_or(offset, |end| end.min(offset))
    }
}

/// A record as a poll returns it.
pub(crate) fn polled(topic_partition: TopicPartition, record: &CommittedRecord) -> Record<'_> {
    let mut headers = record.headers.iter();
    let origin = headers.find(|(name, _)| name == ORIGIN_HEADER);
    Record {
        topic_partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        origin: origin.map(|(_, content)| &**content),
    }
}
