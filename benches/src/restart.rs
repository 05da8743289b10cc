//! A program that has many customers starts again: how long until the first change, and what a customer
//! takes in memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use flockwise_benches::events;
use serde::Serialize;

use crate::bench::Bench;
use crate::first::{await_changes, send_newcomers, start_ready};
use crate::probe::{self, Memory};
use crate::program::{Instance, Program, Start};
use crate::trace::{ChangeDetector, Trace};
use flockwise_benches::report::{Table, cell, write};

/// The end of the load's days, as milliseconds since the epoch.
const AFTERWARDS_MS: i64 = 1_775_001_600_000;

/// A program as it stands, ended, with all customers.
#[derive(Serialize)]
struct Held {
    program: Program,
    #[serde(skip)]
    app: String,
    /// Without customers.
    empty: Memory,
    loaded: Memory,
    /// By its own account.
    state_bytes: Option<f64>,
    changelog_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Round {
    program: Program,
    from: From,
    load: f64,
    /// From the start of the process until the first of twelve new events' change could be read.
    first_seconds: f64,
    /// The same for the last: there was one in every partition.
    all_seconds: f64,
    /// User and system time by then.
    cpu_seconds: f64,
    resident_mb: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum From {
    Disk,
    Changelog,
}

/// Measures the programs in turn, over one topic.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let topic = topic(bench)?;
    let programs = bench.among(&[Program::Flockwise, Program::Streams]);
    let hold = |program: &Program| hold(bench, *program, &topic);
    let held: Vec<Held> = programs.iter().map(hold).collect::<Result<_>>()?;
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        for held in &held {
            for from in [From::Disk, From::Changelog] {
                rounds.push(round(bench, held, &topic, from, number)?);
                write("restart", &(&held, &rounds))?;
            }
        }
    }
    for held in &held {
        bench.kafka.delete_topics(&held.app)?;
    }
    bench.kafka.delete_topics(&topic)?;
    publish_restarts(bench, &held, &rounds)?;
    publish_memory(bench, &held, &rounds)
}

/// As many events as customers, most of them of few; then one of every customer.
fn topic(bench: &Bench) -> Result<String> {
    let (customers, topic) = (bench.settings.customers, "bench-many".to_owned());
    let load = events::load(u64::from(customers), customers);
    let once = (0..customers).map(|number| events::viewed(&format!("c{number:07}"), AFTERWARDS_MS));
    bench.kafka.load(&topic, &load, once)?;
    Ok(topic)
}

/// Loads all customers into a program and ends it in good order.
fn hold(bench: &Bench, program: Program, topic: &str) -> Result<Held> {
    let empty = empty(bench, program)?;
    let app = bench.app(program, "restart", 0);
    let start = Start::new(&app, topic);
    let watch = ChangeDetector::new(&bench.kafka, &app, topic)?;
    let mut instance = program.start(bench, &start)?;
    Trace::follow(
        &mut instance,
        &watch,
        2 * u64::from(bench.settings.customers),
    )?;
    let loaded = Memory::of(instance.process.id())?;
    let state_bytes = instance.metric("flockwise_state_bytes");
    instance.process.stop()?;
    let changelog = program.changelog(&app);
    Ok(Held {
        program,
        empty,
        loaded,
        state_bytes,
        changelog_bytes: changelog.and_then(|topic| bench.kafka.bytes_of(&topic)),
        app,
    })
}

/// What the program takes without customers, but for a few.
fn empty(bench: &Bench, program: Program) -> Result<Memory> {
    let app = bench.app(program, "empty", 0);
    let topic = format!("{app}-events");
    bench.kafka.make_topic(&topic)?;
    let (instance, _listener) = start_ready(bench, program, &Start::new(&app, &topic))?;
    let memory = Memory::of(instance.process.id())?;
    instance.process.stop()?;
    bench.kafka.delete_topics(&app)?;
    Ok(memory)
}

fn round(bench: &Bench, held: &Held, topic: &str, from: From, number: usize) -> Result<Round> {
    let (program, start) = (held.program, Start::new(&held.app, topic));
    if from == From::Changelog {
        program.forget(&start)?;
    }
    let load = probe::load();
    let listener = bench.kafka.listener(&start.changes())?;
    let prefix = format!("{}-{from:?}-{number}", program.name());
    let newcomers = send_newcomers(&bench.kafka, topic, &prefix)?;
    let began = Instant::now();
    let mut instance = program.restart(bench, &start)?;
    let seen = await_changes(&listener, &mut instance, newcomers)?;
    let round = Round {
        program,
        from,
        load,
        first_seconds: (seen.first - began).as_secs_f64(),
        all_seconds: (seen.all - began).as_secs_f64(),
        cpu_seconds: probe::cpu_seconds(instance.process.id())?,
        resident_mb: Memory::of(instance.process.id())?.resident_mb,
    };
    eprintln!(
        "{}, {from:?}: {:.2} s, load {load}",
        program.title(),
        round.first_seconds
    );
    settle(instance)?;
    Ok(round)
}

/// Lets a program write what it may still have to write, and ends it.
fn settle(instance: Instance) -> Result<()> {
    std::thread::sleep(Duration::from_secs(2));
    instance.process.stop()
}

fn publish_restarts(bench: &Bench, held: &[Held], rounds: &[Round]) -> Result<()> {
    let head = [
        "",
        "first change s",
        "all partitions s",
        "CPU s by then",
        "load",
    ];
    let mut table = Table::new("restart", &head);
    for held in held {
        for from in [From::Disk, From::Changelog] {
            let is_of = |round: &&Round| round.program == held.program && round.from == from;
            let mine: Vec<&Round> = rounds.iter().filter(is_of).collect();
            let place = match from {
                From::Disk => "local state kept",
                From::Changelog => "from the changelog",
            };
            table.row(&[
                format!("{}, {place}", held.program.title()),
                cell(&mine, 2, |round| Some(round.first_seconds)),
                cell(&mine, 2, |round| Some(round.all_seconds)),
                cell(&mine, 2, |round| Some(round.cpu_seconds)),
                cell(&mine, 1, |round| Some(round.load)),
            ]);
        }
    }
    table.publish(bench.settings.print)
}

fn publish_memory(bench: &Bench, held: &[Held], rounds: &[Round]) -> Result<()> {
    let customers = f64::from(bench.settings.customers);
    let head = [
        "",
        "empty MB",
        "loaded MB",
        "restarted from the changelog MB",
        "bytes a customer, loaded",
        "bytes a customer, restarted",
        "by its own account",
        "changelog bytes a customer",
    ];
    let mut table = Table::new("memory", &head);
    for held in held {
        let is_of = |round: &&Round| round.program == held.program && round.from == From::Changelog;
        let mine: Vec<&Round> = rounds.iter().filter(is_of).collect();
        let (empty, loaded) = (held.empty.resident_mb, held.loaded.resident_mb);
        let shown =
            |figure: Option<f64>| figure.map_or(String::new(), |figure| format!("{figure:.0}"));
        table.row(&[
            held.program.title().to_owned(),
            shown(Some(empty)),
            shown(Some(loaded)),
            cell(&mine, 0, |round| Some(round.resident_mb)),
            shown(Some((loaded - empty) * 1e6 / customers)),
            cell(&mine, 0, |round| {
                Some((round.resident_mb - empty) * 1e6 / customers)
            }),
            shown(held.state_bytes.map(|bytes| bytes / customers)),
            shown(held.changelog_bytes.map(|bytes| bytes as f64 / customers)),
        ]);
    }
    table.publish(bench.settings.print)
}
