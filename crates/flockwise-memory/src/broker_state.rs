//! The broker's state, guarded by one lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flockwise_runtime::topics::{Topic, Topics};

use crate::compaction::Compaction;
use crate::group::Group;
use crate::log::{Log, Pool};
use crate::partition_layout::{PartitionLayout, is_consumed};
use crate::pending_transaction::PendingTransaction;
use crate::producer_epochs::ProducerEpochs;
use crate::record::Shape;

/// Bytes of mini-batches that are kept after they are committed, as Kafka keeps them: a new trainer reads again those
/// that came after the last version.
const MINI_BATCH_BYTES: usize = 16 << 20;

/// The state behind its lock, and a condition that signals changes.
#[derive(Debug)]
pub(crate) struct BrokerShared {
    pub(crate) layout: PartitionLayout,
    state: Mutex<BrokerState>,
    changed: Condvar,
}

/// The partitions by number, the group, and the producers' epochs.
#[derive(Debug)]
pub(crate) struct BrokerState {
    pub(crate) logs: Vec<Log>,
    pub(crate) group: Group,
    pub(crate) producers: ProducerEpochs,
    /// By partition; `None` if it is not compacted.
    compactions: Vec<Option<Compaction>>,
    /// Bytes of each partition that are kept after the group has committed them.
    keeps: Vec<usize>,
    pool: Pool,
    sequence: u64,
    scratch: Vec<u8>,
    /// Number of threads that wait for a change. At zero, a notification would be a wasted system call.
    waiting: usize,
}

impl BrokerShared {
    pub(crate) fn new(topics: Topics, input_partitions: &[u32]) -> Self {
        let subscribed = [Topic::Repartition, Topic::Samples]
            .map(|topic| (topic, topics.partitions(topic)))
            .to_vec();
        let layout = PartitionLayout::new(topics, input_partitions);
        let compactions = layout.topic_partitions().map(|topic_partition| {
            let is_compacted = Topics::is_compacted(topic_partition.topic);
            is_compacted.then(Compaction::new)
        });
        let keeps = layout
            .topic_partitions()
            .map(|topic_partition| match topic_partition.topic {
                Topic::Samples => MINI_BATCH_BYTES,
                _ => 0,
            });
        let state = BrokerState {
            keeps: keeps.collect(),
            logs: (0..layout.len()).map(|_| Log::new()).collect(),
            group: Group::new(subscribed),
            producers: ProducerEpochs::default(),
            compactions: compactions.collect(),
            pool: Pool::default(),
            sequence: 0,
            scratch: Vec::new(),
            waiting: 0,
        };
        Self {
            layout,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Ignores poisoning: no panic can leave the state half changed, because a worker owns its transaction until it
    /// commits.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BrokerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock until the state changes, for at most `patience`.
    pub(crate) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, BrokerState>,
        patience: Duration,
    ) -> MutexGuard<'a, BrokerState> {
        state.waiting += 1;
        let (mut state, _) = self
            .changed
            .wait_timeout(state, patience)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    /// Wakes the threads that wait for a change.
    pub(crate) fn notify(&self, state: &BrokerState) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Number of records of consumed topics that the group has not committed yet.
    pub(crate) fn backlog(&self, state: &BrokerState) -> u64 {
        let topic_partitions = self.layout.topic_partitions().zip(&state.logs);
        topic_partitions
            .filter(|(topic_partition, _)| is_consumed(topic_partition.topic))
            .map(|(_, log)| log.backlog())
            .sum()
    }
}

impl BrokerState {
    /// Appends one record without a transaction.
    pub(crate) fn append(
        &mut self,
        number: usize,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> i64 {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let shape = Shape::lay(&mut scratch, key, value, &[]);
        let offset = self.push(number, timestamp_ms, shape, &scratch);
        self.scratch = scratch;
        self.compact(number);
        offset
    }

    /// Commits a transaction's records and positions atomically.
    pub(crate) fn commit(&mut self, transaction: &PendingTransaction, positions: &[(usize, i64)]) {
        for (pending, bytes) in transaction.records() {
            self.push(pending.number, pending.timestamp_ms, pending.shape, bytes);
        }
        for &(number, position) in positions {
            self.logs[number].committed = Some(position);
            // A compacted topic keeps its committed records: each reader reads it from the start.
            if self.compactions[number].is_none() {
                let log = &mut self.logs[number];
                log.trim_to(&mut self.pool, position, self.keeps[number]);
            }
        }
        for number in 0..self.logs.len() {
            self.compact(number);
        }
    }

    /// Frees the records below an offset.
    pub(crate) fn trim(&mut self, number: usize, below: i64) {
        self.logs[number].trim(&mut self.pool, below);
    }

    fn push(&mut self, number: usize, timestamp_ms: i64, shape: Shape, bytes: &[u8]) -> i64 {
        let sequence = self.sequence;
        self.sequence += 1;
        self.logs[number].append(&mut self.pool, sequence, timestamp_ms, shape, bytes)
    }

    fn compact(&mut self, number: usize) {
        if let Some(compaction) = &mut self.compactions[number] {
            compaction.run_if_due(&mut self.logs[number], &mut self.pool);
        }
    }
}

/// Longer than any call waits, and small enough that an instant does not overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

pub(crate) fn after(patience: Duration) -> Instant {
    Instant::now() + patience.min(LONGEST_WAIT)
}

/// The time left until a deadline; `None` once it has passed.
pub(crate) fn until(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
