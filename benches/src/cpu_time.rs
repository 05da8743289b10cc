//! The job on real Kafka, each program in turn: CPU time per event, cold and warm, and throughput.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use xtask::data::generate::GeneratedLoad;

use crate::bare_consumer::Done;
use crate::bench::{Bench, job};
use crate::children;
use crate::process_figures::{self, Memory};
use crate::program::{Program, Start};
use crate::progress_trace::{ChangeWatcher, Trace};
use crate::published_changes::Outcome;
use crate::replay::expected_changes;
use flockwise_benches::report::{Table, cell, write};

/// How many times as many events a warm run has as a cold one.
const WARM: u64 = 3;

/// One run.
#[derive(Serialize)]
pub(crate) struct Round {
    pub(crate) program: Program,
    /// True if only the second half is measured.
    pub(crate) is_warm: bool,
    pub(crate) load: f64,
    pub(crate) cpu_seconds_a_million: f64,
    pub(crate) events_a_second: f64,
    memory: Memory,
    pub(crate) broker_cpu_seconds_a_million: Option<f64>,
    changelog_bytes_an_event: Option<f64>,
    outcome: Option<Outcome>,
}

/// A load and its expected number of changes.
pub(crate) struct Task {
    pub(crate) load: GeneratedLoad,
    pub(crate) topic: String,
    pub(crate) changes: u64,
}

impl Task {
    pub(crate) fn new(bench: &Bench, events: u64) -> Result<Self> {
        let load = job(events);
        Ok(Self {
            changes: expected_changes(&bench.flockwise, &load)?,
            topic: bench.topic(&load)?,
            load,
        })
    }
}

/// Measures all programs in turn.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let events = bench.settings.events;
    let tasks = [Task::new(bench, events)?, Task::new(bench, WARM * events)?];
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        for program in &bench.settings.programs {
            for (task, is_warm) in tasks.iter().zip([false, true]) {
                rounds.push(printed(run(bench, *program, task, is_warm, number)?));
                write("cpu", &rounds)?;
            }
        }
    }
    table(bench, &tasks[0], &rounds)?;
    same_digests(&rounds)
}

fn printed(round: Round) -> Round {
    eprintln!(
        "{}, {}: {:.2} CPU s a million, {:.0} events a second, load {}",
        round.program.title(),
        if round.is_warm { "warm" } else { "cold" },
        round.cpu_seconds_a_million,
        round.events_a_second,
        round.load
    );
    round
}

fn run(
    bench: &Bench,
    program: Program,
    task: &Task,
    is_warm: bool,
    number: usize,
) -> Result<Round> {
    let app = bench.app(program, if is_warm { "warm" } else { "cold" }, number);
    let start = Start::new(&app, &task.topic);
    let (load, broker) = (process_figures::load(), bench.kafka.cpu_seconds());
    let (trace, memory) = match program {
        Program::Bare => bare(bench, task)?,
        _ => process(bench, program, &start, task.load.events)?,
    };
    let broker = bench.kafka.cpu_seconds_since(broker);
    let part = if is_warm {
        trace.second_half()?
    } else {
        trace.whole()?
    };
    let millions = task.load.events as f64 / 1e6;
    let round = Round {
        program,
        is_warm,
        load,
        cpu_seconds_a_million: part.cpu_seconds_a_million,
        events_a_second: part.events_a_second,
        memory,
        broker_cpu_seconds_a_million: broker.map(|seconds| seconds / millions),
        changelog_bytes_an_event: changelog_bytes(bench, program, &app)
            .map(|bytes| bytes as f64 / task.load.events as f64),
        outcome: outcome(bench, program, &start, task)?,
    };
    bench.kafka.delete_topics(&app)?;
    Ok(round)
}

fn changelog_bytes(bench: &Bench, program: Program, app: &str) -> Option<u64> {
    bench.kafka.bytes_of(&program.changelog(app)?)
}

fn outcome(
    bench: &Bench,
    program: Program,
    start: &Start<'_>,
    task: &Task,
) -> Result<Option<Outcome>> {
    if program == Program::Bare {
        return Ok(None);
    }
    Outcome::await_changes(&bench.kafka, &start.changes(), task.changes).map(Some)
}

fn bare(bench: &Bench, task: &Task) -> Result<(Trace, Memory)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "bare",
        &bench.kafka.servers,
        &task.topic,
        &task.load.events.to_string(),
    ]);
    let output = children::output(&mut command)?;
    let done: Done = serde_json::from_str(&output).context("the bare consumer failed")?;
    Ok((done.trace, done.memory))
}

/// Runs a program until everything is committed.
pub(crate) fn process(
    bench: &Bench,
    program: Program,
    start: &Start<'_>,
    events: u64,
) -> Result<(Trace, Memory)> {
    let watch = ChangeWatcher::new(&bench.kafka, start.app, start.topic)?;
    let mut instance = program.start(bench, start)?;
    let trace = Trace::follow(&mut instance, &watch, events)?;
    let memory = Memory::of(instance.process.id())?;
    if program == Program::Flink {
        // Flink commits its records shortly after its offsets, not together with them.
        thread::sleep(Duration::from_secs(2));
    }
    instance.process.stop()?;
    Ok((trace, memory))
}

/// Checks that all programs published the same changes.
fn same_digests(rounds: &[Round]) -> Result<()> {
    for is_warm in [false, true] {
        let same_length = rounds.iter().filter(|round| round.is_warm == is_warm);
        let outcomes = same_length.filter_map(|round| Some((round.program, round.outcome?)));
        let outcomes: Vec<_> = outcomes.collect();
        for pair in outcomes.windows(2) {
            anyhow::ensure!(
                pair[0].1 == pair[1].1,
                "two programs published different changes: {pair:?}"
            );
        }
    }
    Ok(())
}

fn table(bench: &Bench, cold: &Task, rounds: &[Round]) -> Result<()> {
    let events = format!(
        "CPU s a million, cold: {} M events",
        cold.load.events as f64 / 1e6
    );
    let head = [
        "",
        &events,
        "warm: the second half of three times as many",
        "thousand events a second, warm",
        "resident MB, warm",
        "peak MB, warm",
        "changelog bytes an event",
        "broker CPU s a million",
        "changes, cold",
        "load",
    ];
    let mut table = Table::new("cpu", &head);
    for program in &bench.settings.programs {
        table.row(&row(*program, rounds));
    }
    table.publish(bench.settings.print)
}

fn row(program: Program, rounds: &[Round]) -> Vec<String> {
    let of = |is_warm: bool| {
        let mine = move |round: &&Round| round.program == program && round.is_warm == is_warm;
        rounds.iter().filter(mine).collect::<Vec<_>>()
    };
    let (cold, warm) = (of(false), of(true));
    let all = [&cold[..], &warm[..]].concat();
    vec![
        program.title().to_owned(),
        cell(&cold, 2, |round| Some(round.cpu_seconds_a_million)),
        cell(&warm, 2, |round| Some(round.cpu_seconds_a_million)),
        cell(&warm, 0, |round| Some(round.events_a_second / 1e3)),
        cell(&warm, 0, |round| Some(round.memory.resident_mb)),
        cell(&warm, 0, |round| Some(round.memory.peak_mb)),
        cell(&warm, 0, |round| round.changelog_bytes_an_event),
        cell(&warm, 2, |round| round.broker_cpu_seconds_a_million),
        cold.iter()
            .find_map(|round| Some(format!("{}, each", round.outcome?.changes)))
            .unwrap_or_default(),
        cell(&all, 1, |round| Some(round.load)),
    ]
}
