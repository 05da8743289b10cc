//! Replays one partition up to its current end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, Replayed};
use flockwise_runtime::topics::TopicPartition;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use tracing::debug;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::corrupt_batch::{SliceErrors, is_corrupt};
use crate::partition_queue::{PartitionQueue, SLICE_RECORDS};
use crate::partition_reader::record;
use crate::wakeup::Wakeup;

/// How long to wait for the end of an open transaction. One that is being committed ends within
/// milliseconds.
const OPEN_TRANSACTION_WAIT: Duration = Duration::from_millis(300);

/// How long to wait for a leader that does not answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A partition to replay.
pub(crate) struct ReplayRequest {
    pub(crate) topic: String,
    pub(crate) topic_partition: TopicPartition,
    /// Offset to start at; `None` for the oldest record.
    pub(crate) from: Option<i64>,
}

/// The partition to replay, from `start` to `end`.
struct ReplayTarget<'a> {
    topic: &'a str,
    topic_partition: TopicPartition,
    start: i64,
    end: i64,
}

/// The replay of one partition.
pub(crate) struct PartitionReplay<'a> {
    target: ReplayTarget<'a>,
    queue: PartitionQueue,
    progress: ReplayProgress,
    /// How the replay ended; `None` while it runs.
    pub(crate) outcome: Option<Replayed>,
}

/// How far a replay has got.
struct ReplayProgress {
    count: u64,
    position: i64,
    /// Where librdkafka last reported the end of the readable records.
    readable_end: Option<i64>,
    advanced: Instant,
}

impl ReplayTarget<'_> {
    /// The outcome, if it is known without reading. Whether the start is before the oldest record shows only
    /// during reading: retention may delete records meanwhile.
    fn known_outcome(&self) -> Option<Replayed> {
        match self.start {
            start if !(0..=self.end).contains(&start) => Some(Replayed::Gone),
            start if start == self.end => Some(Replayed::Whole(self.end)),
            _ => None,
        }
    }
}

impl<'a> PartitionReplay<'a> {
    /// A replay from `start` to `end`. Its outcome may be known already.
    pub(crate) fn new(
        read: &'a ReplayRequest,
        (start, end): (i64, i64),
        consumer: &Arc<BaseConsumer<KafkaContext>>,
        wakeup: &Wakeup,
    ) -> Result<Self, Failure> {
        let target = ReplayTarget {
            topic: &read.topic,
            topic_partition: read.topic_partition,
            start,
            end,
        };
        let partition = target.topic_partition.partition.cast_signed();
        let queue = PartitionQueue::open(consumer, target.topic, partition, wakeup)
            .ok_or_else(|| classify_error::missing_topic(target.topic))?;
        Ok(Self {
            queue,
            progress: ReplayProgress::at(target.start),
            outcome: target.known_outcome(),
            target,
        })
    }

    /// Topic, partition and the offset to start at.
    pub(crate) fn start(&self) -> (&str, i32, i64) {
        let ReplayTarget {
            topic,
            topic_partition,
            start,
            ..
        } = self.target;
        (topic, topic_partition.partition.cast_signed(), start)
    }

    /// Is there more to read?
    pub(crate) fn is_running(&self) -> bool {
        self.outcome.is_none()
    }

