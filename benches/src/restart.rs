//! Restarts a program with many customers: the time to the first change, and the memory per customer.

use std::time::{Duration, Instant};

use anyhow::Result;
use flockwise_benches::events;
use serde::Serialize;

use crate::bench::Bench;
use crate::first_change::{await_changes, send_newcomers, start_ready};
use crate::process_figures::{self, Memory};
use crate::program::{Instance, Program, Start};
use crate::progress_trace::{ChangeWatcher, Trace};
use flockwise_benches::report::{Table, cell, write};

/// Event time of the last events, after all days of the load, ms since the epoch.
const AFTERWARDS_MS: i64 = 1_775_001_600_000;

/// A stopped program whose state holds all customers.
#[derive(Serialize)]
struct LoadedProgram {
    program: Program,
    #[serde(skip)]
    app: String,
    /// Memory without customers.
    empty: Memory,
    loaded: Memory,
    /// State size that the program itself reports.
    state_bytes: Option<f64>,
    changelog_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Round {
    program: Program,
    from: From,
    load: f64,
    /// Seconds from the start of the process until the change of the first of twelve new events is readable.
    first_seconds: f64,
    /// The same for the last of them. There is one event per partition.
    all_seconds: f64,
    /// User and system time until then.
    cpu_seconds: f64,
    resident_mb: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum From {
    Disk,
    Changelog,
}

/// Measures the programs in turn, on one topic.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let topic = topic(bench)?;
    let programs = bench.among(&[Program::Flockwise, Program::Streams]);
    let load_customers = |program: &Program| load_customers(bench, *program, &topic);
    let loaded_program: Vec<LoadedProgram> =
        programs.iter().map(load_customers).collect::<Result<_>>()?;
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        for loaded_program in &loaded_program {
            for from in [From::Disk, From::Changelog] {
                rounds.push(round(bench, loaded_program, &topic, from, number)?);
                write("restart", &(&loaded_program, &rounds))?;
            }
        }
    }
    for loaded_program in &loaded_program {
        bench.kafka.delete_topics(&loaded_program.app)?;
    }
    bench.kafka.delete_topics(&topic)?;
    publish_restarts(bench, &loaded_program, &rounds)?;
    publish_memory(bench, &loaded_program, &rounds)
}

/// Creates a topic with as many events as customers, most of them of few customers, followed by one event of every
/// customer.
fn topic(bench: &Bench) -> Result<String> {
    let (customers, topic) = (bench.settings.customers, "bench-many".to_owned());
    let load = events::load(u64::from(customers), customers);
    let once = (0..customers).map(|number| events::viewed(&format!("c{number:07}"), AFTERWARDS_MS));
    bench.kafka.load(&topic, &load, once)?;
    Ok(topic)
}

/// Loads all customers into a program and stops it.
fn load_customers(bench: &Bench, program: Program, topic: &str) -> Result<LoadedProgram> {
    let empty = empty(bench, program)?;
    let app = bench.app(program, "restart", 0);
    let start = Start::new(&app, topic);
    let watch = ChangeWatcher::new(&bench.kafka, &app, topic)?;
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
    Ok(LoadedProgram {
        program,
        empty,
        loaded,
        state_bytes,
        changelog_bytes: changelog.and_then(|topic| bench.kafka.bytes_of(&topic)),
        app,
    })
}

/// Memory of the program with almost no customers.
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

fn round(
    bench: &Bench,
    loaded_program: &LoadedProgram,
    topic: &str,
    from: From,
    number: usize,
) -> Result<Round> {
    let (program, start) = (
        loaded_program.program,
        Start::new(&loaded_program.app, topic),
    );
    if from == From::Changelog {
        program.delete_state(&start)?;
    }
    let load = process_figures::load();
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
        cpu_seconds: process_figures::cpu_seconds(instance.process.id())?,
        resident_mb: Memory::of(instance.process.id())?.resident_mb,
    };
    eprintln!(
        "{}, {from:?}: {:.2} s, load {load}",
        program.title(),
        round.first_seconds
    );
    finish_and_stop(instance)?;
    Ok(round)
}

/// Gives a program time to finish its writes, and stops it.
fn finish_and_stop(instance: Instance) -> Result<()> {
    std::thread::sleep(Duration::from_secs(2));
    instance.process.stop()
}

fn publish_restarts(
    bench: &Bench,
    loaded_program: &[LoadedProgram],
    rounds: &[Round],
) -> Result<()> {
    let head = [
        "",
        "first change s",
        "all partitions s",
        "CPU s by then",
        "load",
    ];
    let mut table = Table::new("restart", &head);
    for loaded_program in loaded_program {
        for from in [From::Disk, From::Changelog] {
            let is_of =
                |round: &&Round| round.program == loaded_program.program && round.from == from;
            let own_rounds: Vec<&Round> = rounds.iter().filter(is_of).collect();
            let source = match from {
                From::Disk => "local state kept",
                From::Changelog => "from the changelog",
            };
            table.row(&[
                format!("{}, {source}", loaded_program.program.title()),
                cell(&own_rounds, 2, |round| Some(round.first_seconds)),
                cell(&own_rounds, 2, |round| Some(round.all_seconds)),
                cell(&own_rounds, 2, |round| Some(round.cpu_seconds)),
                cell(&own_rounds, 1, |round| Some(round.load)),
            ]);
        }
    }
    table.publish(bench.settings.print)
}

fn publish_memory(bench: &Bench, loaded_program: &[LoadedProgram], rounds: &[Round]) -> Result<()> {
    let customers = f64::from(bench.settings.customers);
    let head = [
        "",
        "empty MB",
        "loaded MB",
        "restarted from the changelog MB",
        "bytes a customer, loaded",
        "bytes a customer, restarted",
        "reported by itself",
        "changelog bytes a customer",
    ];
    let mut table = Table::new("memory", &head);
    for loaded_program in loaded_program {
        let is_of = |round: &&Round| {
            round.program == loaded_program.program && round.from == From::Changelog
        };
        let own_rounds: Vec<&Round> = rounds.iter().filter(is_of).collect();
        let (empty, loaded) = (
            loaded_program.empty.resident_mb,
            loaded_program.loaded.resident_mb,
        );
        let shown =
            |figure: Option<f64>| figure.map_or(String::new(), |figure| format!("{figure:.0}"));
        table.row(&[
            loaded_program.program.title().to_owned(),
            shown(Some(empty)),
            shown(Some(loaded)),
            cell(&own_rounds, 0, |round| Some(round.resident_mb)),
            shown(Some((loaded - empty) * 1e6 / customers)),
            cell(&own_rounds, 0, |round| {
                Some((round.resident_mb - empty) * 1e6 / customers)
            }),
            shown(loaded_program.state_bytes.map(|bytes| bytes / customers)),
            shown(
                loaded_program
                    .changelog_bytes
                    .map(|bytes| bytes as f64 / customers),
            ),
        ]);
    }
    table.publish(bench.settings.print)
}
