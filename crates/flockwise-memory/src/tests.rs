//! Tests of the guarantees that the worker loop relies on.

mod group;
mod order;
mod retention;
mod transactions;

use std::collections::BTreeSet;
use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{
    GroupConsumer, Outgoing, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::{MemoryBroker, MemoryClient};

/// A broker with two inputs, which have as many partitions as there are state partitions.
fn broker(state_partitions: u32) -> MemoryBroker {
    let topics = Topics {
        app: "shop".to_owned(),
        inputs: vec!["clicks".to_owned(), "orders".to_owned()],
        state_partitions,
    };
    MemoryBroker::new(topics, &[state_partitions, state_partitions])
}

fn topic_partition(topic: Topic, partition: u32) -> TopicPartition {
    TopicPartition { topic, partition }
}

fn outgoing<'a>(topic: Topic, partition: u32, key: &'a str, value: &'a str) -> Outgoing<'a> {
    Outgoing {
        topic,
        partition,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
    }
}

fn poll(worker: &mut MemoryClient) -> WorkerEvent {
    worker
        .poll(Duration::ZERO, 100, &mut Batch::default())
        .unwrap()
}

fn values(broker: &MemoryBroker, topic: Topic, partition: u32) -> Vec<String> {
    let records = broker.read(topic, partition, 0);
    let values = records.into_iter().filter_map(|record| record.value);
    values
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

/// A minimal worker loop: answers assignments, reads records, and commits them.
struct TestMember {
    broker: MemoryBroker,
    worker: MemoryClient,
    owned: BTreeSet<TopicPartition>,
    /// Every record, in the order in which it was read.
    log: Vec<(TopicPartition, i64)>,
}

impl TestMember {
    fn join(broker: &MemoryBroker, name: &str) -> Self {
        Self {
            broker: broker.clone(),
            worker: broker.worker(name),
            owned: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    /// Polls once, handles the event, and returns it.
    fn turn(&mut self, limit: usize) -> WorkerEvent {
        let mut batch = Batch::default();
        let turn = self.worker.poll(Duration::ZERO, limit, &mut batch).unwrap();
        match &turn {
            WorkerEvent::Records => self.process(&batch),
            WorkerEvent::Assigned(topic_partitions) => self.open(topic_partitions),
            WorkerEvent::Revoked(topic_partitions) | WorkerEvent::Lost(topic_partitions) => {
                self.close(topic_partitions);
            }
            WorkerEvent::Idle => {}
        }
        turn
    }

    fn process(&mut self, batch: &Batch) {
        let read = batch
            .records()
            .map(|record| (record.topic_partition, record.offset));
        self.log.extend(read);
        let positions: Vec<(TopicPartition, i64)> = batch
            .records()
            .map(|record| (record.topic_partition, record.offset + 1))
            .collect();
        self.worker.commit(&positions).unwrap();
    }

    fn open(&mut self, topic_partitions: &[TopicPartition]) {
        self.owned = topic_partitions.iter().copied().collect();
        let reads: Vec<(TopicPartition, Start)> = topic_partitions
            .iter()
            .flat_map(|owned| with_inputs(*owned))
            .map(|read| {
                let committed = self.broker.committed(read.topic, read.partition);
                (read, committed.map_or(Start::Earliest, Start::Offset))
            })
            .collect();
        self.worker.open(&reads).unwrap();
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) {
        self.owned.clear();
        let closed: Vec<TopicPartition> = topic_partitions
            .iter()
            .copied()
            .flat_map(with_inputs)
            .collect();
        self.worker.close(&closed).unwrap();
    }
}

fn with_inputs(owned: TopicPartition) -> Vec<TopicPartition> {
    match owned.topic {
        Topic::Repartition => [Topic::Repartition, Topic::Input(0), Topic::Input(1)]
            .map(|topic| topic_partition(topic, owned.partition))
            .to_vec(),
        _ => vec![owned],
    }
}

/// Runs all members until each poll is idle.
fn settle(workers: &mut [TestMember]) {
    while workers
        .iter_mut()
        .map(|worker| worker.turn(3))
        .filter(|turn| *turn != WorkerEvent::Idle)
        .count()
        > 0
    {}
}
