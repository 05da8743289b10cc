//! Leader epochs, and partitions that lose their latest records when a replica without them becomes leader.

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::Topic;

use crate::broker::MemoryBroker;
use crate::client::OpenPartition;
use crate::log::{Log, Pool};
use crate::state::State;

/// Where the leader epochs of a partition begin, oldest first; before the first of them it is epoch 0.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    latest: i32,
    starts: Vec<(i32, i64)>,
}

impl Epochs {
    /// The epoch of the record before an offset.
    pub(crate) fn before(&self, offset: i64) -> i32 {
        let mut begun = self.starts.iter().rev();
        begun
            .find(|(_, start)| *start < offset)
            .map_or(0, |(epoch, _)| *epoch)
    }

    /// Where an epoch ends; the latest ends at the partition's end.
    fn end(&self, epoch: i32, end: i64) -> i64 {
        let mut later = self.starts.iter().filter(|(later, _)| *later > epoch);
        later.next().map_or(end, |(_, start)| *start)
    }

    fn truncate(&mut self, to: i64) {
        self.latest += 1;
        self.starts.retain(|(_, start)| *start < to);
        self.starts.push((self.latest, to));
    }
}

impl Log {
    fn truncate(&mut self, pool: &mut Pool, to: i64) {
        self.retain(pool, |entry| entry.offset < to);
        self.start = self.start.min(to);
        self.end = to;
        self.epochs.truncate(to);
    }

    /// The first offset whose record was not read by who has read up to an offset, within an epoch and no later one.
    pub(crate) fn first_unread(&self, offset: i64, leader_epoch: Option<i32>) -> i64 {
        let end = leader_epoch.map(|epoch| self.epochs.end(epoch, self.end));
        end.map_or(offset, |end| end.min(offset))
    }
}

impl OpenPartition {
    /// A record has been handed out.
    pub(crate) fn advance(&mut self, log: &Log, offset: i64) {
        self.next = offset + 1;
        self.leader_epoch = self.leader_epoch.max(Some(log.epochs.before(self.next)));
    }

    /// Does the log lack records that were read, or have others in their place?
    pub(crate) fn is_cut(&self, log: &Log) -> bool {
        let is_same = self.generation == log.generation && !self.is_stopped;
        is_same && log.first_unread(self.next, self.leader_epoch) < self.next
    }
}

impl State {
    /// As a client does that finds a partition truncated while it reads it.
    pub(crate) fn require_uncut(&self, reads: &[OpenPartition]) -> Result<(), Failure> {
        let is_cut = |read: &&OpenPartition| read.is_cut(&self.logs[read.number]);
        reads.iter().find(is_cut).map_or(Ok(()), |read| {
            Err(Failure::Abort(format!("{:?} was truncated", read.source)))
        })
    }
}

impl MemoryBroker {
    /// From now on clients go on behind lost records of a truncated partition; otherwise they stop reading it.
    #[must_use]
    pub fn skipping_lost_records(self) -> Self {
        self.shared.lock().skips_lost_records = true;
        self
    }

    /// Takes the records of an input partition from an offset on away, and begins a leader epoch: as where a replica
    /// that has no more becomes leader.
    ///
    /// # Panics
    /// Where there is no such partition, or it ends before.
    pub fn truncate(&self, topic: Topic, partition: u32, to: i64) {
        let number = self.require(topic, partition);
        let mut state = self.shared.lock();
        let State { logs, pool, .. } = &mut *state;
        assert!(to <= logs[number].end, "there is nothing from {to} on");
        logs[number].truncate(pool, to);
        self.shared.notify(&state);
    }
}
