//! The client as a reader of topics, outside the group.

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{Failure, Replayed, TopicReader};
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::SimulatedClient;
use crate::partition_log::polled;

impl TopicReader for SimulatedClient {
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        let state = self.shared.call();
        let log = state.find(topic_partition)?;
        let from = from.unwrap_or(log.start);
        if !(log.start..=log.end).contains(&from) {
            return Ok(Replayed::Gone);
        }
        let end = log.stable().max(from);
        let is_whole = end >= log.end;
        let mut batch = Batch::default();
        for record in log.readable(from) {
            batch.push(polled(topic_partition, record));
        }
        drop(state);
        batch.records().for_each(each);
        Ok(match is_whole {
            true => Replayed::Whole(end),
            false => Replayed::Held(end),
        })
    }

    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        let state = self.shared.call();
        let ends = topic_partitions
            .iter()
            .map(|topic_partition| Ok(state.find(*topic_partition)?.end));
        ends.collect()
    }

    /// The topic's name, and how often it was recreated, if it was.
    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        let partition = 0;
        let state = self.shared.borrow();
        let generation = state.find(TopicPartition { topic, partition })?.generation;
        self.generations.insert(topic, generation);
        let name = state.topics.name(topic);
        Ok(match generation {
            0 => name,
            _ => format!("{name}#{generation}"),
        })
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        let count = self.shared.borrow().partitions(topic);
        count.ok_or_else(|| Failure::Config(format!("topic {topic:?} does not exist")))
    }
}
