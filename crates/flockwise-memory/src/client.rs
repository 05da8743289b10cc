//! One worker's client of the broker.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition};

use crate::log::{Log, LogEntry, LogPosition};
use crate::record::RecordParts;
use crate::state::{BrokerShared, BrokerState, after, until};
use crate::transaction::PendingTransaction;

/// How many records a replay copies under one lock.
const REPLAY_RECORDS: usize = 1024;

/// One member of the group, with its transaction. Leaves the group when dropped.
#[derive(Debug)]
pub struct MemoryClient {
    pub(crate) shared: Arc<BrokerShared>,
    pub(crate) member: String,
    pub(crate) epoch: u64,
    /// Whether the worker has answered the last assignment with [`GroupConsumer::open`].
    is_open: bool,
    reads: Vec<OpenPartition>,
    /// For each topic whose id the client has asked for, the generation at that time.
    generations: BTreeMap<Topic, u32>,
    heads: BinaryHeap<Reverse<LogHead>>,
    transaction: PendingTransaction,
    /// The broker behaves like a real cluster: see [`crate::Conditions`].
    is_simulated: bool,
}

/// A partition that the client reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenPartition {
    pub(crate) source: TopicPartition,
    pub(crate) number: usize,
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

impl OpenPartition {
    /// Whether a poll may return its records.
    pub(crate) fn is_given(&self) -> bool {
        !self.is_paused && !self.is_halted
    }
}

/// The next record of an open partition. The smallest sequence comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogHead {
    sequence: u64,
    read: usize,
    place: LogPosition,
}

impl MemoryClient {
    pub(crate) fn join(shared: Arc<BrokerShared>, member: &str) -> Self {
        let mut state = shared.lock();
        let is_simulated = state.simulation.is_some();
        let epoch = if is_simulated {
            state.take_over(member)
        } else {
            state.group.join(member);
            state.begin_epoch(member)
        };
        shared.notify(&state);
        drop(state);
        Self {
            shared,
            member: member.to_owned(),
            epoch,
            is_open: false,
            reads: Vec::new(),
            generations: BTreeMap::new(),
            heads: BinaryHeap::new(),
            transaction: PendingTransaction::default(),
            is_simulated,
        }
    }

    /// The next event for the worker, if there is one now.
    fn next(
        &mut self,
        state: &mut BrokerState,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<Option<WorkerEvent>, Failure> {
        state.require_unfenced(&self.member, self.epoch)?;
        if self.is_simulated {
            state.hear(&self.member);
        }
        let is_news_late = state
            .simulation
            .as_mut()
            .is_some_and(|simulation| simulation.delays_news(&self.member));
        if !is_news_late && let Some(turn) = state.group.turn(&self.member) {
            self.is_open &= !matches!(turn, WorkerEvent::Assigned(_));
            return Ok(Some(turn));
        }
        state.require_uncut(&self.reads)?;
        if self.is_simulated && self.is_open && state.group.believes_to_serve(&self.member) {
            state.fill(&mut self.reads, limit, batch);
        } else if self.is_open && state.group.is_serving(&self.member) {
            self.fill(&state.logs, limit, batch);
        }
        Ok((!batch.is_empty()).then_some(WorkerEvent::Records))
    }

    /// Fills the batch with the available records, in the order in which they were appended.
    fn fill(&mut self, logs: &[Log], limit: usize, batch: &mut Batch) {
        self.heads.clear();
        let given = self.reads.iter().enumerate();
        for (index, read) in given.filter(|(_, read)| read.is_given()) {
            let log = &logs[read.number];
            self.heads.extend(head(log, index, log.place(read.next)));
        }
        while batch.len() < limit
            && let Some(mut first) = self.heads.peek_mut()
        {
            let LogHead { read, place, .. } = first.0;
            let OpenPartition { source, number, .. } = self.reads[read];
            let log = &logs[number];
            if let Some((entry, parts)) = log.record(place) {
                batch.push(record(source, entry, parts));
                self.reads[read].advance(log, entry.offset);
            }
            match head(log, read, log.after(place)) {
                Some(next) => *first = next,
                None => drop(PeekMut::pop(first)),
            }
        }
    }

    fn read(&self, source: TopicPartition) -> Option<&OpenPartition> {
        self.reads.iter().find(|read| read.source == source)
    }

    pub(crate) fn numbered(
        &self,
        positions: &[(TopicPartition, i64)],
    ) -> Result<Vec<(usize, i64)>, Failure> {
        let numbered = positions.iter().map(|&(source, position)| {
            let number = self.shared.layout.require(source)?;
            Ok((number, position))
        });
        let numbered: Result<_, String> = numbered.collect();
        numbered.map_err(Failure::Config)
    }
}

impl GroupConsumer for MemoryClient {
    fn poll(
        &mut self,
        patience: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        batch.clear();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.look();
        let mut deadline = None;
        loop {
            if let Some(turn) = self.next(&mut state, limit, batch)? {
                return Ok(turn);
            }
            if patience.is_zero() || self.is_simulated {
                return Ok(WorkerEvent::Idle);
            }
            let deadline = *deadline.get_or_insert_with(|| after(patience));
            let Some(left) = until(deadline) else {
                return Ok(WorkerEvent::Idle);
            };
            state = shared.wait(state, left);
        }
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        let state = self.shared.lock();
        let is_expelled = state.group.is_lost(&self.member);
        for &(source, start) in reads {
            let number = self.shared.layout.require(source);
            let number = number.map_err(Failure::Config)?;
            let log = &state.logs[number];
            let known = self.generations.get(&source.topic).copied();
            let generation = known.unwrap_or(log.generation);
            let epoch = start.leader_epoch();
            let wanted = start.offset().unwrap_or_default();
            let first_unread = log.first_unread(wanted, epoch);
            let is_cut = generation == log.generation && first_unread < wanted;
            let is_halted = is_cut && !state.skips_lost_records;
            let next = match start.offset().map_or(start, Start::Offset) {
                Start::Offset(offset) if is_halted => offset,
                Start::Offset(_) if is_cut => first_unread,
                // The client notices only when it reads that the topic was recreated.
                Start::Offset(offset) if generation != log.generation => offset,
                // As on a real cluster, only the first record shows that the records before it are gone.
                Start::Offset(offset) if self.is_simulated && offset < log.start => log.start,
                // An expelled member learns of that with its next poll. Meanwhile others process its records.
                Start::Offset(offset) if is_expelled && offset < log.start => log.start,
                start => begin(log, source, start)?,
            };
            self.reads.retain(|read| read.source != source);
            self.reads.push(OpenPartition {
                source,
                number,
                next,
                is_paused: false,
                generation,
                leader_epoch: epoch,
                is_halted,
                is_rewound: is_cut && !is_halted,
            });
        }
        self.is_open = true;
        Ok(())
    }

