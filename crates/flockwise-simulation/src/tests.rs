//! Tests of what the simulated cluster does as a real one does.

mod compaction;
mod membership;
mod reading;
mod transactions;

use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{
    Failure, Follower, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions,
    WorkerEvent,
};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::{Conditions, SimulatedBroker, SimulatedClient, SimulatedFollower};

const CHANGELOG: TopicPartition = TopicPartition {
    topic: Topic::Changelog,
    partition: 0,
};
const CLICKS: TopicPartition = TopicPartition {
    topic: Topic::Input(0),
    partition: 0,
};

/// A cluster whose polls never return nothing at random, so that tests are exact. Timeouts are whole seconds.
fn cluster(is_static: bool) -> (SimulatedBroker, Clock) {
    let clock = Clock::simulated(1_000_000);
    let conditions = Conditions {
        clock: clock.clone(),
        seed: 1,
        session: Duration::from_secs(10),
        transaction: Duration::from_secs(5),
        tombstones: Duration::from_secs(60),
        is_static,
        skips_lost_records: false,
        idle_percent: 0,
        most_records: 1_000,
    };
    let topics = Topics {
        app: "shop".to_owned(),
        inputs: vec!["clicks".to_owned(), "orders".to_owned()],
        state_partitions: 2,
    };
    (SimulatedBroker::new(topics, &[2, 2], conditions), clock)
}

fn seconds(clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

fn send(worker: &mut SimulatedClient, value: &str) {
    let record = Outgoing {
        topic: Topic::Changelog,
        partition: 0,
        key: Some(b"anna"),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    worker.send(record).unwrap();
}

fn replayed(worker: &mut SimulatedClient) -> (Replayed, Vec<String>) {
    let mut values = Vec::new();
    let end = worker.replay(CHANGELOG, None, &mut |record| {
        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
    });
    (end.unwrap(), values)
}

fn is_fatal(outcome: Result<(), Failure>) -> bool {
    matches!(outcome, Err(Failure::Fatal(_) | Failure::Fenced(_)))
}

fn poll(worker: &mut SimulatedClient) -> WorkerEvent {
    worker
        .poll(Duration::ZERO, 100, &mut Batch::default())
        .unwrap()
}

/// The committed values of the changelog.
fn values(broker: &SimulatedBroker) -> Vec<String> {
    let records = broker.read(Topic::Changelog, 0, 0);
    let values = records.into_iter().filter_map(|record| record.value);
    values
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}
