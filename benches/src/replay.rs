//! Events a second of `flockwise replay` on one shard.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flockwise_benches::events::{self, EVENTS};
use flockwise_benches::job;
use serde::Serialize;
use serde_json::Value;

use crate::report::{Spread, print_table, write};
use crate::{Settings, probe, program};

#[derive(Serialize)]
struct Round {
    load: f64,
    /// Over the whole process, from its start to its end.
    events_a_second: f64,
    /// User and system time, both threads: one reads and places lines, one is the shard.
    cpu_seconds: f64,
    changes: u64,
}

/// Replays the whole load several times.
pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let program = program::find(settings)?;
    events::file()?;
    let rounds: Vec<Round> = (0..settings.rounds)
        .map(|_| round(&program))
        .collect::<Result<_>>()?;
    let rate = Spread::of(rounds.iter().map(|round| round.events_a_second / 1e3));
    let cpu = Spread::of(
        rounds
            .iter()
            .map(|round| round.cpu_seconds * 1e6 / EVENTS as f64),
    );
    let load = Spread::of(rounds.iter().map(|round| round.load));
    print_table(
        &[
            "replay, one shard",
            "thousand events a second",
            "CPU s a million events",
            "load",
        ],
        &[vec![
            format!("{EVENTS} events"),
            rate.shown(0),
            cpu.shown(2),
            load.shown(1),
        ]],
    );
    write("replay", &rounds)
}

fn round(program: &Path) -> Result<Round> {
    let load = probe::load();
    let cpu = probe::cpu_seconds_of_ended()?;
    let start = Instant::now();
    let summary = replay(program)?;
    let seconds = start.elapsed().as_secs_f64();
    let round = Round {
        load,
        events_a_second: EVENTS as f64 / seconds,
        cpu_seconds: probe::cpu_seconds_of_ended()? - cpu,
        changes: changes(&summary)?,
    };
    eprintln!(
        "replay: {:.0} events a second, load {load}",
        round.events_a_second
    );
    Ok(round)
}

/// How many changes a replay of the whole load gives.
pub(crate) fn expected_changes(program: &Path) -> Result<u64> {
    changes(&replay(program)?)
}

fn changes(summary: &Value) -> Result<u64> {
    summary["changes"]
        .as_u64()
        .context("a summary without changes")
}

fn replay(program: &Path) -> Result<Value> {
    let output = Command::new(program)
        .arg("replay")
        .arg(events::file()?)
        .arg("--config")
        .arg(job::file())
        .args(["--shards", "1", "--json"])
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "flockwise replay failed: {error}");
    let summary: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(summary["events"] == EVENTS, "not every event was replayed");
    Ok(summary)
}
