//! Compares the group's committed offsets with the positions of the state. Both are committed together, so if they
//! differ, somebody has reset the group's offsets with Kafka's tools, which has no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use flockwise_runtime::broker::Start;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::{debug, warn};

use crate::admin::committed_once;
use crate::client_context::KafkaContext;

/// How often to compare: a commit may appear later in the group than in the changelog.
const ATTEMPTS: u32 = 5;
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Committed offsets by topic and partition.
type Committed = BTreeMap<String, BTreeMap<u32, i64>>;

/// Compares each input partition once, when it is first read.
#[derive(Default)]
pub(crate) struct GroupOffsets {
    compared: BTreeSet<TopicPartition>,
}

impl GroupOffsets {
    /// Warns if the group's offsets differ from those that these reads start at.
    pub(crate) fn compare(
        &mut self,
        consumer: &BaseConsumer<KafkaContext>,
        topics: &Topics,
        reads: &[(TopicPartition, Start)],
    ) {
        let inputs = reads
            .iter()
            .filter(|(topic_partition, _)| matches!(topic_partition.topic, Topic::Input(_)));
        let known =
            inputs.filter_map(|(topic_partition, start)| Some((*topic_partition, start.offset()?)));
        let new = known.filter(|(topic_partition, _)| self.compared.insert(*topic_partition));
        let new = new.map(|(topic_partition, offset)| {
            (
                topics.name(topic_partition.topic),
                topic_partition.partition,
                offset,
            )
        });
        let positions: Vec<(String, u32, i64)> = new.collect();
        if positions.is_empty() {
            return;
        }
        for attempt in 1..=ATTEMPTS {
            let committed = match committed_once(consumer.client().native_ptr(), &topics.app) {
                Ok(committed) => committed,
                Err(code) => return debug!("the group's offsets are not compared: {code}"),
            };
            match differing(&positions, &committed) {
                None => return,
                Some(text) if attempt == ATTEMPTS => return warn!("{text}"),
                Some(_) => thread::sleep(RETRY_INTERVAL),
            }
        }
    }
}

/// A warning about the first partition that differs. One without an offset in the group does not count: brokers
/// forget the offsets of a group without members.
fn differing(positions: &[(String, u32, i64)], committed: &Committed) -> Option<String> {
    let of = |topic: &String, partition: &u32| committed.get(topic)?.get(partition).copied();
    let mut differing = positions.iter().filter_map(|(topic, partition, offset)| {
        let found = of(topic, partition)?;
        (found != *offset).then_some((topic, partition, offset, found))
    });
    let (topic, partition, offset, found) = differing.next()?;
    let others = differing.count();
    Some(format!(
        "the group's offset of {topic}/{partition} is {found}, but the pipeline reads from {offset}, the position of the state \
         ({others} other partitions differ too): resetting the group's offsets has no effect; to read from elsewhere, \
         stop all instances and run `flockwise reset`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_were_reset_are_told_of_and_those_forgotten_are_not() {
        let positions = [("orders".to_owned(), 0, 7), ("orders".to_owned(), 1, 9)];
        let committed = |offsets: &[(u32, i64)]| {
            BTreeMap::from([("orders".to_owned(), offsets.iter().copied().collect())])
        };
        assert_eq!(differing(&positions, &committed(&[(0, 7), (1, 9)])), None);
        assert_eq!(differing(&positions, &committed(&[(0, 7)])), None);
        assert_eq!(differing(&positions, &BTreeMap::new()), None);
        let text = differing(&positions, &committed(&[(0, 0), (1, 0)])).unwrap_or_default();
        assert!(
            text.contains("orders/0 is 0, but the pipeline reads from 7"),
            "{text}"
        );
        assert!(text.contains("1 other partitions"), "{text}");
    }
}
