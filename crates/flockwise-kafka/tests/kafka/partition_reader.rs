//! Where reading starts, and how it goes on after lost records.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaSettings};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{GroupConsumer, Outgoing, Start, Transactions, WorkerEvent};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use flockwise_vocabulary::lost_records::LostRecords;

use crate::support::{
    PATIENCE, delete_before, eventually, kafka, put, put_timed, settings, stamp_by_broker, topics,
};

/// A broker that reads its one input partition and nothing else.
fn replay(servers: &str, topics: &Topics, start: Start) -> KafkaBroker {
    reading_with(settings(servers, topics, "a"), topics, start)
}

fn reading_with(settings: KafkaSettings, topics: &Topics, start: Start) -> KafkaBroker {
    let mut broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
    let mut batch = Batch::default();
    loop {
        let turn = broker.poll(PATIENCE, 10, &mut batch).expect("polled");
        if let WorkerEvent::Assigned(_) = turn {
            broker.open(&[(INPUT, start)]).expect("opened");
            return broker;
        }
    }
}

const INPUT: TopicPartition = TopicPartition {
    topic: Topic::Input(0),
    partition: 0,
};

/// Offsets read within a second, by partition.
fn offsets(broker: &mut KafkaBroker) -> BTreeMap<u32, Vec<i64>> {
    let (mut batch, mut offsets) = (Batch::default(), BTreeMap::<u32, Vec<i64>>::new());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        broker
            .poll(Duration::from_millis(50), 10, &mut batch)
            .expect("polled");
        for record in batch.records() {
            let of_partition = offsets.entry(record.topic_partition.partition);
            of_partition.or_default().push(record.offset);
        }
    }
    offsets
}

#[test]
fn a_partition_whose_next_record_is_gone_stops_and_the_others_go_on() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[2]);
    let values = || (0..200).map(|n| n.to_string());
    put(&servers, &topics.inputs[0], 2, values());
    delete_before(&servers, &topics.inputs[0], 0, 50);
    let mut broker = replay(&servers, &topics, Start::Offset(10));
    let other = TopicPartition {
        partition: 1,
        ..INPUT
    };
    broker.open(&[(other, Start::Offset(10))]).expect("opened");
    let read = offsets(&mut broker);
    assert_eq!(read.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(read[&1], (10..100).collect::<Vec<_>>());
    assert_eq!(broker.halted(), [INPUT]);
    assert_eq!(broker.position(INPUT), Some(10), "nothing of it was read");
    put(&servers, &topics.inputs[0], 2, values());
    assert_eq!(offsets(&mut broker)[&1].len(), 100);
    assert_eq!(broker.halted(), [INPUT]);

    broker.open(&[(INPUT, Start::Earliest)]).expect("opened");
    assert_eq!(offsets(&mut broker)[&0].first(), Some(&50));
    assert_eq!(broker.halted(), []);
}

#[test]
fn what_is_lost_is_skipped_where_that_is_wanted() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let values = (0..100).map(|n| n.to_string());
    put(&servers, &topics.inputs[0], 1, values);
    delete_before(&servers, &topics.inputs[0], 0, 50);
    let mut settings = settings(&servers, &topics, "a");
    settings.lost_records = LostRecords::Skip;
    let mut broker = reading_with(settings, &topics, Start::Offset(10));
    assert_eq!(offsets(&mut broker)[&0], (50..100).collect::<Vec<_>>());
    assert_eq!(broker.halted(), []);
    assert_eq!(broker.position(INPUT), Some(100));
}

/// Two brokers, each at `start` in a partition of 100 records, to which 50 are then added. The first one halts at lost
/// records, the second one skips them.
fn truncated(start: Start) -> Option<(KafkaBroker, KafkaBroker)> {
    let servers = kafka()?;
    let brokers = [LostRecords::Stop, LostRecords::Skip].map(|lost_records| {
        let topics = topics(&servers, 1, &[1]);
        put(
            &servers,
            &topics.inputs[0],
            1,
            (0..100).map(|n| n.to_string()),
        );
        let mut settings = settings(&servers, &topics, "a");
        settings.lost_records = lost_records;
        let mut broker = reading_with(settings, &topics, start);
        assert_eq!(offsets(&mut broker), BTreeMap::new());
        put(
            &servers,
            &topics.inputs[0],
            1,
            (0..50).map(|n| n.to_string()),
        );
        broker
    });
    Some(brokers.into())
}

#[test]
fn a_position_behind_the_end_stops_or_goes_on_at_the_end() {
    let behind = |leader_epoch| Start::at(120, leader_epoch);
    for start in [None, Some(0)].map(behind) {
        let Some((mut stopped, mut skipped)) = truncated(start) else {
            return;
        };
        assert_eq!(offsets(&mut stopped), BTreeMap::new());
        assert_eq!(stopped.halted(), [INPUT]);
        assert_eq!(stopped.position(INPUT), Some(120), "nothing of it was read");
        assert_eq!(offsets(&mut skipped)[&0], (100..150).collect::<Vec<_>>());
        assert_eq!(skipped.halted(), []);
    }
}

#[test]
fn a_leader_epoch_that_the_leader_does_not_know_is_a_truncation_too() {
    let Some((mut stopped, mut skipped)) = truncated(Start::at(100, Some(7))) else {
        return;
    };
    assert_eq!(offsets(&mut stopped), BTreeMap::new());
    assert_eq!(stopped.halted(), [INPUT]);
    assert_eq!(stopped.leader_epoch(INPUT), Some(7));
    assert_eq!(offsets(&mut skipped)[&0], (100..150).collect::<Vec<_>>());
    assert_eq!(skipped.leader_epoch(INPUT), Some(0), "of the new records");
}

