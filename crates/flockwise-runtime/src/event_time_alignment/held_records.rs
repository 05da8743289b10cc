//! Which records are processed now, and which are held until the other input partitions have caught up.
//!
//! The event time of a record is known only once it is decoded. Records are decoded in the order in which they arrive.
//! The first record over the limit is held, and with it all later records of its partition, which is paused at the
//! broker until its held records are processed. The next records of a partition that had to wait are held without a
//! copy, and not decoded yet. When their turn comes, a run of them is decoded, up to the first record over the limit;
//! each record is decoded once. While partitions are within `max_skew` of each other, nothing is held, and alignment
//! costs one comparison a record.

use std::collections::VecDeque;
use std::time::Duration;

use crate::batch::{Batch, Record, Records};
use crate::clock::Moment;
use crate::decode_ahead::Decoded;
use crate::topics::TopicPartition;

/// Events that a worker may process further than `max_skew` ahead of the tasks of other workers, at most: if events are
/// sparse, exchanging watermarks costs more than processing them.
pub(crate) const AHEAD_OF_OTHERS: usize = 256;

/// How long a record whose schema is not known waits before it is decoded again.
const SCHEMA_RETRY: Duration = Duration::from_secs(5);

/// How closely input partitions are aligned.
#[derive(Clone, Copy, Debug)]
pub struct Alignment {
    /// No record is processed whose event time is later than the earliest next event of all partitions by more than
    /// this, milliseconds.
    pub max_skew_ms: i64,
    /// A partition that has unread records but returns none, or a task that sends no watermark, holds the others back
    /// for this long at most.
    pub idle_timeout: Duration,
}

/// The held records of a partition: read, but not yet processed.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) records: Records,
    /// Index of the first record that is not processed.
    pub(crate) next: usize,
    /// The content of that record, if `head_is_decoded`.
    pub(crate) head: Decoded,
    pub(crate) head_is_decoded: bool,
}

impl Run {
    /// Number of records that are not processed.
    pub(crate) fn len(&self) -> usize {
        self.records.len().saturating_sub(self.next)
    }
}

/// One input partition that the worker reads.
#[derive(Debug)]
struct AlignedPartition {
    topic_partition: TopicPartition,
    /// The latest event time processed, milliseconds since the epoch; `i64::MIN`: none.
    reached_ms: i64,
    run: Run,
    /// Event time of the first held record; a lower bound of it if the record is not decoded.
    head_ms: i64,
    /// A record of its present or last run was over the limit: the next ones probably are, too.
    has_waited: bool,
    /// The present batch has no record of it from this index on.
    batch_end: usize,
    /// Since when it has had unread records but has returned none, or none that can be decoded.
    silent_since: Option<Moment>,
    /// When its first held record was last decoded, if that failed because its schema is not known.
    schema_tried: Option<Moment>,
    /// Does the broker have records that the last poll did not return? `None`: not asked since that poll.
    has_unread: Option<bool>,
}

impl AlignedPartition {
    fn new(topic_partition: TopicPartition, reached_ms: i64) -> Self {
        Self {
            topic_partition,
            reached_ms,
            run: Run::default(),
            head_ms: reached_ms,
            has_waited: false,
            batch_end: 0,
            silent_since: None,
            schema_tried: None,
            has_unread: None,
        }
    }

    fn held(&self) -> usize {
        self.run.len()
    }

    fn has_unread(&mut self, context: &impl AlignmentContext) -> bool {
        let topic_partition = self.topic_partition;
        *self
            .has_unread
            .get_or_insert_with(|| context.has_unread(topic_partition))
    }

    /// A lower bound of its next event's time while it returns none; `None` if that has lasted too long.
    fn next_while_silent(
        &mut self,
        context: &impl AlignmentContext,
        idle_timeout: Duration,
    ) -> Option<i64> {
        let now = context.now();
        let since = *self.silent_since.get_or_insert(now);
        (now.since(since) < idle_timeout).then_some(self.reached_ms)
    }

    /// Sets the event time of the first held record; `None` if it is not decoded.
    fn set_head(&mut self, head_ms: Option<i64>) {
        self.head_ms = head_ms.unwrap_or(self.reached_ms);
    }
}

/// The input partitions that a worker reads in step.
///
/// Invariants: records of a partition are processed in offset order, each once. A partition with held records is paused
/// at the broker.
#[derive(Debug)]
pub(crate) struct AlignedPartitions {
    /// Sorted by source.
    partitions: Vec<AlignedPartition>,
    /// Index of the partition that was looked up last: the next lookup is usually for the same one.
    latest: usize,
    /// Event times of the last [`AHEAD_OF_OTHERS`] events, in the order of processing.
    recent_ms: VecDeque<i64>,
    alignment: Alignment,
}

