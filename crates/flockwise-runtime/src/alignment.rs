//! Event-time alignment: which records are processed now, and which are kept until the other input partitions
//! have come as far.
//!
//! The event time of a record is known only once it is decoded. Records are decoded in the order in which they come.
//! The first one that is beyond the limit is kept, and with it what follows in its partition; the broker gives no more
//! of that partition until what is kept is processed. Of a partition that had to wait, the next records are kept without
//! a copy or a look at them. A run of them is decoded when its turn has come, up to the first record that is beyond the
//! limit; each is decoded once. While partitions are within `max_skew` of each other nothing
//! is kept, and this costs a comparison a record.

use std::collections::VecDeque;
use std::time::Duration;

use crate::batch::{Batch, Record, Records};
use crate::clock::Moment;
use crate::decode_ahead::Decoded;
use crate::topics::TopicPartition;

/// Events of one worker that may be further ahead of the tasks of other workers than `max_skew`, at most: where events
/// are sparse, telling each other costs more than they do.
pub(crate) const AHEAD_OF_OTHERS: usize = 256;

/// By what input partitions are aligned.
#[derive(Clone, Copy, Debug)]
pub struct Alignment {
    /// No record is processed whose event time is later than the earliest next event by more than this,
    /// milliseconds.
    pub max_skew_ms: i64,
    /// A partition that has unread records and gives none, or a task that is not heard of, holds the others back no
    /// longer than this.
    pub idle_timeout: Duration,
}

/// Records of a partition that were read and not yet processed.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) kept: Records,
    /// The next of them; those before it are processed.
    pub(crate) next: usize,
    /// What is in the next of them, where that is known.
    pub(crate) head: Decoded,
    pub(crate) head_is_decoded: bool,
}

impl Run {
    /// Records that were not processed.
    pub(crate) fn len(&self) -> usize {
        self.kept.len().saturating_sub(self.next)
    }
}

/// One input partition that the worker reads.
#[derive(Debug)]
struct AlignedPartition {
    source: TopicPartition,
    /// The latest event time processed; `i64::MIN`: none.
    reached_ms: i64,
    run: Run,
    /// Event time of the first record kept, or a time that it is not before.
    head_ms: i64,
    /// A record of it was beyond the limit since it last kept none: the next ones are likely to be.
    has_waited: bool,
    /// Records of the present batch from here on are none of its own.
    batch_end: usize,
    /// Since when it has had unread records and has given none.
    silent_since: Option<Moment>,
    /// Has it records that were not handed out by the last poll? `None`: not asked since.
    has_unread: Option<bool>,
}

impl AlignedPartition {
    fn new(source: TopicPartition, reached_ms: i64) -> Self {
        Self {
            source,
            reached_ms,
            run: Run::default(),
            head_ms: reached_ms,
            has_waited: false,
            batch_end: 0,
            silent_since: None,
            has_unread: None,
        }
    }

    fn keeps(&self) -> usize {
        self.run.len()
    }

    fn has_unread(&mut self, context: &impl AlignmentContext) -> bool {
        let source = self.source;
        *self
            .has_unread
            .get_or_insert_with(|| context.has_unread(source))
    }

    /// The first record kept is beyond the limit, at this time, or was not looked at.
    fn set_head(&mut self, beyond_ms: Option<i64>) {
        self.head_ms = beyond_ms.unwrap_or(self.reached_ms);
    }
}

/// The input partitions that a worker reads, in step.
///
/// Invariants: records of a partition are processed in their order, each once; of a partition that keeps records
/// the broker gives no more.
#[derive(Debug)]
pub(crate) struct AlignedPartitions {
    /// Sorted by source.
    partitions: Vec<AlignedPartition>,
    latest: usize,
    /// Times of the last events processed, in that order.
    recent_ms: VecDeque<i64>,
    alignment: Alignment,
}

/// Event times up to which records may be processed, milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// By the worker's own partitions.
    pub(crate) own_ms: i64,
    /// By the tasks of other workers; [`AHEAD_OF_OTHERS`] events may be beyond it.
    pub(crate) others_ms: i64,
}

impl Limits {
    /// Up to here nothing needs to be looked at.
    pub(crate) fn lower_ms(self) -> i64 {
        self.own_ms.min(self.others_ms)
    }
}

/// What the limit is made of that only the worker knows.
pub(crate) trait AlignmentContext {
    /// Has the partition records that were not handed out yet, as far as is known?
    fn has_unread(&self, source: TopicPartition) -> bool;
    /// The event time that the tasks of other workers have reached, the last of them.
    fn others_ms(&self) -> i64;
    /// The present moment, by which partitions are silent.
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

