//! Throughput of `flockwise replay` with one worker.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flockwise_benches::{events, job};
use serde::Serialize;
use serde_json::Value;
use xtask::data::generate::GeneratedLoad;

use crate::bench::{self, Settings};
use crate::{children, process_figures};
use flockwise_benches::report::{Table, cell, write};

#[derive(Serialize)]
struct Round {
    load: f64,
    /// Over the whole process, from its start to its end.
    events_a_second: f64,
    /// User and system time of both threads: one reads and partitions lines, the other is the worker.
    cpu_seconds_a_million: f64,
    changes: u64,
}

/// Replays the job several times.
pub(crate) fn measure(settings: &Settings, program: &Path) -> Result<()> {
    let load = bench::job(settings.events);
    events::file(&load)?;
    let rounds: Vec<Round> = (0..settings.rounds)
        .map(|_| round(program, &load))
        .collect::<Result<_>>()?;
    write("replay", &rounds)?;
    let all: Vec<&Round> = rounds.iter().collect();
    let head = [
        "replay, one worker",
        "thousand events a second",
        "CPU s a million events",
        "load",
    ];
    let mut table = Table::new("replay", &head);
    table.row(&[
        format!("{} events", load.events),
        cell(&all, 0, |round| Some(round.events_a_second / 1e3)),
        cell(&all, 2, |round| Some(round.cpu_seconds_a_million)),
        cell(&all, 1, |round| Some(round.load)),
    ]);
    table.publish(settings.print)
}

fn round(program: &Path, load: &GeneratedLoad) -> Result<Round> {
    let machine = process_figures::load();
    let cpu = process_figures::cpu_seconds_of_ended()?;
    let start = Instant::now();
    let summary = replay(program, load)?;
    let (seconds, events) = (start.elapsed().as_secs_f64(), load.events as f64);
    let round = Round {
        load: machine,
        events_a_second: events / seconds,
        cpu_seconds_a_million: (process_figures::cpu_seconds_of_ended()? - cpu) / events * 1e6,
        changes: changes(&summary)?,
    };
    eprintln!(
        "replay: {:.0} events a second, load {machine}",
        round.events_a_second
    );
    Ok(round)
}

/// Number of changes that a replay of a load gives.
pub(crate) fn expected_changes(program: &Path, load: &GeneratedLoad) -> Result<u64> {
    changes(&replay(program, load)?)
}

fn changes(summary: &Value) -> Result<u64> {
    summary["changes"]
        .as_u64()
        .context("a summary without changes")
}

fn replay(program: &Path, load: &GeneratedLoad) -> Result<Value> {
    let mut command = Command::new(program);
    command.arg("replay").arg(events::file(load)?);
    command.arg("--config").arg(job::file());
    command.args(["--shards", "1", "--json"]);
    let summary: Value = serde_json::from_str(&children::output(&mut command)?)?;
    ensure!(
        summary["events"] == load.events,
        "not every event was replayed"
    );
    Ok(summary)
}
