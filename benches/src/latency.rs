//! Latency from when an event is due until its change is readable, with exactly-once delivery and at a low rate.

use std::thread;

use anyhow::{Context, Result, ensure};
use flockwise_benches::events;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use serde::Serialize;

use crate::bench::Bench;
use crate::bench_broker::{Kafka, TIMEOUT, send};
use crate::first_change::start_ready;
use crate::process_figures;
use crate::program::{Program, Start};
use crate::schedule::{Figures, Latencies, Schedule, now_ms};
use flockwise_benches::report::{Table, cell, write};

/// Events per second.
const RATE: u32 = 200;

#[derive(Serialize)]
struct Round {
    program: Program,
    load: f64,
    figures: Figures,
    /// CPU time over the whole round, in cores.
    cpu_share: f64,
}

/// Measures the programs in turn.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let programs = bench.among(&[Program::Flockwise, Program::Streams]);
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        for program in &programs {
            rounds.push(round(bench, *program, number)?);
            write("latency", &rounds)?;
        }
    }
    let head = [
        "",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "CPU, cores",
        "load",
    ];
    let mut table = Table::new("latency", &head);
    for program in programs {
        table.row(&row(program, &rounds));
    }
    table.publish(bench.settings.print)
}

fn round(bench: &Bench, program: Program, number: usize) -> Result<Round> {
    let app = bench.app(program, "latency", number);
    let topic = format!("{app}-events");
    let kafka = &bench.kafka;
    kafka.make_topic(&topic)?;
    let (instance, listener) = start_ready(bench, program, &Start::new(&app, &topic))?;

    let (load, process) = (process_figures::load(), instance.process.id());
    let cpu = process_figures::cpu_seconds(process)?;
    let (rate, settings) = (u64::from(RATE), &bench.settings);
    let warm_up = rate * u64::from(settings.warm_up);
    let total = warm_up + rate * u64::from(settings.seconds);
    let schedule = Schedule::new(f64::from(RATE), warm_up, total);
    let latencies = thread::scope(|scope| {
        let writer = thread::Builder::new().name("writer".to_owned());
        let writer = writer.spawn_scoped(scope, || produce(kafka, &topic, schedule))?;
        let latencies = listen(&listener, schedule);
        writer.join().expect("the writer does not panic")?;
        latencies
    })?;
    let cpu = process_figures::cpu_seconds(process)? - cpu;
    instance.process.stop()?;
    kafka.delete_topics(&app)?;
    Ok(printed(Round {
        program,
        load,
        figures: latencies.figures(),
        cpu_share: cpu / schedule.elapsed(),
    }))
}

fn printed(round: Round) -> Round {
    let Figures { p50_ms, p99_ms, .. } = round.figures;
    let (program, load) = (round.program.title(), round.load);
    eprintln!("{program}: p50 {p50_ms:.1}, p99 {p99_ms:.1} ms, load {load}");
    round
}

/// Sends every event when it is due. Each is of a new customer, so each causes a change.
fn produce(kafka: &Kafka, topic: &str, schedule: Schedule) -> Result<()> {
    let producer = kafka.sender("0", "none")?;
    for number in 0..schedule.total {
        let customer = format!("c{number:08}");
        schedule.wait_for(number);
        let event = events::viewed(&customer, now_ms()?);
        send(
            &producer,
            BaseRecord::to(topic).key(&*customer).payload(&*event),
        )?;
    }
    Ok(producer.flush(TIMEOUT)?)
}

/// Reads changes until every event has one.
fn listen(listener: &BaseConsumer, schedule: Schedule) -> Result<Latencies> {
    let mut is_seen = vec![false; usize::try_from(schedule.total)?];
    Latencies::listen(schedule, listener, schedule.total, |change| {
        let number = number(change.key()).context("a change of an unknown customer")?;
        let is_seen = is_seen
            .get_mut(usize::try_from(number)?)
            .context("a change of an unknown customer")?;
        ensure!(!*is_seen, "two changes for event {number}");
        *is_seen = true;
        Ok(number)
    })
}

/// The number of the event, from its customer's id.
fn number(key: Option<&[u8]>) -> Option<u64> {
    let id = std::str::from_utf8(key?).ok()?;
    id.strip_prefix('c')?.parse().ok()
}

fn row(program: Program, rounds: &[Round]) -> Vec<String> {
    let own_rounds = rounds.iter().filter(|round| round.program == program);
    let own_rounds: Vec<&Round> = own_rounds.collect();
    vec![
        format!("{}, {RATE} events a second", program.title()),
        cell(&own_rounds, 1, |round| Some(round.figures.p50_ms)),
        cell(&own_rounds, 1, |round| Some(round.figures.p90_ms)),
        cell(&own_rounds, 1, |round| Some(round.figures.p99_ms)),
        cell(&own_rounds, 1, |round| Some(round.figures.p999_ms)),
        cell(&own_rounds, 1, |round| Some(round.figures.max_ms)),
        cell(&own_rounds, 2, |round| Some(round.cpu_share)),
        cell(&own_rounds, 1, |round| Some(round.load)),
    ]
}
