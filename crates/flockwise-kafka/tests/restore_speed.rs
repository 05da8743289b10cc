//! How fast a changelog is read. Run by hand: it takes a while and its figures are for people.

mod support;

use std::time::{Duration, Instant};

use flockwise_kafka::KafkaBroker;
use flockwise_runtime::broker::{Broker, Outgoing, Replayed};
use flockwise_runtime::topics::{Source, Topic};
use support::{kafka, settings, topics};

const PARTITIONS: u32 = 12;
const RECORDS: u32 = 1_000_000;

#[test]
#[ignore = "a measurement"]
fn a_million_rows_from_twelve_partitions() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, PARTITIONS, &[1]);
    let mut settings = settings(&servers, &topics, "a");
    for pair in std::env::var("PROPS")
        .unwrap_or_default()
        .split_whitespace()
    {
        let (key, value) = pair.split_once("=").expect("a pair");
        settings.properties.insert(key.into(), value.into());
    }
    let mut broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
    let value = [7_u8; 200];
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for number in 0..RECORDS {
        let key = format!("r-customer-{number:08}");
        broker
            .send(Outgoing {
                topic: Topic::Changelog,
                partition: number % PARTITIONS,
                key: Some(key.as_bytes()),
                value: Some(&value),
                timestamp_ms: None,
                headers: &[],
            })
            .expect("sent");
        if number % 20_000 == 19_999 {
            broker.commit(&[]).expect("committed");
        }
    }
    eprintln!(
        "written: {:?}, {:.2} CPU s",
        start.elapsed(),
        cpu_seconds() - cpu
    );
    for round in 0..std::env::var("ROUNDS").map_or(4, |r| r.parse().unwrap()) {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let (mut count, mut longest) = (0, Duration::ZERO);
        for partition in 0..PARTITIONS {
            let source = Source {
                topic: Topic::Changelog,
                partition,
            };
            let begun = Instant::now();
            let replayed = broker.replay(source, None, &mut |_| count += 1);
            assert!(matches!(replayed, Ok(Replayed::Whole(_))));
            longest = longest.max(begun.elapsed());
        }
        assert_eq!(count, RECORDS);
        eprintln!(
            "round {round}: {:?}, longest partition {longest:?}, {:.2} CPU s",
            start.elapsed(),
            cpu_seconds() - cpu
        );
    }
    let empty = Source {
        topic: Topic::DeadLetters,
        partition: 0,
    };
    let begun = Instant::now();
    for _ in 0..10 {
        broker.replay(empty, None, &mut |_| {}).expect("replayed");
    }
    eprintln!("an empty partition: {:?}", begun.elapsed() / 10);
}

/// User and system time of this process. Linux alone.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}
