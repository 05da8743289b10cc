//! Produced records: none is lost, duplicated, changed or out of order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaSettings};
use flockwise_runtime::broker::{Outgoing, Replayed, TopicReader, Transactions};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::support::{everything, kafka, settings, topics};

const PARTITIONS: u32 = 3;

fn connect(settings: KafkaSettings, topics: &Topics) -> KafkaBroker {
    KafkaBroker::connect(settings, topics.clone()).expect("connected")
}

/// A value whose size depends on the number, and which repeats the number throughout.
fn value(number: u32) -> Vec<u8> {
    let stamp = format!("{number:08}");
    stamp.repeat(1 + number as usize % 60).into_bytes()
}

fn send(broker: &mut KafkaBroker, number: u32, headers: &[(&str, &[u8])]) {
    let sent = broker.send(Outgoing {
        topic: Topic::Changelog,
        partition: number % PARTITIONS,
        key: Some(number.to_string().as_bytes()),
        value: Some(&value(number)),
        headers,
    });
    sent.expect("sent");
}

/// The replayed numbers by partition. Checks that the values are whole.
fn replayed(broker: &mut KafkaBroker) -> BTreeMap<u32, Vec<u32>> {
    let mut numbers = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let topic_partition = TopicPartition {
            topic: Topic::Changelog,
            partition,
        };
        let mut found = Vec::new();
        let end = broker.replay(topic_partition, None, &mut |record| {
            let key = str::from_utf8(record.key.expect("a key")).expect("digits");
            let number = key.parse().expect("a number");
            assert_eq!(record.value, Some(&value(number)[..]), "{number}");
            found.push(number);
        });
        assert!(matches!(end, Ok(Replayed::Whole(_))), "{end:?}");
        numbers.insert(partition, found);
    }
    numbers
}

fn in_turn(numbers: impl Iterator<Item = u32>) -> BTreeMap<u32, Vec<u32>> {
    let mut expected = BTreeMap::<u32, Vec<u32>>::new();
    for number in numbers {
        expected
            .entry(number % PARTITIONS)
            .or_default()
            .push(number);
    }
    expected
}

#[test]
fn every_record_arrives_whole_and_in_order_whichever_way_it_goes() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, PARTITIONS, &[1]);
    let mut broker = connect(settings(&servers, &topics, "a"), &topics);
    for number in 0..20_000 {
        // Records with headers are sent alone, and overtake nothing. Some follow one another closely.
        let is_alone = number % 1_000 < 3 || (6_000..6_300).contains(&number) && number % 2 == 0;
        let headers: &[(&str, &[u8])] = if is_alone { &[("alone", b"")] } else { &[] };
        send(&mut broker, number, headers);
        if number % 7_000 == 6_999 {
            broker.commit(&[]).expect("committed");
        }
    }
    broker.commit(&[]).expect("committed");
    assert_eq!(replayed(&mut broker), in_turn(0..20_000));
}

#[test]
fn what_follows_an_abort_is_written_over_nothing_that_is_still_on_its_way() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, PARTITIONS, &[1]);
    let mut settings = settings(&servers, &topics, "a");
    // Records are sent as soon as they are handed over.
    settings.properties.insert("linger.ms".into(), "0".into());
    let mut broker = connect(settings.clone(), &topics);
    let mut committed = Vec::new();
    for round in 0..12_u32 {
        let numbers = round * 10_000..round * 10_000 + 4_000 + round * 500;
        for number in numbers.clone() {
            send(&mut broker, number, &[]);
        }
        if round % 3 == 2 {
            broker.commit(&[]).expect("committed");
            committed.extend(numbers);
        } else {
            std::thread::sleep(Duration::from_millis(u64::from(round % 4)));
            // Soon after a commit, librdkafka may request the abort before the broker knows of the new
            // transaction. The broker then refuses it, and a new client goes on from there.
            if broker.abort().is_err() {
                drop(broker);
                broker = connect(settings.clone(), &topics);
            }
        }
    }
    assert_eq!(replayed(&mut broker), in_turn(committed.into_iter()));
    let name = topics.name(Topic::Changelog);
    for (key, found) in everything(&servers, &name, PARTITIONS, "read_uncommitted") {
        let number = key.parse().expect("a number");
        assert_eq!(found.as_bytes(), value(number), "{number}, aborted or not");
    }
}

#[test]
fn a_full_queue_is_waited_for_and_nothing_overtakes() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, PARTITIONS, &[1]);
    let mut settings = settings(&servers, &topics, "a");
    let most = ("queue.buffering.max.messages", "50");
    settings.properties.insert(most.0.into(), most.1.into());
    let mut broker = connect(settings, &topics);
    (0..5_000).for_each(|number| send(&mut broker, number, &[]));
    broker.commit(&[]).expect("committed");
    assert_eq!(replayed(&mut broker), in_turn(0..5_000));
}

#[test]
fn a_broker_dropped_with_records_on_their_way_ends_at_once() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, PARTITIONS, &[1]);
    for round in 0..5 {
        let mut broker = connect(settings(&servers, &topics, "a"), &topics);
        (0..10_000).for_each(|number| send(&mut broker, number, &[]));
        std::thread::sleep(Duration::from_millis(10 * round));
        let start = Instant::now();
        drop(broker);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let mut broker = connect(settings(&servers, &topics, "a"), &topics);
    assert_eq!(
        replayed(&mut broker).values().map(Vec::len).sum::<usize>(),
        0
    );
}
