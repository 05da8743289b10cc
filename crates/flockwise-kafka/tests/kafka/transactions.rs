//! Transactions, and workers that share a group.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, admin};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::support::{Worker, everything, kafka, make_topic, put, settings, topics};

const CHANGELOG: TopicPartition = TopicPartition {
    topic: Topic::Changelog,
    partition: 0,
};

fn row<'a>(key: &'a str, value: &'a str) -> Outgoing<'a> {
    Outgoing {
        topic: Topic::Changelog,
        partition: 0,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        // With a header it is sent immediately, not gathered with others.
        headers: &[("at", b"once")],
    }
}

fn replayed(broker: &mut KafkaBroker) -> Vec<String> {
    let mut keys = Vec::new();
    broker
        .replay(CHANGELOG, None, &mut |record| {
            keys.push(String::from_utf8_lossy(record.key.expect("a key")).into_owned());
        })
        .expect("replayed");
    keys
}

#[test]
fn what_goes_in_comes_out_once_and_lag_ends_at_zero() {
    let Some(servers) = kafka() else { return };
    let inputs = [4, 2];
    let topics = topics(&servers, 2, &inputs);
    for (name, partitions) in topics.inputs.iter().zip(inputs) {
        put(
            &servers,
            name,
            partitions,
            (0..1_000).map(|n| n.to_string()),
        );
    }
    let mut worker = Worker::connect(settings(&servers, &topics, "a"), &topics, &inputs);
    worker.run_until(|worker| worker.handled == 2_000);
    let lag = worker.broker.lag(TopicPartition {
        topic: Topic::Input(0),
        partition: 3,
    });
    assert_eq!(lag, Some(0));
    worker.leave();
    let name = topics.name(Topic::SegmentChanges);
    let out = everything(&servers, &name, 2, "read_committed");
    assert_eq!(out.len(), 2_000);
}

#[test]
fn what_is_aborted_is_never_seen() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker =
        KafkaBroker::connect(settings(&servers, &topics, "a"), topics.clone()).expect("connected");
    broker.send(row("kept", "1")).expect("sent");
    broker.commit(&[]).expect("committed");
    broker.send(row("aborted", "2")).expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    broker.abort().expect("aborted");
    broker.send(row("kept too", "3")).expect("sent");
    broker.commit(&[]).expect("committed");
    broker.send(row("aborted in the end", "4")).expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    broker.abort().expect("aborted");
    assert_eq!(replayed(&mut broker), ["kept", "kept too"]);
    let name = topics.name(Topic::Changelog);
    assert_eq!(everything(&servers, &name, 1, "read_uncommitted").len(), 4);
    assert_eq!(everything(&servers, &name, 1, "read_committed").len(), 2);
}

#[test]
fn a_successor_ends_the_open_transaction_that_its_restore_would_wait_for() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let connect = || KafkaBroker::connect(settings(&servers, &topics, "a"), topics.clone());
    let mut first = connect().expect("connected");
    first.send(row("kept", "1")).expect("sent");
    first.commit(&[]).expect("committed");
    first.send(row("left open", "2")).expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    let mut second = connect().expect("connected");
    let start = Instant::now();
    assert_eq!(replayed(&mut second), ["kept"]);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let fenced = first.commit(&[]).expect_err("fenced");
    assert!(matches!(fenced, Failure::Fenced(_)), "{fenced}");
    // Both are members, and nobody polls the first: its drop must not block.
    drop(first);
}

#[test]
fn forwarded_records_carry_their_origin() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker =
        KafkaBroker::connect(settings(&servers, &topics, "a"), topics.clone()).expect("connected");
    let topic_partition = TopicPartition {
        topic: Topic::Repartition,
        partition: 0,
    };
    for (key, value) in [(Some(&b""[..]), None), (None, Some(&b"v"[..]))] {
        broker
            .send(Outgoing {
                topic: Topic::Repartition,
                partition: 0,
                key,
                value,
                headers: &[("other", b"x")],
            })
            .expect("sent");
    }
    broker.commit(&[]).expect("committed");
    let mut batch = Batch::default();
    let start = Instant::now();
    while batch.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(20));
        match broker
            .poll(Duration::from_millis(100), 10, &mut batch)
            .expect("polled")
        {
            WorkerEvent::Assigned(_) => broker
                .open(&[(topic_partition, Start::Earliest)])
                .expect("opened"),
            WorkerEvent::Revoked(_) => broker.close(&[]).expect("closed"),
            _ => {}
        }
    }
    let records: Vec<_> = batch.records().collect();
    assert_eq!((records[0].key, records[0].value), (Some(&b""[..]), None));
    assert_eq!((records[1].key, records[1].value), (None, Some(&b"v"[..])));
    assert!(
        records[1].timestamp_ms > 1_700_000_000_123,
        "when it was sent"
    );
}

#[test]
fn members_hand_over_without_a_loss_or_a_double_eager() {
    members_hand_over(&[("partition.assignment.strategy", "range")]);
}

#[test]
fn members_hand_over_without_a_loss_or_a_double_cooperative() {
    members_hand_over(&[("partition.assignment.strategy", "cooperative-sticky")]);
}

