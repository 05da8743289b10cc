//! Has the brokers verify that the records read before a position are still there.

#![allow(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::partition_reader::PartitionReader;

/// How long librdkafka may take to start newly assigned partitions.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);
const SEEK_BACKOFF: Duration = Duration::from_millis(5);

/// Positions of input partitions that were read before, and are verified while they are assigned.
///
/// An assignment verifies nothing, but a seek does: librdkafka delivers no record before the leader has answered, and
/// an error in place of records if the position's leader epoch ends before it. Other topics are internal, and may not
/// have unclean elections.
pub(crate) struct PositionValidation(Vec<SeekTarget>);

#[derive(Clone)]
struct SeekTarget {
    topic: String,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
}

impl PositionValidation {
    /// Takes the readers of inputs whose leader epoch is known, and pauses them until [`PositionValidation::end`]: a
    /// failing fetch would stop them unverified. To be called before they are assigned.
    pub(crate) fn begin<'a>(
        consumer: &BaseConsumer<KafkaContext>,
        readers: impl Iterator<Item = &'a PartitionReader>,
    ) -> Result<Self, Failure> {
        let targets: Vec<SeekTarget> = readers.filter_map(SeekTarget::of).collect();
        if !targets.is_empty() {
            let paused = list(&targets).and_then(|list| consumer.pause(&list));
            paused.map_err(failed)?;
        }
        Ok(Self(targets))
    }

    /// Verifies the positions and resumes the partitions. To be called after they are assigned.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if librdkafka does not start a partition within 10 s. Without waiting, if the consumer has
    /// stopped itself, for example because it was fenced.
    pub(crate) fn end(self, consumer: &BaseConsumer<KafkaContext>) -> Result<(), Failure> {
        let Self(targets) = self;
        if targets.is_empty() {
            return Ok(());
        }
        let (start, mut left) = (Instant::now(), targets.clone());
        loop {
            left = seek(consumer, left).map_err(failed)?;
            let Some(SeekTarget {
                topic, partition, ..
            }) = left.first()
            else {
                break;
            };
            if let Some((code, _)) = consumer.client().fatal_error() {
                return Err(classify_error::consumer_ended(code));
            }
            if start.elapsed() >= SEEK_TIMEOUT {
                let seconds = SEEK_TIMEOUT.as_secs();
                return Err(Failure::Fatal(format!(
                    "the position in {topic}/{partition} could not be verified within {seconds} s"
                )));
            }
            beat();
            thread::sleep(SEEK_BACKOFF);
        }
        let resumed = list(&targets).and_then(|list| consumer.resume(&list));
        resumed.map_err(failed)
    }
}

impl SeekTarget {
    fn of(reader: &PartitionReader) -> Option<Self> {
        let is_read =
            matches!(reader.topic_partition.topic, Topic::Input(_)) && reader.position > 0;
        is_read.then_some(Self {
            topic: reader.topic.clone(),
            partition: reader.topic_partition.partition.cast_signed(),
            offset: reader.position,
            leader_epoch: reader.opened_in_epoch?,
        })
    }
}

/// Seeks, and returns the partitions that librdkafka has not started yet.
fn seek(
    consumer: &BaseConsumer<KafkaContext>,
    mut targets: Vec<SeekTarget>,
) -> KafkaResult<Vec<SeekTarget>> {
    let sought = consumer.seek_partitions(list(&targets)?, SEEK_TIMEOUT)?;
    targets.retain(|target| {
        let found = sought.find_partition(&target.topic, target.partition);
        found.is_none_or(|found| found.error().is_err())
    });
    Ok(targets)
}

fn list(targets: &[SeekTarget]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(targets.len());
    for target in targets {
        let offset = Offset::Offset(target.offset);
        list.add_partition_offset(&target.topic, target.partition, offset)?;
    }
    for (index, target) in targets.iter().enumerate() {
        // SAFETY: the list has an element for each of the targets, in order, and outlives the call.
        unsafe {
            let element = (*list.ptr()).elems.add(index);
            sys::rd_kafka_topic_partition_set_leader_epoch(element, target.leader_epoch);
        }
    }
    Ok(list)
}

fn failed(error: KafkaError) -> Failure {
    classify_error::plain("verifying positions", &error)
}