/// Whether it is time to retry a record whose schema was unknown.
fn is_due(tried: Option<Moment>, now: Moment) -> bool {
    tried.is_none_or(|tried| now.since(tried) >= SCHEMA_RETRY)
}

/// Event times up to which records may be processed, milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The limit by the worker's own partitions.
    pub(crate) own_ms: i64,
    /// The limit by the tasks of other workers; [`AHEAD_OF_OTHERS`] events may be over it.
    pub(crate) others_ms: i64,
}

impl Limits {
    /// Events up to this time need no further check.
    pub(crate) fn lower_ms(self) -> i64 {
        self.own_ms.min(self.others_ms)
    }
}

/// What the limits depend on besides the worker's own partitions.
pub(crate) trait AlignmentContext {
    /// Does the broker have records of the partition that no poll has returned? `true` if that is unknown.
    fn has_unread(&self, topic_partition: TopicPartition) -> bool;
    /// The lowest watermark of other workers' tasks; `i64::MAX` if none holds this worker back.
    fn others_ms(&self) -> i64;
    /// The present moment, to measure how long a partition has been silent.
    fn now(&self) -> Moment;
}

impl AlignedPartitions {
    pub(crate) fn new(alignment: Alignment) -> Self {
        Self {
            partitions: Vec::new(),
            latest: 0,
            recent_ms: VecDeque::with_capacity(AHEAD_OF_OTHERS),
            alignment,
        }
    }

    /// Starts to read a partition, or reads it again from another offset, and drops its held records. Its events up to
    /// `reached_ms` are processed.
    pub(crate) fn open(&mut self, topic_partition: TopicPartition, reached_ms: i64) {
        let partition = AlignedPartition::new(topic_partition, reached_ms);
        match self.find(topic_partition) {
            Ok(index) => self.partitions[index] = partition,
            Err(index) => self.partitions.insert(index, partition),
        }
    }

    /// Stops reading these partitions.
    pub(crate) fn close(&mut self, topic_partitions: &[TopicPartition]) {
        self.partitions
            .retain(|partition| !topic_partitions.contains(&partition.topic_partition));
    }

    fn find(&self, topic_partition: TopicPartition) -> Result<usize, usize> {
        self.partitions
            .binary_search_by_key(&topic_partition, |partition| partition.topic_partition)
    }

    fn partition(&mut self, topic_partition: TopicPartition) -> Option<&mut AlignedPartition> {
        let is_latest = |partition: &AlignedPartition| partition.topic_partition == topic_partition;
        if !self.partitions.get(self.latest).is_some_and(is_latest) {
            self.latest = self.find(topic_partition).ok()?;
        }
        self.partitions.get_mut(self.latest)
    }

