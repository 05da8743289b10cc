//! Latency of Flockwise under pressure: the job at 70 % of the highest speed measured.
//!
//! Only some events give a change; each change names the event by partition and offset, and so the time
//! at which that one was due.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use flockwise_benches::events;
use flockwise_benches::job::PARTITIONS;
use flockwise_codec::partitioner::Partitioner;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use serde::{Deserialize, Serialize};
use xtask::data::generate::Load;

use crate::bench::Bench;
use crate::broker::{Kafka, PATIENCE, send};
use crate::cpu::{self, Task};
use crate::probe;
use crate::program::{Program, Start};
use crate::report::{Table, cell, write};
use crate::schedule::{Figures, Latencies, Schedule};

/// Of the highest speed.
const SHARE: f64 = 0.7;

#[derive(Serialize)]
struct Round {
    rate: f64,
    load: f64,
    figures: Figures,
    cpu_share: f64,
}

#[derive(Deserialize)]
struct Change {
    trigger: Trigger,
}

#[derive(Deserialize)]
struct Trigger {
    partition: usize,
    offset: usize,
}

/// Measures several rounds; the highest speed is found first unless it is known.
pub(crate) fn measure(bench: &Bench, highest: Option<f64>) -> Result<()> {
    if bench.among(&[Program::Flockwise]).is_empty() {
        return Ok(());
    }
    let task = Task::new(bench, bench.settings.events)?;
    let highest = highest.map_or_else(|| speed(bench, &task), Ok)?;
    let numbers = by_place(&task.load)?;
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        rounds.push(round(bench, &task, &numbers, SHARE * highest, number)?);
        write("pressure", &rounds)?;
    }
    let rounds: Vec<&Round> = rounds.iter().collect();
    let head = [
        "thousand events a second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "CPU, cores",
        "load",
    ];
    let mut table = Table::new("pressure", &head);
    table.row(&[
        cell(&rounds, 0, |round| Some(round.rate / 1e3)),
        cell(&rounds, 0, |round| Some(round.figures.p50_ms)),
        cell(&rounds, 0, |round| Some(round.figures.p99_ms)),
        cell(&rounds, 0, |round| Some(round.figures.p999_ms)),
        cell(&rounds, 0, |round| Some(round.figures.max_ms)),
        cell(&rounds, 2, |round| Some(round.cpu_share)),
        cell(&rounds, 1, |round| Some(round.load)),
    ]);
    table.publish(bench.settings.print)
}

fn speed(bench: &Bench, task: &Task) -> Result<f64> {
    let app = bench.app(Program::Flockwise, "speed", 0);
    let start = Start::new(&app, &task.topic);
    let (trace, _) = cpu::process(bench, Program::Flockwise, &start, task.load.events)?;
    bench.kafka.delete_topics(&app)?;
    Ok(trace.second_half()?.events_a_second)
}

/// For every partition the numbers of the events that it will hold, in order: one producer that sends
/// everything once gives them offsets from 0 on.
fn by_place(load: &Load) -> Result<Vec<Vec<u64>>> {
    let (mut places, mut number) = (vec![Vec::new(); PARTITIONS as usize], 0);
    events::each(load, |line| {
        let customer = events::customer(line)?.as_bytes();
        places[Partitioner::Murmur2.partition(customer, PARTITIONS) as usize].push(number);
        number += 1;
        Ok(())
    })?;
    Ok(places)
}

fn round(
    bench: &Bench,
    task: &Task,
    numbers: &[Vec<u64>],
    rate: f64,
    round: usize,
) -> Result<Round> {
    let app = bench.app(Program::Flockwise, "pressure", round);
    let topic = format!("{app}-events");
    let kafka = &bench.kafka;
    kafka.make_topic(&topic)?;
    let start = Start::new(&app, &topic);
    let mut instance = Program::Flockwise.start(bench, &start)?;
    let listener = kafka.listener(&start.changes())?;
    thread::sleep(Duration::from_secs(1));
    instance.process.check_alive()?;

    let (load, process, events) = (probe::load(), instance.process.id(), task.load.events);
    let cpu = probe::cpu_seconds(process)?;
    let schedule = Schedule::new(rate, events / 3, events);
    let latencies = thread::scope(|scope| {
        let writer = thread::Builder::new().name("writer".to_owned());
        let write = || produce(kafka, &topic, &task.load, schedule);
        let writer = writer.spawn_scoped(scope, write)?;
        let latencies = listen(&listener, schedule, numbers, task.changes);
        writer.join().expect("the writer does not panic")?;
        latencies
    })?;
    let cpu_share = (probe::cpu_seconds(process)? - cpu) / schedule.elapsed();
    instance.process.stop()?;
    kafka.delete_topics(&app)?;
    let figures = latencies.figures();
    eprintln!("{rate:.0} events a second: {figures:?}, load {load}");
    Ok(Round {
        rate,
        load,
        figures,
        cpu_share,
    })
}

fn produce(kafka: &Kafka, topic: &str, load: &Load, schedule: Schedule) -> Result<()> {
    let (producer, mut number) = (kafka.sender("1", "none")?, 0);
    events::each(load, |line| {
        schedule.wait_for(number);
        number += 1;
        send(
            &producer,
            BaseRecord::to(topic)
                .key(events::customer(line)?)
                .payload(line),
        )
    })?;
    Ok(producer.flush(PATIENCE)?)
}

/// Reads changes until there are as many as there must be.
fn listen(
    listener: &BaseConsumer,
    schedule: Schedule,
    numbers: &[Vec<u64>],
    changes: u64,
) -> Result<Latencies> {
    Latencies::listen(schedule, listener, changes, |change| {
        let value = change.payload().context("a change without a value")?;
        let Change { trigger } = serde_json::from_slice(value)?;
        let place = numbers
            .get(trigger.partition)
            .and_then(|all| all.get(trigger.offset));
        place.copied().context("a change by an event nobody sent")
    })
}
