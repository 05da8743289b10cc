//! Readers of partitions, each with its own queue.

use std::sync::Arc;
use std::time::Instant;

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, TopicPartition};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use tracing::warn;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::corrupt_batch::{CorruptBatch, SliceErrors, is_corrupt};
use crate::data_loss::Halted;
use crate::fair_share::{FairShare, internal_room};
use crate::next_partition::{Choice, ReadProgress, ReadablePartition, choose};
use crate::partition_queue::{Message, PartitionQueue, SLICE_RECORDS};
use crate::truncation::Truncation;
use crate::wakeup::Wakeup;

/// Records taken at a time from a partition that waits for others: the records of all partitions should stay
/// in the processor's cache until their turn.
const WAITING_SLICE_RECORDS: usize = 64;

/// Reads one open partition.
pub(crate) struct PartitionReader {
    pub(crate) topic_partition: TopicPartition,
    pub(crate) topic: String,
    /// The next offset to deliver.
    pub(crate) position: i64,
    /// Leader epoch up to which the partition had been read when it was opened.
    pub(crate) opened_in_epoch: Option<i32>,
    /// Is the partition in librdkafka's assignment?
    pub(crate) assigned: bool,
    /// Opened at the oldest record, with no record delivered yet.
    pub(crate) at_oldest: bool,
    /// A record has been delivered since it was opened.
    pub(crate) has_read: bool,
    /// How often it was reopened since the last delivered record.
    pub(crate) reopened: u32,
    pub(crate) progress: ReadProgress,
    /// Paused: no record is to be delivered for now.
    pub(crate) is_held: bool,
    /// Paused since the last delivered record: the next ones are likely to wait as well.
    pub(crate) was_held: bool,
    /// The error that ended reading. librdkafka reports it once, and then nothing more about the partition.
    pub(crate) broken: Option<ReadError>,
    /// The latest timestamp set by the broker, milliseconds since the epoch; `None` if producers set them.
    pub(crate) log_append_ms: Option<i64>,
    queue: PartitionQueue,
}

/// An error after which a partition is no longer read.
#[derive(Clone, Debug)]
pub(crate) enum ReadError {
    /// librdkafka reports that the record at the position is gone, or, with a truncation, those before it. Whether that
    /// is true, and what to do about it, is not decided yet.
    Gone(Option<Truncation>),
    /// Records are lost, and the partition stays halted.
    Halted(Halted),
    /// The next batch cannot be read. The position stays before it, and the queue is not read again.
    Corrupt(CorruptBatch),
    /// The principal may not read it. Says what to do.
    Forbidden(String),
}

/// The outcome of [`fill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillOutcome {
    /// The batch holds all fetched records, or as many as requested.
    Complete,
    /// Fetched records are held back until another partition catches up.
    Held,
    /// librdkafka reports lost records of this partition.
    Gone(TopicPartition),
}

impl PartitionReader {
    /// A reader with a separate queue, ready to be assigned.
    pub(crate) fn open(
        consumer: &Arc<BaseConsumer<KafkaContext>>,
        wakeup: &Wakeup,
        topic_partition: TopicPartition,
        topic: String,
        position: i64,
    ) -> Result<Self, Failure> {
        let queue = PartitionQueue::open(
            consumer,
            &topic,
            topic_partition.partition.cast_signed(),
            wakeup,
        )
        .ok_or_else(|| classify_error::missing_topic(&topic))?;
        Ok(Self {
            topic_partition,
            topic,
            position,
            opened_in_epoch: None,
            assigned: false,
            at_oldest: false,
            has_read: false,
            reopened: 0,
            progress: ReadProgress::default(),
            is_held: false,
            was_held: false,
            broken: None,
            log_append_ms: None,
            queue,
        })
    }

    /// The next offset to read, past control records and aborted records.
    pub(crate) fn next_offset(&self) -> i64 {
        // librdkafka's own position is past the corrupt batch.
        if self.is_corrupt() {
            return self.position;
        }
        let reached = self.queue.extent().position.unwrap_or(i64::MIN);
        self.position.max(reached)
    }

