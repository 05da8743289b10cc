//! Replays of a partition to its end, and what may prevent them.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaTopicClient};
use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{
    Failure, ORIGIN_HEADER, Outgoing, PIPELINE_KEY, Replayed, TopicReader, Transactions,
};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::support::{
    delete_before, delete_topic, eventually, kafka, make_topic, put, settings, topics,
};

const CHANGELOG: TopicPartition = TopicPartition {
    topic: Topic::Changelog,
    partition: 0,
};
const PIPELINE: TopicPartition = TopicPartition {
    topic: Topic::Pipeline,
    partition: 0,
};
const INPUT: TopicPartition = TopicPartition {
    topic: Topic::Input(0),
    partition: 0,
};

/// A worker in a group of its own.
fn outsider(servers: &str, topics: &Topics, worker: &str) -> KafkaBroker {
    let mut settings = settings(servers, topics, worker);
    settings.group = format!("{}-{worker}", settings.group);
    KafkaBroker::connect(settings, topics.clone()).expect("connected")
}

/// A row that is sent immediately, since it has a header.
fn row(key: &str) -> Outgoing<'_> {
    Outgoing {
        topic: Topic::Changelog,
        partition: 0,
        key: Some(key.as_bytes()),
        value: Some(b"value"),
        headers: &[(ORIGIN_HEADER, b"zombie")],
    }
}

fn replay(broker: &mut KafkaBroker, from: Option<i64>) -> (Replayed, Vec<String>) {
    let mut keys = Vec::new();
    let replayed = broker.replay(CHANGELOG, from, &mut |record| {
        keys.push(String::from_utf8_lossy(record.key.expect("a key")).into_owned());
    });
    (replayed.expect("replayed"), keys)
}

#[test]
fn a_transaction_that_nobody_ends_is_told_of_and_ended() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut zombie = outsider(&servers, &topics, "zombie");
    zombie.send(row("kept")).expect("sent");
    zombie.commit(&[]).expect("committed");
    zombie.send(row("left open")).expect("sent");
    let mut broker = outsider(&servers, &topics, "heir");
    broker.send(row("behind it")).expect("sent");
    broker.commit(&[]).expect("committed");
    // A record and its commit marker, the open record, the one committed behind it and its commit marker.
    eventually(|| broker.end_offsets(&[CHANGELOG]).expect("ends") == [5]);

    for _ in 0..2 {
        let start = Instant::now();
        let (replayed, keys) = replay(&mut broker, None);
        assert_eq!(keys, ["kept"]);
        assert_eq!(replayed, Replayed::Held(2));
        let took = start.elapsed();
        assert!(took < Duration::from_millis(1_500), "{took:?}");
    }
    // The uncommitted record names its worker.
    let mut seen = Vec::new();
    let mut see = |record: Record<'_>| {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.expect("bytes")).into_owned();
        seen.push((record.offset, text(record.key), text(record.origin)));
    };
    broker
        .read_uncommitted(CHANGELOG, 2, &mut see)
        .expect("seen");
    assert_eq!(seen[0], (2, "left open".to_owned(), "zombie".to_owned()));
    broker.fence(zombie.transactional_id()).expect("evicted");
    let (replayed, keys) = replay(&mut broker, Some(2));
    // One more: the abort marker.
    assert_eq!(replayed, Replayed::Whole(6));
    assert_eq!(keys, ["behind it"]);
    let fenced = zombie.commit(&[]).expect_err("fenced");
    assert!(matches!(fenced, Failure::Fenced(_)), "{fenced}");
    assert_eq!(replay(&mut broker, None).1, ["kept", "behind it"]);
}

