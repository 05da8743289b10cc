//! Flockwise with one worker and with two, on the same job. The broker's CPU time is reported separately, since on a
//! small machine it competes with the measured program.

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::cpu_time::{Task, process};
use crate::process_figures;
use crate::program::{Program, Start};
use crate::published_changes::Outcome;
use flockwise_benches::report::{Table, cell, write};

const SHARDS: [u32; 2] = [1, 2];

#[derive(Serialize)]
struct Round {
    shards: u32,
    load: f64,
    events_a_second: f64,
    cpu_seconds_a_million: f64,
    broker_cpu_seconds_a_million: Option<f64>,
}

/// Measures both in turn.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let task = Task::new(bench, bench.settings.events)?;
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        for shards in SHARDS {
            rounds.push(round(bench, &task, shards, number)?);
            write("scaling", &rounds)?;
        }
    }
    let head = [
        "workers",
        "thousand events a second",
        "CPU s a million",
        "broker CPU s a million",
        "load",
    ];
    let mut table = Table::new("scaling", &head);
    for shards in SHARDS {
        let own_rounds: Vec<&Round> = rounds
            .iter()
            .filter(|round| round.shards == shards)
            .collect();
        table.row(&[
            shards.to_string(),
            cell(&own_rounds, 0, |round| Some(round.events_a_second / 1e3)),
            cell(&own_rounds, 2, |round| Some(round.cpu_seconds_a_million)),
            cell(&own_rounds, 2, |round| round.broker_cpu_seconds_a_million),
            cell(&own_rounds, 1, |round| Some(round.load)),
        ]);
    }
    table.publish(bench.settings.print)
}

fn round(bench: &Bench, task: &Task, shards: u32, number: usize) -> Result<Round> {
    let app = bench.app(Program::Flockwise, &format!("shards-{shards}"), number);
    let start = Start {
        shards,
        ..Start::new(&app, &task.topic)
    };
    let (load, broker) = (process_figures::load(), bench.kafka.cpu_seconds());
    let (trace, _) = process(bench, Program::Flockwise, &start, task.load.events)?;
    let broker = bench.kafka.cpu_seconds_since(broker);
    Outcome::await_changes(&bench.kafka, &start.changes(), task.changes)?;
    bench.kafka.delete_topics(&app)?;
    let (whole, events) = (trace.whole()?, task.load.events as f64);
    eprintln!(
        "{shards} workers: {:.0} events a second, load {load}",
        whole.events_a_second
    );
    Ok(Round {
        shards,
        load,
        events_a_second: whole.events_a_second,
        cpu_seconds_a_million: whole.cpu_seconds_a_million,
        broker_cpu_seconds_a_million: broker.map(|seconds| seconds / events * 1e6),
    })
}
