//! The broker against a real Apache Kafka. Skipped, with a word, where none is named.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwise_kafka::{Delivery, KafkaBroker, admin};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Broker, Failure, ORIGIN_HEADER, Outgoing, Start, Turn};
use flockwise_runtime::topics::{Source, Topic, Topics};
use support::{
    PATIENCE, Shard, delete_before, everything, kafka, make_topic, put, put_timed, settings, topics,
};

const CHANGELOG: Source = Source {
    topic: Topic::Changelog,
    partition: 0,
};

fn row<'a>(key: &'a str, value: &'a str) -> Outgoing<'a> {
    Outgoing {
        topic: Topic::Changelog,
        partition: 0,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        timestamp_ms: None,
        headers: &[],
    }
}

fn replayed(broker: &mut KafkaBroker) -> Vec<String> {
    let mut keys = Vec::new();
    broker
        .replay(CHANGELOG, &mut |record| {
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
    let mut shard = Shard::connect(settings(&servers, &topics, "a"), &topics, &inputs);
    shard.run_until(|shard| shard.handled == 2_000);
    let lag = shard.broker.lag(Source {
        topic: Topic::Input(0),
        partition: 3,
    });
    assert_eq!(lag, Some(0));
    shard.leave();
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
    assert!(matches!(fenced, Failure::Fatal(_)), "{fenced}");
    // Both are members, and nobody serves the first: it must not be waited for.
    drop(first);
}

#[test]
fn forwarded_records_carry_their_origin_and_time() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut broker =
        KafkaBroker::connect(settings(&servers, &topics, "a"), topics.clone()).expect("connected");
    let source = Source {
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
                timestamp_ms: Some(1_700_000_000_123),
                headers: &[("other", b"x"), (ORIGIN_HEADER, b"clicks/3/7")],
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
            Turn::Assigned(_) => broker.open(&[(source, Start::Earliest)]).expect("opened"),
            Turn::Revoked(_) => broker.close(&[]).expect("closed"),
            _ => {}
        }
    }
    let records: Vec<_> = batch.records().collect();
    assert_eq!((records[0].key, records[0].value), (Some(&b""[..]), None));
    assert_eq!((records[1].key, records[1].value), (None, Some(&b"v"[..])));
    assert_eq!(records[1].origin, Some(&b"clicks/3/7"[..]));
    assert_eq!(records[1].timestamp_ms, 1_700_000_000_123);
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

/// Others come and go while one stays and events keep arriving.
fn members_hand_over(properties: &[(&str, &str)]) {
    let Some(servers) = kafka() else { return };
    let inputs = [8];
    let topics = topics(&servers, 4, &inputs);
    let settings = |shard: &str| {
        let mut settings = settings(&servers, &topics, shard);
        for (key, value) in properties {
            settings.properties.insert((*key).into(), (*value).into());
        }
        settings
    };
    let stop = AtomicBool::new(false);
    let (handled, total) = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let mut shard = Shard::connect(settings("a"), &topics, &inputs);
            shard.run_until(|_| stop.load(Ordering::Relaxed));
            shard.leave();
            eprintln!("{properties:?}: {:?} {:?}", shard.aborts, shard.rebalances);
            shard.handled
        });
        let others = scope.spawn(|| {
            for round in 0..3 {
                let mut shard = Shard::connect(settings(&format!("b{round}")), &topics, &inputs);
                shard.run_until(|shard| !shard.tasks.is_empty());
                let until = shard.handled + 200;
                shard.run_until(|shard| shard.handled >= until);
                shard.leave();
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
    let mut shard = Shard::connect(settings.clone(), &topics, &inputs);
    shard.run_until(|shard| shard.handled == 100);
    let start = Instant::now();
    drop(shard);
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
    let mut shard = Shard::connect(settings, &topics, &inputs);
    shard.run_until(|shard| shard.handled == 10);
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
    assert!(matches!(error, Failure::Config(_)), "{text}");
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
    assert!(
        error.contains("has 2 partitions where 3 are expected"),
        "{error}"
    );
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

/// A broker with its one input partition open, and nothing else read.
fn reading(servers: &str, topics: &Topics, start: Start) -> KafkaBroker {
    let mut broker =
        KafkaBroker::connect(settings(servers, topics, "a"), topics.clone()).expect("connected");
    let mut batch = Batch::default();
    loop {
        let turn = broker.poll(PATIENCE, 10, &mut batch).expect("polled");
        if let Turn::Assigned(_) = turn {
            broker.open(&[(INPUT, start)]).expect("opened");
            return broker;
        }
    }
}

const INPUT: Source = Source {
    topic: Topic::Input(0),
    partition: 0,
};

#[test]
fn a_position_that_retention_has_passed_is_an_error_that_says_so() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    put(
        &servers,
        &topics.inputs[0],
        1,
        (0..100).map(|n| n.to_string()),
    );
    delete_before(&servers, &topics.inputs[0], 0, 50);
    let mut broker = reading(&servers, &topics, Start::Offset(10));
    let mut batch = Batch::default();
    for _ in 0..2 {
        let error = broker.poll(PATIENCE, 10, &mut batch).expect_err("gone");
        let text = error.to_string();
        assert!(matches!(error, Failure::Config(_)), "{text}");
        assert!(
            text.contains("in0/0") && text.contains("offset 10"),
            "{text}"
        );
    }
    broker.open(&[(INPUT, Start::Earliest)]).expect("opened");
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        Turn::Records
    );
    assert_eq!(batch.records().next().expect("one").offset, 50);
}

#[test]
fn reading_starts_at_a_time_or_at_the_end() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let now_ms = 1_000 * (std::time::UNIX_EPOCH.elapsed().expect("now").as_secs() as i64);
    let times = (0..100).map(|n| now_ms + n * 1_000);
    put_timed(&servers, &topics.inputs[0], 0, times);
    let mut broker = reading(&servers, &topics, Start::Time(now_ms + 41_500));
    let mut batch = Batch::default();
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        Turn::Records
    );
    assert_eq!(batch.records().next().expect("one").offset, 42);
    broker.open(&[(INPUT, Start::Latest)]).expect("opened");
    let patience = Duration::from_millis(500);
    assert_eq!(
        broker.poll(patience, 10, &mut batch).expect("polled"),
        Turn::Idle
    );
    put(
        &servers,
        &topics.inputs[0],
        1,
        ["new".to_owned()].into_iter(),
    );
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        Turn::Records
    );
    assert_eq!(batch.records().next().expect("one").offset, 100);
}

