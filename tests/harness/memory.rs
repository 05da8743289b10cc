//! The in-process broker as a [`TestBroker`].

use flockwise_memory::{CommittedRecord, MemoryBroker, MemoryClient};
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

    fn create(topics: Topics, input_partitions: &[u32]) -> Option<Self> {
        let broker = MemoryBroker::new(topics.clone(), input_partitions);
        Some(Self { broker, topics })
    }

    fn join(&self, member: &str) -> Result<MemoryClient, Failure> {
        Ok(self.broker.worker(member))
    }

    fn put(&self, records: &[InputRecord]) {
        records
            .iter()
            .for_each(|record| append(&self.broker, record));
    }

    fn read(&self, topic: Topic) -> Vec<Vec<CommittedRecord>> {
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

    fn fence_member(&self, member: &str) {
        self.broker.expel(member);
    }
}

/// Appends a record to its input partition.
pub fn append(broker: &MemoryBroker, record: &InputRecord) {
    let (key, value) = (Some(&*record.key), record.value.as_deref());
    let topic = Topic::Input(record.input);
    broker.append(topic, record.partition, record.timestamp_ms, key, value);
}
