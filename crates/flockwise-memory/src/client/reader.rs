//! The client as a reader of topics, outside the group.

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{Failure, Replayed, TopicReader};
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::MemoryClient;
use crate::log::polled;

/// How many records a replay copies under one lock.
const REPLAY_RECORDS: usize = 1024;

impl TopicReader for MemoryClient {
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        let number = self.shared.layout.require(topic_partition);
        let number = number.map_err(Failure::Config)?;
        let state = self.shared.lock();
        let log = &state.logs[number];
        let (start, end) = (log.start, log.end);
        drop(state);
        let mut from = from.unwrap_or(start);
        if !(start..=end).contains(&from) {
            return Ok(Replayed::Gone);
        }
        let mut batch = Batch::default();
        while from < end {
            batch.clear();
            let state = self.shared.lock();
            let before_end = state.logs[number]
                .records(from)
                .take_while(|(entry, _)| entry.offset < end);
            for (entry, parts) in before_end.take(REPLAY_RECORDS) {
                batch.push(polled(topic_partition, entry, parts));
            }
            drop(state);
            batch.records().for_each(&mut *each);
            from = batch.records().last().map_or(end, |last| last.offset + 1);
        }
        Ok(Replayed::Whole(end))
    }

    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        let state = self.shared.lock();
        let ends = topic_partitions.iter().map(|topic_partition| {
            let number = self.shared.layout.require(*topic_partition)?;
            Ok(state.logs[number].end)
        });
        ends.collect::<Result<_, String>>().map_err(Failure::Config)
    }

    /// The topic's name. That is unique, because the broker ends with its process.
    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        Ok(self.shared.layout.name(topic))
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        let count = self.shared.layout.partitions(topic);
        count.ok_or_else(|| Failure::Config(format!("topic {topic:?} does not exist")))
    }
}