    fn close(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        self.reads.retain(|read| !sources.contains(&read.source));
        let mut state = self.shared.lock();
        state.require_unfenced(&self.member, self.epoch)?;
        state.group.hand_over(&self.member, sources);
        self.shared.notify(&state);
        Ok(())
    }

    /// Ignored: records come in the order in which they were appended, whatever their event time.
    fn report_progress(&mut self, _source: TopicPartition, _event_time_ms: i64) {}

    fn pause(&mut self, sources: &[TopicPartition]) {
        for read in &mut self.reads {
            read.is_paused = sources.contains(&read.source);
        }
    }

    fn position(&self, source: TopicPartition) -> Option<i64> {
        if !self.is_simulated {
            return None;
        }
        let read = self.read(source)?;
        self.shared.lock().position(read)
    }

    fn leader_epoch(&self, source: TopicPartition) -> Option<i32> {
        let read = self.read(source)?;
        let log = &self.shared.lock().logs[read.number];
        let is_known = read.generation == log.generation && !read.is_halted && !read.is_cut(log);
        // A position also passes offsets that have no readable record. They have an epoch too.
        let passed = is_known.then(|| log.epochs.before(log.next_readable(read.next)));
        read.leader_epoch.max(passed)
    }

    fn halted(&self) -> Vec<TopicPartition> {
        let stopped = self.reads.iter().filter(|read| read.is_halted);
        stopped.map(|read| read.source).collect()
    }

    fn skips_lost_records(&self) -> bool {
        self.shared.lock().skips_lost_records
    }

    fn generation(&self) -> Option<i64> {
        let state = self.shared.lock();
        if self.is_simulated {
            return state.group.round_of(&self.member);
        }
        Some(state.group.round)
    }

    fn lag(&self, source: TopicPartition) -> Option<u64> {
        let read = self.read(source)?;
        let log = &self.shared.lock().logs[read.number];
        if log.generation != read.generation {
            return None;
        }
        // Offsets that have no readable record do not count.
        let next = if self.is_simulated {
            log.next_readable(read.next)
        } else {
            read.next
        };
        u64::try_from(log.stable() - next).ok()
    }