/// A record that another instance has committed behind an open transaction counts, although it is not readable yet.
#[test]
fn the_pipeline_record_is_replaced_only_where_nobody_else_has_done_so() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let record = |key| Outgoing {
        topic: Topic::Pipeline,
        key: Some(key),
        ..row("")
    };
    let mut worker = outsider(&servers, &topics, "shard");
    worker.send(record(b"a task's mark")).expect("sent");
    eventually(|| worker.end_offsets(&[PIPELINE]).expect("ends") == [1]);
    let mut quicker = outsider(&servers, &topics, "quicker");
    quicker.send(record(PIPELINE_KEY)).expect("sent");
    quicker.commit(&[]).expect("committed");
    let settings = settings(&servers, &topics, "slower");
    let mut slower = KafkaTopicClient::connect(settings, topics.clone()).expect("connected");
    let replaced = thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_secs(2));
            worker.abort().expect("aborted");
        });
        slower.replace_pipeline_record(None, b"too late")
    });
    assert!(!replaced.expect("an answer"));
    let found = slower.pipeline_record().expect("read");
    assert_eq!(found.as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_shard_in_its_own_way_is_told_to_abort() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker = outsider(&servers, &topics, "a");
    let name = broker.transactional_id().to_owned();
    broker.fence(&name).expect("nothing is open");
    broker.send(row("left open")).expect("sent");
    eventually(|| broker.end_offsets(&[CHANGELOG]).expect("ends") == [1]);
    assert_eq!(replay(&mut broker, None), (Replayed::Held(0), Vec::new()));
    let error = broker.fence(&name).expect_err("its own");
    assert!(matches!(error, Failure::Abort(_)), "{error}");
    broker.abort().expect("aborted");
    let (replayed, keys) = replay(&mut broker, None);
    assert!(matches!(replayed, Replayed::Whole(_)), "{replayed:?}");
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn an_offset_that_is_not_there_is_gone() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let values = (0..100).map(|n| n.to_string());
    put(&servers, &topics.inputs[0], 1, values);
    delete_before(&servers, &topics.inputs[0], 0, 50);
    let mut broker = outsider(&servers, &topics, "a");
    let mut replayed = |from| {
        let mut offsets = Vec::new();
        let replayed = broker.replay(INPUT, from, &mut |record| offsets.push(record.offset));
        let replayed = replayed.expect("replayed");
        (replayed, offsets.first().copied(), offsets.len())
    };
    let whole = Replayed::Whole(100);
    assert_eq!(replayed(None), (whole, Some(50), 50));
    assert_eq!(replayed(Some(50)), (whole, Some(50), 50));
    assert_eq!(replayed(Some(99)), (whole, Some(99), 1));
    assert_eq!(replayed(Some(100)), (whole, None, 0));
    for gone in [0, 49, 101, 1_000_000, -1] {
        assert_eq!(replayed(Some(gone)), (Replayed::Gone, None, 0), "{gone}");
    }
    assert_eq!(replayed(Some(98)), (whole, Some(98), 2));
}

#[test]
fn ends_count_what_is_not_committed_and_what_is_missing_is_named() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 3, &[2]);
    put(
        &servers,
        &topics.inputs[0],
        2,
        (0..30).map(|n| n.to_string()),
    );
    let mut broker = outsider(&servers, &topics, "a");
    let topic_partition = |topic, partition| TopicPartition { topic, partition };
    let asked = [
        topic_partition(Topic::Changelog, 2),
        topic_partition(Topic::Input(0), 1),
        topic_partition(Topic::Changelog, 0),
    ];
    assert_eq!(broker.end_offsets(&asked).expect("ends"), [0, 15, 0]);
    broker.send(row("uncommitted")).expect("sent");
    eventually(|| broker.end_offsets(&asked).expect("ends") == [0, 15, 1]);
    assert_eq!(broker.end_offsets(&[]).expect("ends"), [0; 0]);
    let error = broker.end_offsets(&[topic_partition(Topic::Changelog, 3)]);
    let error = error.expect_err("missing");
    assert!(matches!(error, Failure::Config(_)), "{error}");
    assert!(error.to_string().contains("changelog"), "{error}");
}

#[test]
fn a_topic_made_anew_is_another() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker = outsider(&servers, &topics, "a");
    let input = broker.topic_id(Topic::Input(0)).expect("identity");
    assert_eq!(broker.topic_id(Topic::Input(0)).expect("identity"), input);
    assert_ne!(broker.topic_id(Topic::Model).expect("identity"), input);
    delete_topic(&servers, &topics.inputs[0]);
    make_topic(&servers, &topics.inputs[0], 1);
    assert_ne!(broker.topic_id(Topic::Input(0)).expect("identity"), input);
    delete_topic(&servers, &topics.inputs[0]);
    let error = broker.topic_id(Topic::Input(0)).expect_err("missing");
    assert!(error.to_string().contains("in0"), "{error}");
}

#[test]
fn several_partitions_are_read_at_once_and_each_is_told_of() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[4]);
    let values = (0..40).map(|n| n.to_string());
    put(&servers, &topics.inputs[0], 4, values);
    delete_before(&servers, &topics.inputs[0], 1, 5);
    let mut zombie = outsider(&servers, &topics, "zombie");
    zombie.send(row("left open")).expect("sent");
    let mut broker = outsider(&servers, &topics, "a");
    eventually(|| broker.end_offsets(&[CHANGELOG]).expect("ends") == [1]);

    let input = |partition| TopicPartition {
        topic: Topic::Input(0),
        partition,
    };
    let reads = [
        (input(0), None),
        (CHANGELOG, None),
        (input(1), Some(0)),
        (input(2), Some(10)),
        (input(3), Some(7)),
    ];
    let mut read = Vec::new();
    let replayed = broker.replay_all(&reads, &mut |record| {
        read.push((record.topic_partition.partition, record.offset));
    });
    let whole = Replayed::Whole(10);
    let expected = [whole, Replayed::Held(0), Replayed::Gone, whole, whole];
    assert_eq!(replayed.expect("replayed"), expected);
    read.sort_unstable();
    let first = (0..10).map(|offset| (0, offset));
    let expected: Vec<(u32, i64)> = first.chain((7..10).map(|offset| (3, offset))).collect();
    assert_eq!(read, expected);
}
