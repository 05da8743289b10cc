//! Has the brokers verify that what was read before a position is still there.

#![allow(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::pulse::beat;
use flockwise_runtime::topics::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use crate::events::Events;
use crate::faults;
use crate::lanes::Lane;

/// How long librdkafka may take to begin with partitions that it has just been assigned.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(5);

/// Positions of input partitions that were read before, which are verified while they are assigned.
///
/// An assignment verifies nothing, a seek does: librdkafka gives no record before the leader has answered, and an error
/// in place of records where the position's leader epoch ends before it. Other topics are the pipeline's own, for which
/// unclean elections are refused.
pub(crate) struct Verification(Vec<Place>);

#[derive(Clone)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
}

impl Verification {
    /// Of those of the lanes that are inputs and whose leader epoch is known. To be called before they are assigned:
    /// nothing is fetched of them before [`Verification::end`], since a fetch that fails would stop them unverified.
    pub(crate) fn begin<'a>(
        consumer: &BaseConsumer<Events>,
        lanes: impl Iterator<Item = &'a Lane>,
    ) -> Result<Self, Failure> {
        let places: Vec<Place> = lanes.filter_map(Place::of).collect();
        if !places.is_empty() {
            let paused = list(&places).and_then(|list| consumer.pause(&list));
            paused.map_err(failed)?;
        }
        Ok(Self(places))
    }

    /// To be called when the lanes are assigned.
    ///
    /// # Errors
    /// [`Failure::Fatal`] where librdkafka does not begin with a partition; as soon as that is known, where the consumer
    /// has ended itself, as one that was fenced.
    pub(crate) fn end(self, consumer: &BaseConsumer<Events>) -> Result<(), Failure> {
        let Self(places) = self;
        if places.is_empty() {
            return Ok(());
        }
        let (start, mut left) = (Instant::now(), places.clone());
        loop {
            left = seek(consumer, left).map_err(failed)?;
            let Some(Place {
                topic, partition, ..
            }) = left.first()
            else {
                break;
            };
            if let Some((code, _)) = consumer.client().fatal_error() {
                return Err(faults::consumer_ended(code));
            }
            if start.elapsed() >= PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(Failure::Fatal(format!(
                    "the position in {topic}/{partition} could not be verified for {seconds} s"
                )));
            }
            beat();
            thread::sleep(STEP);
        }
        let resumed = list(&places).and_then(|list| consumer.resume(&list));
        resumed.map_err(failed)
    }
}

impl Place {
    fn of(lane: &Lane) -> Option<Self> {
        let is_read = matches!(lane.source.topic, Topic::Input(_)) && lane.position > 0;
        is_read.then_some(Self {
            topic: lane.topic.clone(),
            partition: lane.source.partition.cast_signed(),
            offset: lane.position,
            leader_epoch: lane.opened_in_epoch?,
        })
    }
}

/// Those that librdkafka has not begun with yet.
fn seek(consumer: &BaseConsumer<Events>, mut places: Vec<Place>) -> KafkaResult<Vec<Place>> {
    let sought = consumer.seek_partitions(list(&places)?, PATIENCE)?;
    places.retain(|place| {
        let found = sought.find_partition(&place.topic, place.partition);
        found.is_none_or(|found| found.error().is_err())
    });
    Ok(places)
}

fn list(places: &[Place]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        let offset = Offset::Offset(place.offset);
        list.add_partition_offset(&place.topic, place.partition, offset)?;
    }
    for (index, place) in places.iter().enumerate() {
        // SAFETY: the list has an element for each of the places, in their order, and outlives the call.
        unsafe {
            let element = (*list.ptr()).elems.add(index);
            sys::rd_kafka_topic_partition_set_leader_epoch(element, place.leader_epoch);
        }
    }
    Ok(list)
}

fn failed(error: KafkaError) -> Failure {
    faults::plain("verifying positions", &error)
}