    /// Begins to read a partition, or reads it again from elsewhere, where events up to `reached_ms` were
    /// processed: what was kept of it is dropped.
    pub(crate) fn open(&mut self, source: TopicPartition, reached_ms: i64) {
        let partition = AlignedPartition::new(source, reached_ms);
        match self.find(source) {
            Ok(index) => self.partitions[index] = partition,
            Err(index) => self.partitions.insert(index, partition),
        }
    }

    /// Reads a partition no more.
    pub(crate) fn close(&mut self, sources: &[TopicPartition]) {
        self.partitions
            .retain(|partition| !sources.contains(&partition.source));
    }

    fn find(&self, source: TopicPartition) -> Result<usize, usize> {
        self.partitions
            .binary_search_by_key(&source, |partition| partition.source)
    }

    fn partition(&mut self, source: TopicPartition) -> Option<&mut AlignedPartition> {
        let is_latest = |partition: &AlignedPartition| partition.source == source;
        if !self.partitions.get(self.latest).is_some_and(is_latest) {
            self.latest = self.find(source).ok()?;
        }
        self.partitions.get_mut(self.latest)
    }

    /// Notes which partitions the records of a new batch are of.
    pub(crate) fn begin(&mut self, batch: &Batch) {
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.batch_end = 0);
        for (place, source) in batch.sources().enumerate() {
            if let Some(partition) = self.partition(source) {
                partition.batch_end = place + 1;
                partition.silent_since = None;
            }
        }
    }

    /// The broker has been polled: what each partition has unread is asked again, once, when it matters.
    pub(crate) fn polled(&mut self) {
        let aligned = self.partitions.iter_mut();
        aligned.for_each(|partition| partition.has_unread = None);
    }

    /// The present batch has been dealt with.
    pub(crate) fn end(&mut self) {
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.batch_end = 0);
    }

    /// How many records of the partition are kept.
    pub(crate) fn kept(&self, source: TopicPartition) -> usize {
        self.find(source)
            .map_or(0, |index| self.partitions[index].keeps())
    }

    /// Offset of the first record of the partition that is kept.
    pub(crate) fn first_kept(&self, source: TopicPartition) -> Option<i64> {
        let partition = &self.partitions[self.find(source).ok()?];
        (partition.keeps() > 0).then(|| partition.run.kept.get(partition.run.next).offset)
    }

    /// The partitions of which records are kept.
    pub(crate) fn holding(&self) -> impl Iterator<Item = TopicPartition> {
        let holding = self
            .partitions
            .iter()
            .filter(|partition| partition.keeps() > 0);
        holding.map(|partition| partition.source)
    }

    /// The event time that the partition has reached.
    pub(crate) fn reached_ms(&mut self, source: TopicPartition) -> i64 {
        self.partition(source)
            .map_or(i64::MAX, |partition| partition.reached_ms)
    }

    /// An event of this time has been processed.
    pub(crate) fn reach(&mut self, source: TopicPartition, time_ms: i64) {
        if let Some(partition) = self.partition(source) {
            partition.reached_ms = partition.reached_ms.max(time_ms);
        }
        if self.recent_ms.len() == AHEAD_OF_OTHERS {
            self.recent_ms.pop_front();
        }
        self.recent_ms.push_back(time_ms);
    }

    /// Are records of the partition kept?
    pub(crate) fn keeps(&mut self, source: TopicPartition) -> bool {
        self.partition(source)
            .is_some_and(|partition| partition.keeps() > 0)
    }

    /// Keeps a record that is beyond the limit, at this time, or was not looked at.
    pub(crate) fn keep(&mut self, record: Record<'_>, beyond_ms: Option<i64>) {
        if let Some(partition) = self.partition(record.source) {
            if partition.keeps() == 0 {
                partition.set_head(beyond_ms);
                partition.has_waited = false;
            }
            partition.has_waited |= beyond_ms.is_some();
            partition.run.kept.push(record);
        }
    }

    /// Sets the records apart that come of partitions which had to wait and keep none: they are kept without a copy.
    pub(crate) fn set_apart(&mut self, batch: &mut Batch) {
        let waiting = self.partitions.iter_mut();
        let waiting = waiting.filter(|partition| partition.has_waited && partition.keeps() == 0);
        batch.set_apart(
            waiting.map(|partition| (partition.source, std::mem::take(&mut partition.run.kept))),
        );
    }

    /// Keeps what was set apart.
    pub(crate) fn keep_apart(&mut self, batch: &mut Batch) {
        for (source, kept) in batch.take_apart() {
            let Some(partition) = self.partition(source) else {
                continue;
            };
            partition.run.kept = kept;
            if partition.keeps() > 0 {
                partition.set_head(None);
                partition.has_waited = false;
                partition.silent_since = None;
            }
        }
    }

    /// The event times up to which records may be processed now, where the next of `source` has this time and is
    /// at this place of the batch.
    pub(crate) fn limits(
        &mut self,
        next: Option<(TopicPartition, i64)>,
        place: usize,
        context: &impl AlignmentContext,
    ) -> Limits {
        let earliest = self.earliest(next, place, context);
        let own_ms = earliest.map_or(i64::MAX, |(_, ms)| ms);
        let max_skew_ms = self.alignment.max_skew_ms;
        Limits {
            own_ms: own_ms.saturating_add(max_skew_ms),
            others_ms: context.others_ms().saturating_add(max_skew_ms),
        }
    }

    /// May an event of this time be processed?
    pub(crate) fn admits(&self, time_ms: i64, limits: Limits) -> bool {
        time_ms <= self.reaches_to_ms(limits)
    }

    fn reaches_to_ms(&self, limits: Limits) -> i64 {
        let oldest = self.recent_ms.front();
        let has_room = self.recent_ms.len() < AHEAD_OF_OTHERS
            || oldest.is_some_and(|oldest_ms| *oldest_ms <= limits.others_ms);
        match has_room {
            true => limits.own_ms,
            false => limits.lower_ms(),
        }
    }

    /// The partition whose next event is the earliest, and the time before which that is not.
    fn earliest(
        &mut self,
        next: Option<(TopicPartition, i64)>,
        place: usize,
        context: &impl AlignmentContext,
    ) -> Option<(TopicPartition, i64)> {
        self.earliest_of(|_| true, next, place, context)
    }

    fn earliest_of(
        &mut self,
        counts: impl Fn(TopicPartition) -> bool,
        next: Option<(TopicPartition, i64)>,
        place: usize,
        context: &impl AlignmentContext,
    ) -> Option<(TopicPartition, i64)> {
        let idle_timeout = self.alignment.idle_timeout;
        let next_of = |partition: &mut AlignedPartition| match next {
            Some((source, time_ms)) if source == partition.source => Some(time_ms),
            _ if partition.keeps() > 0 => Some(partition.head_ms),
            _ if partition.batch_end > place => Some(partition.reached_ms),
            _ if partition.has_unread(context) => {
                let now = context.now();
                let since = *partition.silent_since.get_or_insert(now);
                (now.since(since) < idle_timeout).then_some(partition.reached_ms)
            }
            _ => {
                partition.silent_since = None;
                None
            }
        };
        let nexts = self
            .partitions
            .iter_mut()
            .filter(|partition| counts(partition.source));
        let nexts = nexts.filter_map(|partition| Some((partition.source, next_of(partition)?)));
        nexts.min_by_key(|(_, next_ms)| *next_ms)
    }

    /// The event time before which no event of these partitions is to come, as far as is known.
    pub(crate) fn watermark_ms(
        &mut self,
        counts: impl Fn(TopicPartition) -> bool,
        context: &impl AlignmentContext,
    ) -> Option<i64> {
        let earliest = self.earliest_of(counts, None, usize::MAX, context);
        earliest.map(|(_, next_ms)| next_ms)
    }

    /// The partition that the records kept wait for, where it is one of this worker.
    pub(crate) fn held_back_by(
        &mut self,
        context: &impl AlignmentContext,
    ) -> Option<TopicPartition> {
        let earliest = self.earliest(None, usize::MAX, context);
        let (source, next_ms) = earliest?;
        (next_ms <= context.others_ms()).then_some(source)
    }

    /// Of the partitions with records kept, that with the earliest one, if it may be processed.
    pub(crate) fn released(&self, limits: Limits) -> Option<TopicPartition> {
        let holding = self
            .partitions
            .iter()
            .filter(|partition| partition.keeps() > 0);
        let first = holding.min_by_key(|partition| partition.head_ms)?;
        self.admits(first.head_ms, limits).then_some(first.source)
    }

    /// Takes what is kept of a partition. Give it back with [`AlignedPartitions::put_back`].
    pub(crate) fn take(&mut self, source: TopicPartition) -> Option<Run> {
        Some(std::mem::take(&mut self.partition(source)?.run))
    }

    /// Some of what was taken has been processed; the next record has this time, or was not looked at.
    pub(crate) fn put_back(
        &mut self,
        source: TopicPartition,
        mut run: Run,
        beyond_ms: Option<i64>,
    ) {
        let Some(partition) = self.partition(source) else {
            return;
        };
        if run.len() == 0 {
            run.kept.clear();
            run.next = 0;
        }
        partition.run = run;
        partition.has_waited |= beyond_ms.is_some();
        partition.set_head(beyond_ms);
    }

    /// Event time between the partition that is furthest and the earliest next event, of those that have more
    /// to process; milliseconds.
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