    /// Leader epoch read up to, at least that of the record before [`PartitionReader::next_offset`]: with a lower one,
    /// the partition would look truncated.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        self.opened_in_epoch.max(self.queue.extent().leader_epoch)
    }

    /// Is it halted before a corrupt batch?
    pub(crate) fn is_corrupt(&self) -> bool {
        matches!(self.broken, Some(ReadError::Corrupt(_)))
    }

    /// Moves at most `most` records into the batch.
    fn read(&mut self, most: usize, batch: &mut Batch) {
        let most = match std::mem::take(&mut self.was_held) {
            true => most.min(WAITING_SLICE_RECORDS),
            false => most,
        };
        let (mut first_ms, mut last_ms) = (None, i64::MIN);
        let mut errors = SliceErrors::default();
        let (topic_partition, position) = (self.topic_partition, &mut self.position);
        let log_append_ms = &mut self.log_append_ms;
        self.queue.take(most, |message| {
            if let Some((code, reason)) = message.error() {
                errors.add(code, reason);
                return;
            }
            if errors.is_corrupt() {
                return;
            }
            // All records of a topic are stamped alike, so one of a slice suffices.
            if first_ms.is_none() && message.is_stamped_by_broker() {
                *log_append_ms = (*log_append_ms).max(Some(message.timestamp_ms()));
            }
            let record = record(topic_partition, message);
            *position = record.offset + 1;
            first_ms.get_or_insert(record.timestamp_ms);
            last_ms = last_ms.max(record.timestamp_ms);
            batch.push(record);
        });
        if let Some(first_ms) = first_ms {
            self.progress.read(first_ms, last_ms);
            self.at_oldest = false;
            self.has_read = true;
            self.reopened = 0;
        }
        // librdkafka reports the loss of a halted partition again with every new assignment.
        if let Some((code, reason)) = errors.worst
            && !matches!(self.broken, Some(ReadError::Halted(_)))
        {
            self.broken = self.classify(code, &reason);
        }
    }

    fn classify(&self, code: RDKafkaErrorCode, reason: &str) -> Option<ReadError> {
        let (topic, partition) = (&self.topic, self.topic_partition.partition);
        match code {
            RDKafkaErrorCode::AutoOffsetReset => Some(ReadError::Gone(Truncation::parse(reason))),
            _ if is_corrupt(code) => Some(ReadError::Corrupt(CorruptBatch::at(
                topic,
                partition,
                self.position,
                reason,
            ))),
            RDKafkaErrorCode::TopicAuthorizationFailed => Some(ReadError::Forbidden(format!(
                "no permission to read {topic}: {reason}; give the principal Read on it"
            ))),
            RDKafkaErrorCode::PartitionEOF => None,
            _ => {
                warn!(%topic, partition, %code, reason, "error while reading a partition");
                None
            }
        }
    }

    /// Records between the position and the end; `None` if the end is unknown.
    pub(crate) fn lag(&self) -> Option<u64> {
        let end = self.queue.extent().end?;
        let behind = end.saturating_sub(self.next_offset());
        Some(u64::try_from(behind).unwrap_or(0))
    }
}

impl ReadablePartition for PartitionReader {
    fn progress_mut(&mut self) -> &mut ReadProgress {
        &mut self.progress
    }

    fn progress(&self) -> &ReadProgress {
        &self.progress
    }

    fn is_ready(&self) -> bool {
        !self.is_held && !self.is_corrupt() && self.queue.is_ready()
    }

    fn has_backlog(&self) -> bool {
        self.broken.is_none() && !self.is_held && self.lag() != Some(0)
    }
}

/// Fills the batch with at most `limit` records: of internal topics first, then of inputs in step.
/// The readers are sorted by partition, inputs first.
pub(crate) fn fill(
    readers: &mut [PartitionReader],
    share: &mut FairShare,
    max_skew_ms: i64,
    limit: usize,
    batch: &mut Batch,
) -> Result<FillOutcome, Failure> {
    let inputs =
        readers.partition_point(|reader| matches!(reader.topic_partition.topic, Topic::Input(_)));
    let (inputs, internal) = readers.split_at_mut(inputs);
    let inputs_are_ready = inputs.iter().any(ReadablePartition::is_ready);
    let room = internal_room(limit, inputs_are_ready);
    share.read(internal, room, PartitionReader::is_ready, |reader, most| {
        let before = batch.len();
        reader.read(most.min(SLICE_RECORDS), batch);
        batch.len() - before
    });
    let mut held = false;
    if inputs_are_ready {
        held = fill_aligned(inputs, max_skew_ms, limit, batch);
    }
    for reader in readers {
        match &reader.broken {
            Some(ReadError::Gone(_)) => return Ok(FillOutcome::Gone(reader.topic_partition)),
            Some(ReadError::Forbidden(text)) if batch.is_empty() => {
                return Err(Failure::Config(text.clone()));
            }
            _ => {}
        }
    }
    Ok(if held && batch.is_empty() {
        FillOutcome::Held
    } else {
        FillOutcome::Complete
    })
}

/// Reads inputs in step. Returns whether fetched records are held back.
fn fill_aligned(
    inputs: &mut [PartitionReader],
    max_skew_ms: i64,
    limit: usize,
    batch: &mut Batch,
) -> bool {
    let now = Instant::now();
    while batch.len() < limit {
        match choose(inputs, max_skew_ms, now) {
            Choice::Read(index) => {
                let room = limit - batch.len();
                inputs[index].read(room.min(SLICE_RECORDS), batch);
            }
            Choice::Hold => return true,
            Choice::Nothing => return false,
        }
    }
    false
}

/// A message as a record.
pub(crate) fn record<'a>(topic_partition: TopicPartition, message: &'a Message) -> Record<'a> {
    Record {
        topic_partition,
        offset: message.offset(),
        timestamp_ms: message.timestamp_ms(),
        key: message.key(),
        value: message.value(),
        // Only readers of uncommitted records need it.
        origin: None,
    }
}