    /// Notes where each partition's records end in a new batch.
    pub(crate) fn begin(&mut self, batch: &Batch) {
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.batch_end = 0);
        for (position, topic_partition) in batch.topic_partitions().enumerate() {
            if let Some(partition) = self.partition(topic_partition) {
                partition.batch_end = position + 1;
                partition.silent_since = None;
            }
        }
    }

    /// The broker was polled: it must be asked again, once and only if needed, which partitions have unread records.
    pub(crate) fn polled(&mut self) {
        let aligned = self.partitions.iter_mut();
        aligned.for_each(|partition| partition.has_unread = None);
    }

    /// The present batch is finished.
    pub(crate) fn end(&mut self) {
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.batch_end = 0);
    }

    /// Number of held records of a partition.
    pub(crate) fn held(&self, topic_partition: TopicPartition) -> usize {
        self.find(topic_partition)
            .map_or(0, |index| self.partitions[index].held())
    }

    /// Offset of the first held record of a partition; `None` if it has none.
    pub(crate) fn first_held(&self, topic_partition: TopicPartition) -> Option<i64> {
        let partition = &self.partitions[self.find(topic_partition).ok()?];
        (partition.held() > 0).then(|| partition.run.records.get(partition.run.next).offset)
    }

    /// The partitions with held records.
    pub(crate) fn holding(&self) -> impl Iterator<Item = TopicPartition> {
        let holding = self
            .partitions
            .iter()
            .filter(|partition| partition.held() > 0);
        holding.map(|partition| partition.topic_partition)
    }

    /// Does a held record wait for something else than its schema?
    pub(crate) fn is_waiting_for_others(&self, now: Moment) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.any(|partition| partition.held() > 0 && is_due(partition.schema_tried, now))
    }

    /// The latest event time processed in a partition; `i64::MAX` if the partition is not open.
    pub(crate) fn reached_ms(&mut self, topic_partition: TopicPartition) -> i64 {
        self.partition(topic_partition)
            .map_or(i64::MAX, |partition| partition.reached_ms)
    }

    /// Notes that an event with this time was processed.
    pub(crate) fn reach(&mut self, topic_partition: TopicPartition, time_ms: i64) {
        if let Some(partition) = self.partition(topic_partition) {
            partition.reached_ms = partition.reached_ms.max(time_ms);
        }
        if self.recent_ms.len() == AHEAD_OF_OTHERS {
            self.recent_ms.pop_front();
        }
        self.recent_ms.push_back(time_ms);
    }

    /// Does the partition have held records?
    pub(crate) fn is_holding(&mut self, topic_partition: TopicPartition) -> bool {
        self.partition(topic_partition)
            .is_some_and(|partition| partition.held() > 0)
    }

    /// The next record of a partition, which is or will be held, cannot be decoded until its schema is known.
    pub(crate) fn await_schema(&mut self, topic_partition: TopicPartition, now: Moment) {
        if let Some(partition) = self.partition(topic_partition) {
            partition.schema_tried = Some(now);
        }
    }

    /// The schema that a partition waited for is known.
    pub(crate) fn schema_found(&mut self, topic_partition: TopicPartition) {
        if let Some(partition) = self.partition(topic_partition) {
            partition.schema_tried = None;
            partition.silent_since = None;
        }
    }

    /// Does the partition wait for a schema?
    pub(crate) fn awaits_schema(&mut self, topic_partition: TopicPartition) -> bool {
        self.partition(topic_partition)
            .is_some_and(|partition| partition.schema_tried.is_some())
    }

    /// Number of partitions that wait for a schema.
    pub(crate) fn awaiting_schema(&self) -> usize {
        let partitions = self.partitions.iter();
        partitions
            .filter(|partition| partition.schema_tried.is_some())
            .count()
    }

    /// Holds a record. `time_ms` is its event time, which is over the limit; `None` if it is not decoded.
    pub(crate) fn hold(&mut self, record: Record<'_>, time_ms: Option<i64>) {
        if let Some(partition) = self.partition(record.topic_partition) {
            if partition.held() == 0 {
                partition.set_head(time_ms);
                partition.has_waited = false;
            }
            partition.has_waited |= time_ms.is_some();
            partition.run.records.push(record);
        }
    }

    /// Diverts the next poll's records of partitions that had to wait and hold none now: they are held without a copy.
    pub(crate) fn divert(&mut self, batch: &mut Batch) {
        let waiting = self.partitions.iter_mut();
        let waiting = waiting.filter(|partition| partition.has_waited && partition.held() == 0);
        batch.divert(waiting.map(|partition| {
            (
                partition.topic_partition,
                std::mem::take(&mut partition.run.records),
            )
        }));
    }

    /// Holds the diverted records.
    pub(crate) fn hold_diverted(&mut self, batch: &mut Batch) {
        for (topic_partition, records) in batch.take_diverted() {
            let Some(partition) = self.partition(topic_partition) else {
                continue;
            };
            partition.run.records = records;
            if partition.held() > 0 {
                partition.set_head(None);
                partition.has_waited = false;
                partition.silent_since = None;
            }
        }
    }

    /// The event times up to which records may be processed now. `next` is the partition and event time of the next
    /// record, if that is decoded; `position` is its index in the batch, `usize::MAX` for held records.
    pub(crate) fn limits(
        &mut self,
        next: Option<(TopicPartition, i64)>,
        position: usize,
        context: &impl AlignmentContext,
    ) -> Limits {
        let earliest = self.earliest(next, position, context);
        let own_ms = earliest.map_or(i64::MAX, |(_, ms)| ms);
        let max_skew_ms = self.alignment.max_skew_ms;
        Limits {
            own_ms: own_ms.saturating_add(max_skew_ms),
            others_ms: context.others_ms().saturating_add(max_skew_ms),
        }
    }

    /// May an event with this time be processed?
    pub(crate) fn admits(&self, time_ms: i64, limits: Limits) -> bool {
        time_ms <= self.limit_ms(limits)
    }

    fn limit_ms(&self, limits: Limits) -> i64 {
        let oldest = self.recent_ms.front();
        let has_room = self.recent_ms.len() < AHEAD_OF_OTHERS
            || oldest.is_some_and(|oldest_ms| *oldest_ms <= limits.others_ms);
        match has_room {
            true => limits.own_ms,
            false => limits.lower_ms(),
        }
    }

    /// The partition with the earliest next event, and a lower bound of that event's time; `None` if none has a next
    /// event or all are silent.
    fn earliest(
        &mut self,
        next: Option<(TopicPartition, i64)>,
        position: usize,
        context: &impl AlignmentContext,
    ) -> Option<(TopicPartition, i64)> {
        self.earliest_of(|_| true, next, position, context)
    }

    fn earliest_of(
        &mut self,
        selects: impl Fn(TopicPartition) -> bool,
        next: Option<(TopicPartition, i64)>,
        position: usize,
        context: &impl AlignmentContext,
    ) -> Option<(TopicPartition, i64)> {
        let idle_timeout = self.alignment.idle_timeout;
        let next_of = |partition: &mut AlignedPartition| match next {
            Some((topic_partition, time_ms)) if topic_partition == partition.topic_partition => {
                Some(time_ms)
            }
            _ if partition.schema_tried.is_some() => {
                partition.next_while_silent(context, idle_timeout)
            }
            _ if partition.held() > 0 => Some(partition.head_ms),
            _ if partition.batch_end > position => Some(partition.reached_ms),
            _ if partition.has_unread(context) => {
                partition.next_while_silent(context, idle_timeout)
            }
            _ => {
                partition.silent_since = None;
                None
            }
        };
        let nexts = self
            .partitions
            .iter_mut()
            .filter(|partition| selects(partition.topic_partition));
        let nexts =
            nexts.filter_map(|partition| Some((partition.topic_partition, next_of(partition)?)));
        nexts.min_by_key(|(_, next_ms)| *next_ms)
    }

    /// The event time before which no event of these partitions can come, as far as is known; `None` if they are read
    /// to their ends or silent.
    pub(crate) fn watermark_ms(
        &mut self,
        selects: impl Fn(TopicPartition) -> bool,
        context: &impl AlignmentContext,
    ) -> Option<i64> {
        let earliest = self.earliest_of(selects, None, usize::MAX, context);
        earliest.map(|(_, next_ms)| next_ms)
    }

    /// The partition of this worker that the held records wait for; `None` if they wait for another worker.
    pub(crate) fn held_back_by(
        &mut self,
        context: &impl AlignmentContext,
    ) -> Option<TopicPartition> {
        let earliest = self.earliest(None, usize::MAX, context);
        let (topic_partition, next_ms) = earliest?;
        (next_ms <= context.others_ms()).then_some(topic_partition)
    }

    /// The partition with the earliest held record, if that record may be processed. One that waits for a schema is left
    /// out until it is tried again.
    pub(crate) fn releasable(&self, limits: Limits, now: Moment) -> Option<TopicPartition> {
        let holding = self
            .partitions
            .iter()
            .filter(|partition| partition.held() > 0 && is_due(partition.schema_tried, now));
        let first = holding.min_by_key(|partition| partition.head_ms)?;
        self.admits(first.head_ms, limits)
            .then_some(first.topic_partition)
    }

    /// Takes the held records of a partition. Return them with [`AlignedPartitions::put_back`].
    pub(crate) fn take(&mut self, topic_partition: TopicPartition) -> Option<Run> {
        Some(std::mem::take(&mut self.partition(topic_partition)?.run))
    }

    /// Returns a run of which some records were processed. `head_ms` is the event time of the next one, which is over
    /// the limit; `None` if it is not decoded.
    pub(crate) fn put_back(
        &mut self,
        topic_partition: TopicPartition,
        mut run: Run,
        head_ms: Option<i64>,
    ) {
        let Some(partition) = self.partition(topic_partition) else {
            return;
        };
        if run.len() == 0 {
            run.records.clear();
            run.next = 0;
        }
        partition.run = run;
        partition.has_waited |= head_ms.is_some();
        partition.set_head(head_ms);
    }

    /// How far the furthest partition is ahead of the earliest next event of all workers, milliseconds of event time. 0
    /// if nothing is left to process, or if the earliest time is unknown.
    pub(crate) fn skew_ms(&mut self, context: &impl AlignmentContext) -> i64 {
        let own = self.earliest(None, usize::MAX, context);
        let earliest_ms = own.map_or(i64::MAX, |(_, ms)| ms).min(context.others_ms());
        if earliest_ms == i64::MAX {
            return 0;
        }
        let reached = self.partitions.iter().map(|partition| partition.reached_ms);
        let latest_ms = reached.max().unwrap_or(earliest_ms);
        match earliest_ms {
            i64::MIN => 0,
            _ => latest_ms.saturating_sub(earliest_ms).max(0),
        }
    }
}

#[cfg(test)]
mod tests;
