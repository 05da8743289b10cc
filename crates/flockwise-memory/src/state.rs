//! Everything that the broker's lock guards.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::compaction::{Compaction, Terms};
use crate::group::Group;
use crate::layout::{Layout, is_consumed};
use crate::log::{Log, Pool};
use crate::record::Shape;
use crate::simulation::Simulation;
use crate::transaction::Transaction;

/// A trainer that takes over reads again what came after the last version, so mini-batches are kept
/// for a while, as Kafka keeps them.
const LESSONS_BYTES: usize = 16 << 20;

/// The state behind its lock, and the condition that it has changed.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    state: Mutex<State>,
    changed: Condvar,
}

/// Partitions by number, the group, and who may produce under which name.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) logs: Vec<Log>,
    pub(crate) group: Group,
    pub(crate) is_retaining: bool,
    /// Clients go on behind lost records.
    pub(crate) skips_lost_records: bool,
    /// What a real cluster does besides; `None` where all goes well.
    pub(crate) simulation: Option<Box<Simulation>>,
    /// `None` where a partition is not compacted.
    compactions: Vec<Option<Compaction>>,
    /// Bytes of each partition that are kept although the group has committed to have read them.
    keeps: Vec<usize>,
    pub(crate) pool: Pool,
    sequence: u64,
    epochs: HashMap<String, u64>,
    pub(crate) scratch: Vec<u8>,
    /// Threads that wait for a change: waking nobody costs a system call too.
    waiting: usize,
}

impl Shared {
    pub(crate) fn new(topics: Topics, input_partitions: &[u32]) -> Self {
        let subscribed = [Topic::Repartition, Topic::Samples]
            .map(|topic| (topic, topics.partitions(topic)))
            .to_vec();
        let layout = Layout::new(topics, input_partitions);
        let compactions = layout.sources().map(|source| {
            let is_compacted = Topics::is_compacted(source.topic);
            is_compacted.then(Compaction::new)
        });
        let keeps = layout.sources().map(|source| match source.topic {
            Topic::Samples => LESSONS_BYTES,
            _ => 0,
        });
        let state = State {
            keeps: keeps.collect(),
            logs: (0..layout.len()).map(|_| Log::new()).collect(),
            group: Group::new(subscribed),
            is_retaining: false,
            skips_lost_records: false,
            simulation: None,
            compactions: compactions.collect(),
            pool: Pool::default(),
            sequence: 0,
            epochs: HashMap::new(),
            scratch: Vec::new(),
            waiting: 0,
        };
        Self {
            layout,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// A worker that panicked has changed nothing by halves: its transaction is its own until commit.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::lock`], once what is overdue in a simulation has happened.
    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.simulation.is_some() {
            state.let_time_pass();
        }
        state
    }

    /// Gives the lock back until something has changed, or for so long.
    pub(crate) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let (mut state, _) = self
            .changed
            .wait_timeout(state, patience)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    /// Wakes whoever waits.
    pub(crate) fn notify(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Records of consumed topics that the group has yet to commit.
    pub(crate) fn backlog(&self, state: &State) -> u64 {
        let sources = self.layout.sources().zip(&state.logs);
        sources
            .filter(|(source, _)| is_consumed(source.topic))
            .map(|(_, log)| log.backlog())
            .sum()
    }
}

impl State {
    /// Appends one record from outside any transaction.
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

    /// Makes a transaction visible, together with the positions; all or nothing.
    pub(crate) fn commit(&mut self, transaction: &Transaction, positions: &[(usize, i64)]) {
        for (pending, bytes) in transaction.records() {
            self.push(pending.number, pending.timestamp_ms, pending.shape, bytes);
        }
        for &(number, position) in positions {
            self.logs[number].committed = Some(position);
            // A compacted topic is not consumed once and for all: everybody reads it from the start.
            if self.compactions[number].is_none() && !self.is_retaining {
                let log = &mut self.logs[number];
                log.trim_to(&mut self.pool, position, self.keeps[number]);
            }
        }
        for number in 0..self.logs.len() {
            self.compact(number);
        }
    }

    /// Lets go of records below an offset.
    pub(crate) fn trim(&mut self, number: usize, below: i64) {
        self.logs[number].trim(&mut self.pool, below);
    }

    pub(crate) fn push(
        &mut self,
        number: usize,
        timestamp_ms: i64,
        shape: Shape,
        bytes: &[u8],
    ) -> i64 {
        let sequence = self.sequence;
        self.sequence += 1;
        self.logs[number].append(&mut self.pool, sequence, timestamp_ms, shape, bytes)
    }

    /// Compacts what is compacted, due or not.
    pub(crate) fn compact_all(&mut self) {
        let simulation = self.simulation.as_ref();
        let terms = simulation.map_or_else(Terms::default, |simulation| Terms {
            now_ms: simulation.conditions.clock.wall_ms(),
            keep_ms: simulation.conditions.tombstones.as_millis() as i64,
        });
        for (log, compaction) in self.logs.iter_mut().zip(&mut self.compactions) {
            if let Some(compaction) = compaction {
                compaction.run(log, &mut self.pool, terms);
            }
        }
    }

    fn compact(&mut self, number: usize) {
        if let Some(compaction) = &mut self.compactions[number]
            && !self.is_retaining
        {
            compaction.run_if_due(&mut self.logs[number], &mut self.pool);
        }
    }

    /// A new producer under this name; the one before is fenced from here on.
    pub(crate) fn begin_epoch(&mut self, member: &str) -> u64 {
        let epoch = self.epochs.entry(member.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    pub(crate) fn is_fenced(&self, member: &str, epoch: u64) -> bool {
        self.epochs.get(member) != Some(&epoch)
    }

    pub(crate) fn require_unfenced(&self, member: &str, epoch: u64) -> Result<(), Failure> {
        if self.is_fenced(member, epoch) {
            return Err(Failure::Fenced(format!(
                "member {member} was fenced by a newer one of the same name"
            )));
        }
        Ok(())
    }

    /// Fails where the group has gone on without this member.
    pub(crate) fn require_current(
        &self,
        member: &str,
        positions: &[(TopicPartition, i64)],
    ) -> Result<(), Failure> {
        let is_stale = !positions.is_empty() && !self.group.is_current(member);
        if is_stale || self.group.is_lost(member) {
            return Err(Failure::Abort(format!(
                "member {member} committed under a generation that the group has left behind"
            )));
        }
        Ok(())
    }
}

/// More than anybody waits in one call, and far from where an instant overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

pub(crate) fn after(patience: Duration) -> Instant {
    Instant::now() + patience.min(LONGEST_WAIT)
}

/// What is left until then; `None` once it is past.
pub(crate) fn until(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
