//! The first changes of a program that starts, caused by events of new customers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flockwise_benches::events;
use flockwise_benches::job::PARTITIONS;
use flockwise_codec::partitioner::Partitioner;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};

use crate::bench::Bench;
use crate::bench_broker::{Kafka, TIMEOUT, send};
use crate::program::{Instance, Program, Start};
use crate::schedule::now_ms;

/// Timeout. A JVM on a busy machine may take long.
const TIMEOUT_OF_CHANGES: Duration = Duration::from_secs(180);

/// Starts a program and waits until it has published changes. Also returns a consumer of further changes.
pub(crate) fn start_ready(
    bench: &Bench,
    program: Program,
    start: &Start<'_>,
) -> Result<(Instance, BaseConsumer)> {
    let mut instance = program.start(bench, start)?;
    let listener = bench.kafka.listener(&start.changes())?;
    let newcomers = send_newcomers(&bench.kafka, start.topic, "probe")?;
    await_changes(&listener, &mut instance, newcomers)?;
    Ok((instance, listener))
}

/// Sends an event of a new customer to every partition. Returns the customer ids.
pub(crate) fn send_newcomers(kafka: &Kafka, topic: &str, prefix: &str) -> Result<BTreeSet<String>> {
    let (producer, now_ms) = (kafka.sender("0", "none")?, now_ms()?);
    let mut newcomers = BTreeSet::new();
    for partition in 0..PARTITIONS {
        let name = |number: u32| format!("{prefix}-{number}");
        let is_there = |name: &String| {
            Partitioner::Murmur2.partition(name.as_bytes(), PARTITIONS) == partition
        };
        let customer = (0..).map(name).find(is_there).context("no such name")?;
        let event = events::viewed(&customer, now_ms);
        send(
            &producer,
            BaseRecord::to(topic).key(&*customer).payload(&*event),
        )?;
        newcomers.insert(customer);
    }
    producer.flush(TIMEOUT)?;
    Ok(newcomers)
}

/// When the first of the customers had a change, and when all had.
pub(crate) struct Seen {
    pub(crate) first: Instant,
    pub(crate) all: Instant,
}

/// Waits until each of these customers has a change.
pub(crate) fn await_changes(
    listener: &BaseConsumer,
    instance: &mut Instance,
    mut customers: BTreeSet<String>,
) -> Result<Seen> {
    let (start, mut first) = (Instant::now(), None);
    while !customers.is_empty() {
        instance.process.check_alive()?;
        ensure!(
            start.elapsed() < TIMEOUT_OF_CHANGES,
            "no change of {customers:?} in time"
        );
        let Some(Ok(change)) = listener.poll(Duration::from_millis(100)) else {
            continue;
        };
        let customer = String::from_utf8_lossy(change.key().unwrap_or_default()).into_owned();
        if customers.remove(&customer) {
            first.get_or_insert_with(Instant::now);
        }
    }
    let all = Instant::now();
    Ok(Seen {
        first: first.unwrap_or(all),
        all,
    })
}
