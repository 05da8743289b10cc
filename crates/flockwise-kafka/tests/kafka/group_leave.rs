//! Dropping a broker never hangs, whatever rebalance is pending.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use flockwise_kafka::{KafkaBroker, KafkaSettings};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{GroupConsumer, WorkerEvent};
use flockwise_runtime::topics::Topics;

use crate::support::{PATIENCE, Worker, kafka, settings, topics};

/// The race under test is lost in one of a few rounds.
const ROUNDS: usize = 6;

/// Time until the only member of a group has received its assignment.
const TOLD: Duration = Duration::from_millis(400);

fn member(servers: &str, topics: &Topics, protocol: &str) -> KafkaSettings {
    let mut settings = settings(servers, topics, "a");
    settings.member_id = Some(format!("{}-a", topics.app));
    let (key, value) = protocol.split_once('=').expect("key=value");
    // A dead member delays the next one for this long.
    for (key, value) in [(key, value), ("session.timeout.ms", "1000")] {
        settings.properties.insert(key.to_owned(), value.to_owned());
    }
    settings
}

/// Drops on another thread, so that a drop that hangs fails the test instead of blocking it.
fn drop_in_time<T: Send + 'static>(dropped: T, what: &str) {
    let (done, is_done) = mpsc::sync_channel(1);
    let drop_and_tell = move || {
        drop(dropped);
        done.send(()).expect("the test waits");
    };
    let thread = thread::Builder::new().name("dropping".to_owned());
    thread.spawn(drop_and_tell).expect("a thread");
    let ended = is_done.recv_timeout(PATIENCE);
    assert!(ended.is_ok(), "the drop hangs: {what}");
}

fn next_turn(broker: &mut KafkaBroker) -> WorkerEvent {
    let mut batch = Batch::default();
    let turn = broker.poll(PATIENCE, 1000, &mut batch);
    turn.expect("a turn")
}

const PROTOCOLS: [&str; 2] = [
    "partition.assignment.strategy=range",
    "partition.assignment.strategy=cooperative-sticky",
];

#[test]
fn dropped_before_it_has_heard_of_its_partitions() {
    let Some(servers) = kafka() else { return };
    for protocol in PROTOCOLS {
        let topics = topics(&servers, 3, &[1]);
        for _ in 0..ROUNDS {
            let settings = member(&servers, &topics, protocol);
            let broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
            thread::sleep(TOLD);
            drop_in_time(broker, protocol);
        }
    }
}

#[test]
fn dropped_with_an_assignment_that_is_not_answered() {
    let Some(servers) = kafka() else { return };
    for protocol in PROTOCOLS {
        let topics = topics(&servers, 3, &[1]);
        let settings = member(&servers, &topics, protocol);
        let mut broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
        assert!(matches!(next_turn(&mut broker), WorkerEvent::Assigned(_)));
        drop_in_time(broker, protocol);
    }
}

#[test]
fn dropped_with_a_revocation_that_it_has_not_heard_of() {
    let Some(servers) = kafka() else { return };
    for protocol in PROTOCOLS {
        let topics = topics(&servers, 3, &[1]);
        for _ in 0..ROUNDS {
            let settings = member(&servers, &topics, protocol);
            let mut worker = Worker::connect(settings, &topics, &[1]);
            worker.run_until(|worker| worker.tasks.len() == 3);
            // Another member joins, so this one has to give up partitions.
            let mut other = member(&servers, &topics, protocol);
            other.transactional_id.push('b');
            other.member_id = None;
            let other = KafkaBroker::connect(other, topics.clone()).expect("connected");
            thread::sleep(TOLD * 3);
            drop_in_time(worker.broker, protocol);
            drop_in_time(other, protocol);
        }
    }
}

#[test]
fn dropped_while_leaving_with_a_revocation_that_is_not_answered() {
    let Some(servers) = kafka() else { return };
    for protocol in PROTOCOLS {
        let topics = topics(&servers, 3, &[1]);
        let settings = member(&servers, &topics, protocol);
        let mut worker = Worker::connect(settings, &topics, &[1]);
        worker.run_until(|worker| worker.tasks.len() == 3);
        assert!(!worker.broker.leave());
        assert!(matches!(
            next_turn(&mut worker.broker),
            WorkerEvent::Revoked(_)
        ));
        drop_in_time(worker.broker, protocol);
    }
}