    /// Takes the fetched records. Returns how many messages were taken.
    pub(crate) fn advance(&mut self, each: &mut dyn FnMut(Record<'_>)) -> Result<usize, Failure> {
        let taken = match take(&mut self.queue, &self.target, &mut self.progress, each) {
            Ok(taken) => taken,
            Err(ReplayError::Gone) => {
                self.outcome = Some(Replayed::Gone);
                return Ok(0);
            }
            Err(ReplayError::Failed(failure)) => return Err(failure),
        };
        let progress = &self.progress;
        if progress.position >= self.target.end {
            self.outcome = Some(Replayed::Whole(self.target.end));
        } else if taken == 0 && progress.is_held() {
            self.outcome = Some(Replayed::Held(progress.position));
        } else if taken == 0 {
            progress.check_timeout(&self.target)?;
        }
        Ok(taken)
    }

    /// Logs how far the replay got.
    pub(crate) fn log(&self, elapsed_ms: u128) {
        let (topic, partition) = (self.target.topic, self.target.topic_partition.partition);
        let (records, replayed) = (self.progress.count, self.outcome);
        debug!(topic, partition, records, ?replayed, elapsed_ms, "restored");
    }
}

/// Why reading ended early.
enum ReplayError {
    Gone,
    Failed(Failure),
}

/// Takes the fetched records. Returns how many messages were taken.
fn take(
    queue: &mut PartitionQueue,
    target: &ReplayTarget<'_>,
    progress: &mut ReplayProgress,
    each: &mut dyn FnMut(Record<'_>),
) -> Result<usize, ReplayError> {
    let mut errors = SliceErrors::default();
    let taken = queue.take(SLICE_RECORDS, |message| match message.error() {
        // All readable records are before its offset: the last ones may have been compacted away.
        Some((RDKafkaErrorCode::PartitionEOF, _)) => progress.reached_end(message.offset()),
        Some((code, reason)) => errors.add(code, reason),
        None if message.offset() < target.end => {
            each(record(target.topic_partition, message));
            progress.count += 1;
        }
        None => {}
    });
    if let Some((code, reason)) = errors.worst {
        return Err(progress.read_error(target, code, &reason));
    }
    // Queried only when nothing is left to take. It also passes aborted records.
    let reached = (taken < SLICE_RECORDS)
        .then(|| queue.extent().position)
        .flatten();
    progress.reach(reached, taken);
    Ok(taken)
}

impl ReplayProgress {
    fn at(position: i64) -> Self {
        Self {
            count: 0,
            position,
            readable_end: None,
            advanced: Instant::now(),
        }
    }

    fn reached_end(&mut self, offset: i64) {
        self.readable_end = Some(offset);
        if offset > self.position {
            self.position = offset;
            self.advanced = Instant::now();
        }
    }

    fn reach(&mut self, reached: Option<i64>, taken: usize) {
        let is_further = reached.is_some_and(|reached| reached > self.position);
        self.position = self.position.max(reached.unwrap_or(self.position));
        if is_further || (taken > 0 && self.readable_end != Some(self.position)) {
            self.advanced = Instant::now();
        }
    }

    /// Are all committed records read, and is the rest held back by an open transaction?
    fn is_held(&self) -> bool {
        self.readable_end == Some(self.position) && self.advanced.elapsed() >= OPEN_TRANSACTION_WAIT
    }

    fn read_error(
        &self,
        target: &ReplayTarget<'_>,
        code: RDKafkaErrorCode,
        reason: &str,
    ) -> ReplayError {
        if code == RDKafkaErrorCode::AutoOffsetReset && self.count == 0 {
            return ReplayError::Gone;
        }
        let (topic, partition) = (target.topic, target.topic_partition.partition);
        ReplayError::Failed(match classify_error::remedy(code) {
            Some(remedy) => Failure::Config(format!("reading {topic}: {reason}; {remedy}")),
            None if is_corrupt(code) => Failure::Fatal(format!(
                "reading {topic}/{partition}: a batch cannot be read ({reason}). Move leadership to an intact \
                 replica; if there is none, `flockwise reset` rebuilds the state from the inputs"
            )),
            // The next record was deleted during the replay: a new start will notice that.
            None => Failure::Fatal(format!(
                "reading {topic}/{partition} at offset {}: {code}: {reason}",
                self.position
            )),
        })
    }

    fn check_timeout(&self, target: &ReplayTarget<'_>) -> Result<(), Failure> {
        if self.advanced.elapsed() < READ_TIMEOUT {
            return Ok(());
        }
        let (topic, partition) = (target.topic, target.topic_partition.partition);
        let (position, end) = (self.position, target.end);
        Err(Failure::Fatal(format!(
            "{topic}/{partition} could not be read beyond offset {position} of {end} for {} s; check \
             that the partition's leader is up",
            READ_TIMEOUT.as_secs()
        )))
    }
}