#[test]
fn a_position_is_kept_with_its_leader_epoch_and_read_on_from() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    put(
        &servers,
        &topics.inputs[0],
        1,
        (0..100).map(|n| n.to_string()),
    );
    let mut broker = replay(&servers, &topics, Start::Earliest);
    assert_eq!(broker.leader_epoch(INPUT), None, "nothing was read");
    assert_eq!(offsets(&mut broker)[&0].len(), 100);
    let kept = |broker: &KafkaBroker| {
        let position = broker.position(INPUT).expect("a position");
        (position, broker.leader_epoch(INPUT))
    };
    assert_eq!(kept(&broker), (100, Some(0)));
    broker
        .open(&[(INPUT, Start::at(40, Some(0)))])
        .expect("opened");
    assert_eq!(kept(&broker), (40, Some(0)), "also before anything is read");
    assert_eq!(offsets(&mut broker)[&0], (40..100).collect::<Vec<_>>());
    assert_eq!(kept(&broker), (100, Some(0)));
}

#[test]
fn reading_starts_at_a_time_or_at_the_end() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let now_ms = 1_000 * (std::time::UNIX_EPOCH.elapsed().expect("now").as_secs() as i64);
    let times = (0..100).map(|n| now_ms + n * 1_000);
    put_timed(&servers, &topics.inputs[0], 0, times);
    let mut broker = replay(&servers, &topics, Start::Time(now_ms + 41_500));
    let mut batch = Batch::default();
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        WorkerEvent::Records
    );
    assert_eq!(batch.records().next().expect("one").offset, 42);
    broker.open(&[(INPUT, Start::Latest)]).expect("opened");
    let patience = Duration::from_millis(500);
    assert_eq!(
        broker.poll(patience, 10, &mut batch).expect("polled"),
        WorkerEvent::Idle
    );
    put(
        &servers,
        &topics.inputs[0],
        1,
        ["new".to_owned()].into_iter(),
    );
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        WorkerEvent::Records
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
        // The same time span, at different densities.
        let step_ms = 10 * i64::from(partition + 1);
        let times = (0..RECORDS / i64::from(partition + 1)).map(|n| now_ms + n * step_ms);
        put_timed(&servers, &topics.inputs[0], partition, times);
    }
    let mut settings = settings(&servers, &topics, "a");
    settings.max_skew_ms = 5_000;
    let mut broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
    let inputs = (0..3).map(|partition| TopicPartition {
        topic: Topic::Input(0),
        partition,
    });
    let mut leads = BTreeMap::new();
    let (mut batch, mut read) = (Batch::default(), 0);
    let start = Instant::now();
    while read < RECORDS + RECORDS / 2 + RECORDS / 3 {
        assert!(start.elapsed() < PATIENCE);
        match broker.poll(PATIENCE, 1_000, &mut batch).expect("polled") {
            WorkerEvent::Assigned(_) => {
                let reads: Vec<_> = inputs.clone().map(|s| (s, Start::Earliest)).collect();
                broker.open(&reads).expect("opened");
            }
            WorkerEvent::Records => {
                for record in batch.records() {
                    read += 1;
                    leads.insert(record.topic_partition, record.timestamp_ms);
                }
                for (topic_partition, time_ms) in &leads {
                    broker.report_progress(*topic_partition, *time_ms);
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
fn a_position_is_past_the_control_record_that_ends_a_transaction() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let mut outsider = settings(&servers, &topics, "b");
    // A member of the same group that does not poll would hold up the other.
    outsider.group += "-other";
    let mut other = KafkaBroker::connect(outsider, topics.clone()).expect("connected");
    let mut broker = replay(&servers, &topics, Start::Earliest);
    let event = Outgoing {
        topic: Topic::Input(0),
        partition: 0,
        key: None,
        value: Some(b"value"),
        headers: &[],
    };
    other.send(event).expect("sent");
    other.commit(&[]).expect("committed");
    let mut batch = Batch::default();
    assert_eq!(
        broker.poll(PATIENCE, 10, &mut batch).expect("polled"),
        WorkerEvent::Records
    );
    while broker.position(INPUT) != Some(2) {
        let turn = broker.poll(Duration::from_millis(10), 10, &mut batch);
        assert_eq!(turn.expect("polled"), WorkerEvent::Idle);
    }
    assert_eq!(broker.lag(INPUT), Some(0));
}

/// By this a worker notices that its machine's clock is behind.
#[test]
fn the_brokers_clock_is_known_where_they_stamp_records() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[1]);
    let input = &topics.inputs[0];
    put_timed(&servers, input, 0, 1_000..1_010);
    let mut broker = replay(&servers, &topics, Start::Earliest);
    assert_eq!(offsets(&mut broker)[&0].len(), 10);
    assert_eq!(broker.log_append_ms(), None, "producers stamped them");
    stamp_by_broker(&servers, input);
    eventually(|| {
        put_timed(&servers, input, 0, 1_010..1_011);
        offsets(&mut broker);
        broker.log_append_ms().is_some()
    });
    assert!(broker.log_append_ms() > Some(1_700_000_000_000));
}