#[test]
fn a_backlog_is_read_in_step() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[3]);
    let now_ms = 1_000 * (std::time::UNIX_EPOCH.elapsed().expect("now").as_secs() as i64);
    const RECORDS: i64 = 20_000;
    for partition in 0..3 {
        // The same hours, at different densities.
        let step_ms = 10 * i64::from(partition + 1);
        let times = (0..RECORDS / i64::from(partition + 1)).map(|n| now_ms + n * step_ms);
        put_timed(&servers, &topics.inputs[0], partition, times);
    }
    let mut settings = settings(&servers, &topics, "a");
    settings.max_skew_ms = 5_000;
    let mut broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
    let inputs = (0..3).map(|partition| Source {
        topic: Topic::Input(0),
        partition,
    });
    let mut leads = std::collections::BTreeMap::new();
    let (mut batch, mut read) = (Batch::default(), 0);
    let start = Instant::now();
    while read < RECORDS + RECORDS / 2 + RECORDS / 3 {
        assert!(start.elapsed() < PATIENCE);
        match broker.poll(PATIENCE, 1_000, &mut batch).expect("polled") {
            Turn::Assigned(_) => {
                let reads: Vec<_> = inputs.clone().map(|s| (s, Start::Earliest)).collect();
                broker.open(&reads).expect("opened");
            }
            Turn::Records => {
                for record in batch.records() {
                    read += 1;
                    leads.insert(record.source, record.timestamp_ms);
                }
                for (source, time_ms) in &leads {
                    broker.lead(*source, *time_ms);
                }
                let (first, last) = (leads.values().min(), leads.values().max());
                let spread_ms = last.expect("some") - first.expect("some");
                // The skew, and a slice of the sparsest partition on top.
                assert!(
                    leads.len() < 3 || spread_ms <= 5_000 + 256 * 30,
                    "{spread_ms}"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn at_least_once_goes_on_where_it_committed() {
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
    settings.delivery = Delivery::AtLeastOnce;
    for expected in [100, 10] {
        let mut shard = Shard::connect(settings.clone(), &topics, &inputs);
        shard.run_until(|shard| shard.handled >= expected);
        assert_eq!(shard.handled, expected);
        shard.leave();
        put(
            &servers,
            &topics.inputs[0],
            2,
            (0..10).map(|n| n.to_string()),
        );
    }
    let name = topics.name(Topic::SegmentChanges);
    assert_eq!(everything(&servers, &name, 2, "read_committed").len(), 110);
}

#[test]
fn a_position_is_past_the_control_record_that_ends_a_transaction() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut outsider = settings(&servers, &topics, "b");
    // A member of the same group that is not polled would hold the other up.
    outsider.group += "-other";
    let mut other = KafkaBroker::connect(outsider, topics.clone()).expect("connected");
    let mut broker = reading(&servers, &topics, Start::Earliest);
    let event = Outgoing {
        topic: Topic::Input(0),
        ..row("key", "value")
    };
    other.send(event).expect("sent");
    other.commit(&[]).expect("committed");
    let mut batch = Batch::default();
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        Turn::Records
    );
    while broker.position(INPUT) != Some(2) {
        let turn = broker.poll(Duration::from_millis(10), 10, &mut batch);
        assert_eq!(turn.expect("polled"), Turn::Idle);
    }
    assert_eq!(broker.lag(INPUT), Some(0));
}
