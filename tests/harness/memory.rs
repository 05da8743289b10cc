//! The in-process broker as a [`TestBroker`].

use flockwise_memory::{Committed, MemoryBroker, MemoryClient};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};

use crate::events::InputRecord;
use crate::test_broker::TestBroker;

/// The in-process broker and its topics.
#[derive(Clone, Debug)]
pub struct Memory {
    broker: MemoryBroker,
    topics: Topics,
}

impl TestBroker for Memory {
    type Client = MemoryClient;

    fn set(topics: Topics, input_partitions: &[u32]) -> Option<Self> {
        let broker = MemoryBroker::new(topics.clone(), input_partitions);
        Some(Self { broker, topics })
    }

    fn join(&self, member: &str) -> Result<MemoryClient, Failure> {
        Ok(self.broker.worker(member))
    }

    fn put(&self, records: &[InputRecord]) {
        records.iter().for_each(|put| append(&self.broker, put));
    }

    fn read(&self, topic: Topic) -> Vec<Vec<Committed>> {
        let partitions = 0..self.topics.partitions(topic);
        partitions
            .map(|partition| self.broker.read(topic, partition, 0))
            .collect()
    }

    fn committed(&self, topic: Topic, partition: u32) -> Option<i64> {
        self.broker.committed(topic, partition)
    }

    fn is_drained(&self) -> bool {
        self.broker.is_drained()
    }

    fn void(&self, member: &str) {
        self.broker.expel(member);
    }
}

/// Appends a record to its input partition.
pub fn append(broker: &MemoryBroker, put: &InputRecord) {
    let (key, value) = (Some(&*put.key), put.value.as_deref());
    let topic = Topic::Input(put.input);
    broker.append(topic, put.partition, put.timestamp_ms, key, value);
}
