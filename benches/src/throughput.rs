//! The whole load on real Kafka: a consumer that only parses, and Flockwise, in turn.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flockwise_benches::events::EVENTS;
use serde::Serialize;

use crate::bare::Done;
use crate::broker::Kafka;
use crate::program::{Instance, Start};
use crate::report::{Spread, print_table, write};
use crate::{Settings, probe, program, replay};

const TOPIC: &str = "bench-events";

/// Asking costs the program some CPU, so it is not asked more often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Slower than any machine that this is worth measuring on.
const PATIENCE: Duration = Duration::from_secs(300);

/// One run over all events.
#[derive(Clone, Serialize)]
struct Round {
    load: f64,
    /// User and system time of its process, from its start to the last event.
    cpu_seconds: f64,
    /// From the first event to the last.
    events_a_second: f64,
    peak_mb: f64,
    broker_cpu_seconds: Option<f64>,
    /// What came out, of Flockwise alone.
    output: Option<Output>,
}

#[derive(Clone, Serialize)]
struct Output {
    changes: u64,
    changelog_records: u64,
    commits: u64,
}

#[derive(Serialize)]
struct Report {
    events: u64,
    changes_of_replay: u64,
    bare: Vec<Round>,
    flockwise: Vec<Round>,
}

/// Measures both in turn and holds the changes against those of a replay.
pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let program = program::find(settings)?;
    let changes = replay::expected_changes(&program)?;
    let kafka = Kafka::start()?;
    kafka.delete_topics(TOPIC)?;
    kafka.load(TOPIC)?;
    let mut report = Report {
        events: EVENTS,
        changes_of_replay: changes,
        bare: Vec::new(),
        flockwise: Vec::new(),
    };
    for number in 1..=settings.rounds {
        report.bare.push(told("bare", bare(&kafka)?));
        let round = told("flockwise", flockwise(&kafka, &program, settings, number)?);
        report.flockwise.push(round);
    }
    print(&report);
    write("kafka", &report)?;
    for output in report
        .flockwise
        .iter()
        .filter_map(|round| round.output.as_ref())
    {
        ensure!(
            output.changes == changes,
            "a round gave {} changes, the replay {changes}",
            output.changes
        );
    }
    Ok(())
}

fn told(name: &str, round: Round) -> Round {
    eprintln!(
        "{name}: {:.2} CPU s a million, {:.0} events a second, load {}",
        a_million(round.cpu_seconds),
        round.events_a_second,
        round.load
    );
    round
}

fn a_million(seconds: f64) -> f64 {
    seconds * 1e6 / EVENTS as f64
}

fn bare(kafka: &Kafka) -> Result<Round> {
    let (load, broker) = (probe::load(), broker_seconds(kafka));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["bare", &kafka.servers, TOPIC])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let process = child.id();
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
    let cpu_seconds = probe::cpu_seconds(process)?;
    let done: Done = serde_json::from_str(&line).context("the bare consumer failed")?;
    let round = Round {
        load,
        cpu_seconds,
        events_a_second: EVENTS as f64 / done.seconds,
        peak_mb: probe::peak_mb(process)?,
        broker_cpu_seconds: since(kafka, broker),
        output: None,
    };
    drop(child.stdin.take());
    child.wait()?;
    Ok(round)
}

fn flockwise(kafka: &Kafka, program: &Path, settings: &Settings, number: usize) -> Result<Round> {
    let app = format!("bench-{}-{number}", std::process::id());
    let (load, broker) = (probe::load(), broker_seconds(kafka));
    let mut instance = Instance::start(&Start {
        program,
        app: &app,
        topic: TOPIC,
        servers: &kafka.servers,
        properties: &settings.properties,
    })?;
    let events_a_second = follow(&mut instance)?;
    let process = instance.process();
    let mut round = Round {
        load,
        cpu_seconds: probe::cpu_seconds(process)?,
        events_a_second,
        peak_mb: probe::peak_mb(process)?,
        broker_cpu_seconds: since(kafka, broker),
        output: None,
    };
    let commits = instance.counter("flockwise_commits_total")?;
    instance.stop()?;
    round.output = Some(Output {
        changes: kafka.count(&format!("{app}-segment-changes"))?,
        changelog_records: kafka.count(&format!("{app}-changelog"))?,
        commits,
    });
    kafka.delete_topics(&app)?;
    Ok(round)
}

/// Looks until every event is committed; events a second between the first look that shows any and
/// the first that shows all.
fn follow(instance: &mut Instance) -> Result<f64> {
    let start = Instant::now();
    let mut first = None;
    loop {
        let events = instance.counter("flockwise_events_total")?;
        if events > 0 && first.is_none() {
            first = Some((Instant::now(), events));
        }
        if let Some((since, before)) = first
            && events >= EVENTS
        {
            return Ok((events - before) as f64 / since.elapsed().as_secs_f64());
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "{events} events after {PATIENCE:?}"
        );
        thread::sleep(LOOK_EVERY);
    }
}

fn broker_seconds(kafka: &Kafka) -> Option<f64> {
    probe::cpu_seconds(kafka.process()?).ok()
}

fn since(kafka: &Kafka, before: Option<f64>) -> Option<f64> {
    Some(broker_seconds(kafka)? - before?)
}

fn print(report: &Report) {
    let rows = [
        ("bare consumer", &report.bare),
        ("flockwise", &report.flockwise),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, rounds)| row(name, rounds))
        .collect();
    print_table(
        &[
            "",
            "CPU s a million events",
            "thousand events a second",
            "peak MB",
            "broker CPU s a million",
            "changes",
            "changelog records",
            "commits",
            "load",
        ],
        &rows,
    );
    let cpu = |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.cpu_seconds)).median;
    let times = cpu(&report.flockwise) / cpu(&report.bare);
    println!("\nCPU over the bare consumer's: {times:.2} (medians)");
    println!("Changes of a replay: {}", report.changes_of_replay);
}

fn row(name: &str, rounds: &[Round]) -> Vec<String> {
    let spread = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(figure));
    let output = |figure: fn(&Output) -> u64| {
        let figures = rounds.iter().filter_map(|round| round.output.as_ref());
        let figures: Vec<f64> = figures.map(|output| figure(output) as f64).collect();
        if figures.is_empty() {
            String::new()
        } else {
            Spread::of(figures).shown(0)
        }
    };
    vec![
        name.to_owned(),
        spread(|round| a_million(round.cpu_seconds)).shown(2),
        spread(|round| round.events_a_second / 1e3).shown(0),
        spread(|round| round.peak_mb).shown(0),
        spread(|round| a_million(round.broker_cpu_seconds.unwrap_or(f64::NAN))).shown(2),
        output(|output| output.changes),
        output(|output| output.changelog_records),
        output(|output| output.commits),
        spread(|round| round.load).shown(1),
    ]
}
