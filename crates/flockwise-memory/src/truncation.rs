//! Leader epochs, and partitions that lose their last records when a replica without them becomes leader.

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::Topic;

use crate::broker::MemoryBroker;
use crate::client::OpenPartition;
use crate::log::{Log, Pool};
use crate::state::BrokerState;

impl Log {
    fn truncate(&mut self, pool: &mut Pool, to: i64) {
        self.retain(pool, |entry| entry.offset < to);
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

impl OpenPartition {
    /// Moves past a record that a poll returned.
    pub(crate) fn advance(&mut self, log: &Log, offset: i64) {
        self.next = offset + 1;
        self.leader_epoch = self.leader_epoch.max(Some(log.epochs.before(self.next)));
    }

    /// Whether the log has lost records that were read, or has others in their place.
    pub(crate) fn is_cut(&self, log: &Log) -> bool {
        let is_same = self.generation == log.generation && !self.is_halted;
        is_same && log.first_unread(self.next, self.leader_epoch) < self.next
    }
}

impl BrokerState {
    /// Fails if an open partition was truncated, as a client does when it notices.
    pub(crate) fn require_uncut(&self, reads: &[OpenPartition]) -> Result<(), Failure> {
        let is_cut = |read: &&OpenPartition| read.is_cut(&self.logs[read.number]);
        reads.iter().find(is_cut).map_or(Ok(()), |read| {
            Err(Failure::Abort(format!("{:?} was truncated", read.source)))
        })
    }
}

impl MemoryBroker {
    /// From now on, clients continue after the lost records of a truncated partition. By default they halt it.
    #[must_use]
    pub fn skipping_lost_records(self) -> Self {
        self.shared.lock().skips_lost_records = true;
        self
    }

    /// Removes the records of an input partition from an offset on and starts a new leader epoch, as when a replica
    /// without these records becomes leader.
    ///
    /// # Panics
    /// If the partition does not exist or ends before the offset.
    pub fn truncate(&self, topic: Topic, partition: u32, to: i64) {
        let number = self.require(topic, partition);
        let mut state = self.shared.lock();
        let BrokerState { logs, pool, .. } = &mut *state;
        assert!(to <= logs[number].end, "the partition ends before {to}");
        logs[number].truncate(pool, to);
        self.shared.notify(&state);
    }
}