#[test]
fn members_hand_over_without_a_loss_or_a_double_next_protocol() {
    members_hand_over(&[("group.protocol", "consumer")]);
}

/// Members join and leave while one stays and events keep arriving.
fn members_hand_over(properties: &[(&str, &str)]) {
    let Some(servers) = kafka() else { return };
    let inputs = [8];
    let topics = topics(&servers, 4, &inputs);
    let settings = |worker: &str| {
        let mut settings = settings(&servers, &topics, worker);
        for (key, value) in properties {
            settings.properties.insert((*key).into(), (*value).into());
        }
        settings
    };
    let stop = AtomicBool::new(false);
    let (handled, total) = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let mut worker = Worker::connect(settings("a"), &topics, &inputs);
            worker.run_until(|_| stop.load(Ordering::Relaxed));
            worker.leave();
            eprintln!(
                "{properties:?}: {:?} {:?}",
                worker.aborts, worker.rebalances
            );
            worker.handled
        });
        let others = scope.spawn(|| {
            for round in 0..3 {
                let mut worker = Worker::connect(settings(&format!("b{round}")), &topics, &inputs);
                worker.run_until(|worker| !worker.tasks.is_empty());
                let until = worker.handled + 200;
                worker.run_until(|worker| worker.handled >= until);
                worker.leave();
            }
        });
        let mut total = 0;
        while !others.is_finished() {
            put(
                &servers,
                &topics.inputs[0],
                8,
                (0..200).map(|n| n.to_string()),
            );
            total += 200;
            std::thread::sleep(Duration::from_millis(20));
        }
        others.join().expect("the others");
        let name = topics.name(Topic::SegmentChanges);
        let start = Instant::now();
        while everything(&servers, &name, 4, "read_committed").len() < total {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "some are missing"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        stop.store(true, Ordering::Relaxed);
        (first.join().expect("the first"), total)
    });
    let out = everything(
        &servers,
        &topics.name(Topic::SegmentChanges),
        4,
        "read_committed",
    );
    let different: BTreeSet<_> = out.iter().map(|(key, _)| key).collect();
    assert_eq!((out.len(), different.len()), (total, total));
    assert!(handled < total);
}

#[test]
fn a_dropped_broker_does_not_hang_and_its_place_is_taken() {
    let Some(servers) = kafka() else { return };
    let inputs = [2];
    let topics = topics(&servers, 2, &inputs);
    put(
        &servers,
        &topics.inputs[0],
        2,
        (0..100).map(|n| n.to_string()),
    );
    let mut settings = settings(&servers, &topics, "a");
    settings.member_id = Some("member-a".into());
    let mut worker = Worker::connect(settings.clone(), &topics, &inputs);
    worker.run_until(|worker| worker.handled == 100);
    let start = Instant::now();
    drop(worker);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    put(
        &servers,
        &topics.inputs[0],
        2,
        (0..10).map(|n| n.to_string()),
    );
    let mut worker = Worker::connect(settings, &topics, &inputs);
    worker.run_until(|worker| worker.handled == 10);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn nobody_answers() {
    let topics = Topics {
        app: "nobody".into(),
        inputs: vec!["in".into()],
        state_partitions: 1,
    };
    let mut settings = settings("127.0.0.1:1", &topics, "a");
    settings.start_timeout_ms = 1_000;
    let start = Instant::now();
    let Err(error) = KafkaBroker::connect(settings, topics) else {
        panic!("connected to nobody");
    };
    let text = error.to_string();
    assert!(matches!(error, Failure::Fatal(_)), "{text}");
    assert!(
        text.contains("127.0.0.1:1") && text.contains("Connection refused"),
        "{text}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn topics_that_are_missing_or_of_another_size_are_named() {
    let Some(servers) = kafka() else { return };
    let mut topics = topics(&servers, 2, &[3]);
    let settings = settings(&servers, &topics, "a");
    let count = admin::input_partitions(&settings, &topics.inputs).expect("counted");
    assert_eq!(count, [3]);
    let missing = admin::input_partitions(&settings, &["no-such-topic".into()])
        .expect_err("missing")
        .to_string();
    assert!(missing.contains("no-such-topic"), "{missing}");
    assert_eq!(
        admin::ensure_topics(&settings, &topics).expect("all there"),
        Vec::<String>::new()
    );
    topics.state_partitions = 3;
    let error = admin::ensure_topics(&settings, &topics)
        .expect_err("another size")
        .to_string();
    assert!(error.contains("has 2 partitions, expected 3"), "{error}");
    make_topic(&servers, &format!("{}-extra", topics.app), 1);
}

#[test]
fn a_record_that_is_too_large_is_refused_and_the_rest_goes_on() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker =
        KafkaBroker::connect(settings(&servers, &topics, "a"), topics).expect("connected");
    broker.send(row("small", "1")).expect("sent");
    let large = "x".repeat(5 << 20);
    let error = broker.send(row("large", &large)).expect_err("too large");
    assert!(matches!(error, Failure::Config(_)), "{error}");
    let fits = "x".repeat(3 << 20);
    broker.send(row("fits", &fits)).expect("sent");
    broker.commit(&[]).expect("committed");
    assert_eq!(replayed(&mut broker), ["small", "fits"]);
}
