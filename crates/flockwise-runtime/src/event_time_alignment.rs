//! Event-time alignment: a worker processes its input partitions in step by event time.

mod held_records;
mod process_in_step;

use crate::batch::Batch;
use crate::broker::{Broker, GroupConsumer};
use crate::clock::{Clock, Moment};
use crate::topics::TopicPartition;
use flockwise_vocabulary::task_id::TaskId;
use held_records::{AlignedPartitions, AlignmentContext};

pub use held_records::Alignment;

/// Held records that one call processes, at most: commits and rebalances must not wait.
const MAX_RELEASED_PER_CALL: usize = 1000;

/// The input partitions of a worker, and their held records, which wait for other partitions.
pub(crate) struct InputAlignment {
    partitions: AlignedPartitions,
    /// Event time up to which records may be processed, as last computed; milliseconds since the epoch.
    limit_ms: i64,
    /// Partitions that are paused at the broker.
    paused: Vec<TopicPartition>,
    /// The moment up to which the metric counts waiting time.
    wait_counted: Moment,
}

impl InputAlignment {
    pub(crate) fn new(alignment: Alignment, now: Moment) -> Self {
        Self {
            partitions: AlignedPartitions::new(alignment),
            limit_ms: i64::MIN,
            paused: Vec::new(),
            wait_counted: now,
        }
    }

    /// Number of held records of a partition.
    pub(crate) fn kept(&self, topic_partition: TopicPartition) -> usize {
        self.partitions.held(topic_partition)
    }

    /// Is any record held?
    pub(crate) fn is_holding(&self) -> bool {
        self.partitions.holding().next().is_some()
    }

    /// Number of partitions whose next record has a schema that is not known.
    pub(crate) fn awaiting_schema(&self) -> usize {
        self.partitions.awaiting_schema()
    }

    /// Polls. Records of partitions that had to wait are held without a copy: see [`AlignedPartitions::divert`].
    pub(crate) fn poll<T>(&mut self, batch: &mut Batch, poll: impl FnOnce(&mut Batch) -> T) -> T {
        self.partitions.divert(batch);
        let polled = poll(batch);
        self.partitions.hold_diverted(batch);
        self.partitions.polled();
        polled
    }

    /// The watermark of the partitions that `selects` accepts: see [`AlignedPartitions::watermark_ms`].
    pub(crate) fn watermark_ms(
        &mut self,
        selects: impl Fn(TopicPartition) -> bool,
        context: &impl AlignmentContext,
    ) -> Option<i64> {
        self.partitions.watermark_ms(selects, context)
    }
}

/// What alignment depends on: a worker's broker and clock, and the watermarks of other workers.
pub(crate) struct WorkerAlignment<'a, B> {
    broker: &'a B,
    clock: &'a Clock,
    /// The lowest watermark of other workers; `i64::MAX`: none holds this one back.
    others_ms: i64,
}

impl<'a, B> WorkerAlignment<'a, B> {
    /// `furthest_behind`: the task of another worker that this one waits for, and its watermark.
    pub(crate) fn new(
        broker: &'a B,
        clock: &'a Clock,
        furthest_behind: Option<(TaskId, i64)>,
    ) -> Self {
        Self {
            broker,
            clock,
            others_ms: furthest_behind.map_or(i64::MAX, |(_, watermark_ms)| watermark_ms),
        }
    }
}

impl<B: Broker> AlignmentContext for WorkerAlignment<'_, B> {
    fn has_unread(&self, topic_partition: TopicPartition) -> bool {
        self.broker.lag(topic_partition) != Some(0)
    }

    fn others_ms(&self) -> i64 {
        self.others_ms
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }
}

/// Whether a record was processed.
enum RecordOutcome {
    Processed,
    /// Its event time is over the limit; `i64::MAX` if an earlier record of its partition is held. `None`: its schema is
    /// not known.
    Held(Option<i64>),
}

/// The offset of the next record of a partition that is not processed; `None` if it is unknown.
pub(crate) fn next_offset(
    broker: &impl GroupConsumer,
    alignment: &InputAlignment,
    topic_partition: TopicPartition,
) -> Option<i64> {
    alignment
        .partitions
        .first_held(topic_partition)
        .or_else(|| broker.position(topic_partition))
}
