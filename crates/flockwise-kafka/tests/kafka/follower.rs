//! The follower, with which standbys read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaFollower};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower, Outgoing, Transactions};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::support::{PATIENCE, kafka, settings, topics};

fn changelog(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: Topic::Changelog,
        partition,
    }
}

fn row(partition: u32, value: &str) -> Outgoing<'_> {
    Outgoing {
        topic: Topic::Changelog,
        partition,
        key: Some(b"key"),
        value: Some(value.as_bytes()),
        headers: &[],
    }
}

fn set(servers: &str, partitions: u32) -> (Topics, KafkaBroker, KafkaFollower) {
    let topics = topics(servers, partitions, &[1]);
    let writer = KafkaBroker::connect(settings(servers, &topics, "a"), topics.clone());
    let follower = KafkaFollower::connect(&settings(servers, &topics, "b"), topics.clone());
    (
        topics,
        writer.expect("connected"),
        follower.expect("connected"),
    )
}

/// Polls until `count` records have arrived. Returns their values by partition.
fn read(follower: &mut KafkaFollower, count: usize) -> BTreeMap<u32, Vec<String>> {
    let (mut batch, mut values) = (Batch::default(), BTreeMap::<u32, Vec<String>>::new());
    let (start, mut read) = (Instant::now(), 0);
    while read < count {
        assert!(start.elapsed() < PATIENCE, "only {values:?}");
        follower
            .poll(Duration::from_millis(100), 7, &mut batch)
            .expect("polled");
        assert!(batch.len() <= 7);
        for record in batch.records() {
            let value = String::from_utf8_lossy(record.value.expect("a value"));
            let of_partition = values.entry(record.topic_partition.partition);
            of_partition.or_default().push(value.into_owned());
        }
        read += batch.len();
    }
    values
}

#[test]
fn what_is_committed_arrives_in_order_and_the_rest_never() {
    let Some(servers) = kafka() else { return };
    let (_, mut writer, mut follower) = set(&servers, 3);
    let mut write = |number: u32| {
        for partition in 0..3 {
            let value = number.to_string();
            writer.send(row(partition, &value)).expect("sent");
        }
    };
    (0..100).for_each(&mut write);
    writer.commit(&[]).expect("committed");
    let reads = [(changelog(0), None), (changelog(2), Some(90))];
    follower.follow(&reads).expect("followed");
    let values = read(&mut follower, 100 + 10);
    let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(values[&0], expected);
    assert_eq!(values[&2], expected[90..]);

    for partition in [0, 2] {
        writer.send(row(partition, "aborted")).expect("sent");
    }
    writer.abort().expect("aborted");
    for partition in 0..3 {
        writer.send(row(partition, "after")).expect("sent");
    }
    writer.commit(&[]).expect("committed");
    let values = read(&mut follower, 2);
    assert_eq!(
        (&values[&0][..], &values[&2][..]),
        (&["after".to_owned()][..], &["after".to_owned()][..])
    );
}

#[test]
fn others_come_and_go_and_the_rest_goes_on_where_it_was() {
    let Some(servers) = kafka() else { return };
    let (_, mut writer, mut follower) = set(&servers, 3);
    let mut write = |value: &str| {
        for partition in 0..3 {
            writer.send(row(partition, value)).expect("sent");
        }
        writer.commit(&[]).expect("committed");
    };
    write("one");
    let (a, b, c) = (changelog(0), changelog(1), changelog(2));
    follower.follow(&[(a, None), (b, None)]).expect("followed");
    assert_eq!(read(&mut follower, 2).len(), 2);
    // The offset given for a partition that is followed already is ignored.
    follower.follow(&[(c, None), (b, None)]).expect("followed");
    write("two");
    let values = read(&mut follower, 3);
    assert_eq!(values.keys().collect::<Vec<_>>(), [&1, &2]);
    assert_eq!((values[&1].len(), values[&2].len()), (1, 2));
    follower.follow(&[]).expect("followed");
    write("three");
    let mut batch = Batch::default();
    let patience = Duration::from_millis(700);
    follower.poll(patience, 10, &mut batch).expect("polled");
    assert!(batch.is_empty());
    follower.follow(&[(a, Some(2))]).expect("followed");
    assert_eq!(read(&mut follower, 2)[&0], ["two", "three"]);
}

/// Records that the client has fetched for the first reading do not arrive in the second.
#[test]
fn one_that_is_let_go_of_and_followed_again_is_read_from_its_beginning() {
    let Some(servers) = kafka() else { return };
    let (_, mut writer, mut follower) = set(&servers, 1);
    for number in 0..5_000 {
        let value = number.to_string();
        writer.send(row(0, &value)).expect("sent");
    }
    writer.commit(&[]).expect("committed");
    let reads = [(changelog(0), None)];
    let expected: Vec<String> = (0..700).map(|n| n.to_string()).collect();
    for _ in 0..3 {
        follower.follow(&reads).expect("followed");
        assert_eq!(read(&mut follower, 700)[&0], expected);
        follower.follow(&[]).expect("followed");
    }
}

#[test]
fn what_cannot_be_followed_is_an_error() {
    let Some(servers) = kafka() else { return };
    let (_, _, mut follower) = set(&servers, 1);
    let error = follower.follow(&[(changelog(1), None)]);
    let error = error.expect_err("missing");
    assert!(matches!(error, Failure::Config(_)), "{error}");
    follower
        .follow(&[(changelog(0), Some(10))])
        .expect("followed");
    let mut batch = Batch::default();
    let error = follower.poll(PATIENCE, 10, &mut batch).expect_err("gone");
    assert!(matches!(error, Failure::Fatal(_)), "{error}");
    assert!(error.to_string().contains("changelog/0"), "{error}");
}