    fn leave(&mut self) -> bool {
        let mut state = self.shared.lock();
        if state.is_fenced(&self.member, self.epoch) {
            return true;
        }
        let is_gone = state.group.leave(&self.member);
        self.shared.notify(&state);
        is_gone
    }
}

impl Transactions for MemoryClient {
    fn transactional_id(&self) -> &str {
        &self.member
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        let mut state = self.shared.look();
        state.fence(name);
        Ok(())
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        let Outgoing {
            topic,
            partition,
            key,
            value,
            ..
        } = record;
        let source = TopicPartition { topic, partition };
        let number = self.shared.layout.accept(source, key, value);
        let number = number.map_err(Failure::Config)?;
        if self.is_simulated {
            return self.send_at_once(number, &record);
        }
        self.transaction
            .push(number, now_ms(), key, value, record.headers);
        Ok(())
    }

    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        if self.is_simulated {
            self.send_offsets(positions)?;
            return self.end_commit();
        }
        let numbered = self.numbered(positions)?;
        let mut state = self.shared.lock();
        state.require_unfenced(&self.member, self.epoch)?;
        state.require_current(&self.member, positions)?;
        state.commit(&self.transaction, &numbered);
        self.transaction.clear();
        self.shared.notify(&state);
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.transaction.clear();
        let mut state = self.shared.look();
        state.require_unfenced(&self.member, self.epoch)?;
        state.end_transaction(&self.member, false);
        Ok(())
    }
}

impl TopicReader for MemoryClient {
    fn replay(
        &mut self,
        source: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        let number = self.shared.layout.require(source);
        let number = number.map_err(Failure::Config)?;
        let state = self.shared.look();
        let log = &state.logs[number];
        let (start, stable, whole) = (log.start, log.stable(), log.end);
        drop(state);
        let mut from = from.unwrap_or(start);
        if !(start..=whole).contains(&from) {
            return Ok(Replayed::Gone);
        }
        let mut batch = Batch::default();
        let end = stable.max(from);
        while from < end {
            batch.clear();
            let state = self.shared.lock();
            let before_end = state.logs[number]
                .records(from)
                .take_while(|(entry, _)| entry.offset < end);
            for (entry, parts) in before_end.take(REPLAY_RECORDS) {
                batch.push(record(source, entry, parts));
            }
            drop(state);
            batch.records().for_each(&mut *each);
            from = batch.records().last().map_or(end, |last| last.offset + 1);
        }
        match end < whole {
            true => Ok(Replayed::Held(end)),
            false => Ok(Replayed::Whole(end)),
        }
    }

    fn end_offsets(&mut self, sources: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        let state = self.shared.look();
        let ends = sources.iter().map(|source| {
            let number = self.shared.layout.require(*source)?;
            Ok(state.logs[number].end)
        });
        ends.collect::<Result<_, String>>().map_err(Failure::Config)
    }

    /// The topic's name, and how often it was recreated. That is unique, because the broker ends with its process.
    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        let name = self.shared.layout.name(topic);
        let partition = 0;
        let number = self
            .shared
            .layout
            .require(TopicPartition { topic, partition });
        let number = number.map_err(Failure::Config)?;
        let generation = self.shared.lock().logs[number].generation;
        self.generations.insert(topic, generation);
        Ok(match generation {
            0 => name,
            _ => format!("{name}#{generation}"),
        })
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        let count = self.shared.layout.partitions(topic);
        let count =
            count.ok_or_else(|| Failure::Config(format!("topic {topic:?} does not exist")))?;
        Ok(self.shared.lock().seen(topic, count))
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // A real cluster does not notice when a process dies.
        if !self.is_simulated && !state.is_fenced(&self.member, self.epoch) {
            state.group.remove(&self.member);
            self.shared.notify(&state);
        }
    }
}

fn head(log: &Log, read: usize, place: LogPosition) -> Option<Reverse<LogHead>> {
    let sequence = log.entry(place)?.sequence;
    Some(Reverse(LogHead {
        sequence,
        read,
        place,
    }))
}

/// The offset at which reading starts.
fn begin(log: &Log, source: TopicPartition, start: Start) -> Result<i64, Failure> {
    match start {
        Start::Earliest => Ok(log.start),
        Start::Latest => Ok(log.end),
        Start::Time(time) => {
            let mut records = log.records(log.start);
            let first = records.find(|(entry, _)| entry.timestamp_ms >= time);
            Ok(first.map_or(log.end, |(entry, _)| entry.offset))
        }
        // As after Kafka's retention, the trainer skips samples that are gone.
        Start::Offset(offset) if offset < log.start && source.topic == Topic::Samples => {
            Ok(log.start)
        }
        Start::Offset(offset) if (log.start..=log.end).contains(&offset) => Ok(offset),
        Start::Offset(offset) | Start::Verified { offset, .. } => Err(Failure::Config(format!(
            "offset {offset} of {source:?} is out of range: expected {} to {}",
            log.start, log.end
        ))),
    }
}

pub(crate) fn record<'a>(
    source: TopicPartition,
    entry: &LogEntry,
    parts: RecordParts<'a>,
) -> Record<'a> {
    Record {
        source,
        offset: entry.offset,
        timestamp_ms: entry.timestamp_ms,
        key: parts.key,
        value: parts.value,
        origin: parts.origin(),
    }
}

pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
