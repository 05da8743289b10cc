//! Where a client reads a partition, and whether the records that it has read are lost.

use std::collections::BTreeMap;

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::TopicPartition;

use crate::cluster_state::ClusterState;
use crate::partition_log::PartitionLog;

/// A partition that the client reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchPosition {
    pub(crate) topic_partition: TopicPartition,
    /// The next offset to read.
    pub(crate) next: i64,
    /// The partition is paused.
    pub(crate) is_paused: bool,
    /// The topic's generation when the client last asked for its id.
    pub(crate) generation: u32,
    /// Leader epoch of the last record that was read; `None` if none was.
    pub(crate) leader_epoch: Option<i32>,
    /// The partition is halted, because records that were read are lost.
    pub(crate) is_halted: bool,
    /// Records that were read are lost, so reading continues below the offset at which the worker opened the
    /// partition.
    pub(crate) is_rewound: bool,
}

impl FetchPosition {
    /// Opens a partition. `known` is its topic's generation when the client last asked for its id.
    pub(crate) fn open(
        state: &ClusterState,
        topic_partition: TopicPartition,
        start: Start,
        known: Option<u32>,
    ) -> Result<Self, Failure> {
        let log = state.find(topic_partition)?;
        let generation = known.unwrap_or(log.generation);
        let leader_epoch = start.leader_epoch();
        let wanted = start.offset().unwrap_or_default();
        let first_unread = log.first_unread(wanted, leader_epoch);
        let is_cut = generation == log.generation && first_unread < wanted;
        let is_halted = is_cut && !state.conditions.skips_lost_records;
        let next = match start.offset().map_or(start, Start::Offset) {
            Start::Offset(offset) if is_halted => offset,
            Start::Offset(_) if is_cut => first_unread,
            // The client notices only when it reads that the topic was recreated.
            Start::Offset(offset) if generation != log.generation => offset,
            // Only the first record shows that the records before it are gone.
            Start::Offset(offset) if offset < log.start => log.start,
            start => begin(log, topic_partition, start)?,
        };
        Ok(Self {
            topic_partition,
            next,
            is_paused: false,
            generation,
            leader_epoch,
            is_halted,
            is_rewound: is_cut && !is_halted,
        })
    }

    /// Whether a poll may return its records.
    pub(crate) fn is_given(&self, logs: &BTreeMap<TopicPartition, PartitionLog>) -> bool {
        let is_there = logs[&self.topic_partition].generation == self.generation;
        !self.is_paused && !self.is_halted && is_there
    }

    /// Moves past a record that a poll returned.
    pub(crate) fn advance(&mut self, log: &PartitionLog, offset: i64) {
        self.next = offset + 1;
        self.leader_epoch = self.leader_epoch.max(Some(log.epochs.before(self.next)));
    }

    /// Whether the log has lost records that were read, or has others in their place.
    pub(crate) fn is_cut(&self, log: &PartitionLog) -> bool {
        let is_same = self.generation == log.generation && !self.is_halted;
        is_same && log.first_unread(self.next, self.leader_epoch) < self.next
    }
}

impl ClusterState {
    /// Fails if an open partition was truncated, as a client does when it notices.
    pub(crate) fn require_uncut(&self, reads: &[FetchPosition]) -> Result<(), Failure> {
        let is_cut = |read: &&FetchPosition| read.is_cut(self.log(read.topic_partition));
        reads.iter().find(is_cut).map_or(Ok(()), |read| {
            Err(Failure::Abort(format!(
                "{:?} was truncated",
                read.topic_partition
            )))
        })
    }
}

/// The offset at which reading starts.
fn begin(
    log: &PartitionLog,
    topic_partition: TopicPartition,
    start: Start,
) -> Result<i64, Failure> {
    match start {
        Start::Earliest => Ok(log.start),
        Start::Latest => Ok(log.end),
        Start::Time(time_ms) => {
            let mut records = log.readable(log.start).iter();
            let first = records.find(|record| record.timestamp_ms >= time_ms);
            Ok(first.map_or(log.end, |record| record.offset))
        }
        Start::Offset(offset) if (log.start..=log.end).contains(&offset) => Ok(offset),
        Start::Offset(offset) | Start::Verified { offset, .. } => Err(Failure::Config(format!(
            "offset {offset} of {topic_partition:?} is out of range: expected {} to {}",
            log.start, log.end
        ))),
    }
}
