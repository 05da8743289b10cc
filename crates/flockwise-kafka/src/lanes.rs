//! The partitions that are read, each from a queue of its own.

use std::sync::Arc;
use std::time::Instant;

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Source, Topic};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use tracing::warn;

use crate::bell::Bell;
use crate::events::Events;
use crate::faults;
use crate::in_step::{Candidate, Choice, Progress, choose};
use crate::partition_queue::{Message, PartitionQueue, SLICE};

/// One open source.
pub(crate) struct Lane {
    pub(crate) source: Source,
    pub(crate) topic: String,
    /// The next offset to hand out.
    pub(crate) position: i64,
    /// Is it in librdkafka's assignment?
    pub(crate) assigned: bool,
    /// It was opened at the oldest record and has given none yet.
    pub(crate) at_oldest: bool,
    pub(crate) progress: Progress,
    queue: PartitionQueue,
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// As much as there was, or as was asked for.
    Well,
    /// There is more, held back until another partition has caught up.
    Held,
    /// The oldest record of this source was removed before it could be read.
    OldestGone(Source),
}

impl Lane {
    /// A lane whose queue is set apart, ready to be assigned.
    pub(crate) fn open(
        consumer: &Arc<BaseConsumer<Events>>,
        bell: &Bell,
        source: Source,
        topic: String,
        position: i64,
    ) -> Result<Self, Failure> {
        let queue = PartitionQueue::open(consumer, &topic, source.partition.cast_signed(), bell)
            .ok_or_else(|| faults::missing_topic(&topic))?;
        Ok(Self {
            source,
            topic,
            position,
            assigned: false,
            at_oldest: false,
            progress: Progress::default(),
            queue,
        })
    }

    /// Moves at most `most` records into the batch; how many, unless the partition is in error.
    fn read(&mut self, most: usize, batch: &mut Batch) -> Result<usize, Failure> {
        let with_origin = self.source.topic == Topic::Repartition;
        let (mut first_ms, mut last_ms, mut count) = (None, i64::MIN, 0);
        let mut error = None;
        let (source, position) = (self.source, &mut self.position);
        self.queue.take(most, |message| {
            if let Some(found) = message.error() {
                error.get_or_insert((found, message.offset()));
                return;
            }
            batch.push(record(source, message, with_origin));
            *position = message.offset() + 1;
            first_ms.get_or_insert(message.timestamp_ms());
            last_ms = last_ms.max(message.timestamp_ms());
            count += 1;
        });
        if let Some(first_ms) = first_ms {
            self.progress.read(first_ms, last_ms);
            self.at_oldest = false;
        }
        match error {
            Some(((code, reason), offset)) => self.answer(code, &reason, offset).map(|()| count),
            None => Ok(count),
        }
    }

    fn answer(&self, code: RDKafkaErrorCode, reason: &str, offset: i64) -> Result<(), Failure> {
        let (topic, partition) = (&self.topic, self.source.partition);
        match code {
            // Said once, then librdkafka is silent about this partition for ever.
            RDKafkaErrorCode::AutoOffsetReset => Err(faults::no_such_offset(
                topic,
                partition,
                if offset < 0 { self.position } else { offset },
                reason,
            )),
            RDKafkaErrorCode::TopicAuthorizationFailed => Err(Failure::Config(format!(
                "no permission to read {topic}: {reason}; give the principal Read on it"
            ))),
            RDKafkaErrorCode::PartitionEOF => Ok(()),
            _ => {
                warn!(%topic, partition, offset, %code, reason, "reading a partition");
                Ok(())
            }
        }
    }

    /// Records behind the end, where that is known.
    pub(crate) fn lag(&self) -> Option<u64> {
        let extent = self.queue.extent();
        let position = self.position.max(extent.position.unwrap_or(i64::MIN));
        extent
            .end
            .map(|end| u64::try_from(end.saturating_sub(position)).unwrap_or(0))
    }
}

impl Candidate for Lane {
    fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn place(&self) -> &Progress {
        &self.progress
    }

    fn is_ready(&self) -> bool {
        self.queue.is_ready()
    }

    fn has_backlog(&self) -> bool {
        self.lag() != Some(0)
    }
}

/// Fills the batch with at most `limit` records: of internal topics first, then of inputs in step.
/// The lanes are in the order of their sources, inputs first.
pub(crate) fn fill(
    lanes: &mut [Lane],
    max_skew_ms: i64,
    limit: usize,
    batch: &mut Batch,
) -> Result<Filled, Failure> {
    let inputs = lanes.partition_point(|lane| matches!(lane.source.topic, Topic::Input(_)));
    let (inputs, internal) = lanes.split_at_mut(inputs);
    for lane in internal.iter_mut().filter(|lane| lane.is_ready()) {
        // Never all of the room, so that inputs are not starved by what they were forwarded to.
        let room = (limit - batch.len()) / 2;
        lane.read(room.clamp(1, SLICE), batch)?;
    }
    if !inputs.iter().any(Candidate::is_ready) {
        return Ok(Filled::Well);
    }
    let now = Instant::now();
    while batch.len() < limit {
        let lane = match choose(inputs, max_skew_ms, now) {
            Choice::Read(index) => &mut inputs[index],
            Choice::Hold => return Ok(Filled::Held),
            Choice::Nothing => break,
        };
        let room = limit - batch.len();
        match lane.read(room.min(SLICE), batch) {
            Err(Failure::Config(_)) if lane.at_oldest => {
                return Ok(Filled::OldestGone(lane.source));
            }
            read => read?,
        };
    }
    Ok(Filled::Well)
}

/// The message as a record.
pub(crate) fn record<'a>(
    source: Source,
    message: &'a Message<'a>,
    with_origin: bool,
) -> Record<'a> {
    Record {
        source,
        offset: message.offset(),
        timestamp_ms: message.timestamp_ms(),
        key: message.key(),
        value: message.value(),
        origin: with_origin.then(|| message.origin()).flatten(),
    }
}
