//! Faults for real: three brokers, three processes, and what a seed makes of them.
//!
//! Events come at a steady rate while processes and brokers are killed, frozen and cut off; what comes
//! out in the end must be what an undisturbed replay of the same events gives. Started by
//! `cargo xtask chaos`.

mod checks;
mod clock;
mod deployment;
mod disk;
mod event_log;
mod faults;
mod instance;
mod observer;
mod producer;
mod proxy;
mod report;
mod run;
mod schedule;
mod stop_signal;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use flockwise_tests::events::{InputRecord, spread};
use flockwise_tests::kafka_pipeline::PARTITIONS;
use flockwise_tests::process::workspace;

use clock::Clock;
use deployment::{Deployment, INPUTS, PROCESSES, Plan};
use event_log::EventLog;
use report::Report;
use run::{Outcome, Run};
use schedule::{Fault, Kind};
use stop_signal::StopSignal;

/// Events go on for this long after the last fault.
const CALM_AT_LAST_S: f64 = 5.0;
/// Events that the model is learnt from.
const LEARNT_FROM: u64 = 5_000;

/// Breaks a real deployment from a seed, and compares what comes out with an undisturbed replay
#[derive(Parser)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos")]
struct Arguments {
    /// How long events come, ten seconds of which are to get warm
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// The same seed, the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads of each process
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Copies of each task's state that other processes keep; left out of the configuration where 0
    #[arg(long, default_value_t = 0)]
    standbys: u32,
    /// Events a second
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How many customers there may be
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Only these kinds of faults
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// A property of librdkafka, for the processes
    #[arg(long = "property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// RUST_LOG of the processes
    #[arg(long, default_value = "info")]
    log: String,
    /// No faults at all: the figures to compare with
    #[arg(long, conflicts_with = "kinds")]
    calm: bool,
    /// Print the faults and end
    #[arg(long)]
    dry_run: bool,
    /// Where logs and results go [default: target/chaos]
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let faults = arguments.faults();
    println!("faults from seed {}:", arguments.seed);
    faults.iter().for_each(|fault| println!("{fault}"));
    if arguments.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let stop = StopSignal::on_signals().context("cannot listen to signals")?;
    let plan = arguments.plan();
    fs::create_dir_all(&plan.folder).context("cannot make the folder of results")?;
    let mut deployment = Deployment::set(&plan)?;
    let ended = arguments.play(&deployment, &faults, &stop);
    if ended
        .as_ref()
        .is_ok_and(|report| report.failures.is_empty())
    {
        let report = ended?;
        arguments.tell(&report, &plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    if stop.is_interrupted() {
        eprintln!("interrupted");
        return Ok(ExitCode::from(130));
    }
    deployment.keep_files();
    arguments.tell(&ended?, &plan)?;
    eprintln!("everything is in {}", plan.folder.display());
    Ok(ExitCode::FAILURE)
}

impl Arguments {
    fn faults(&self) -> Vec<Fault> {
        let mut kinds = match self.kinds.is_empty() {
            true if self.calm => Vec::new(),
            true => Kind::value_variants().to_vec(),
            false => self.kinds.clone(),
        };
        if kinds.contains(&Kind::Disk) && !disk::may_mount() {
            eprintln!("no disk is filled: a small one is mounted by root alone");
            kinds.retain(|kind| *kind != Kind::Disk);
        }
        let span_s = self.minutes * 60.0 - CALM_AT_LAST_S;
        match kinds.is_empty() {
            true => Vec::new(),
            false => schedule::draw(self.seed, &kinds, (span_s.max(0.0) * 1e3) as u64),
        }
    }

    fn plan(&self) -> Plan {
        let folder = workspace().join("target/chaos");
        Plan {
            folder: self.dir.clone().unwrap_or(folder),
            shards: self.shards,
            standbys: self.standbys,
            properties: self.properties.clone(),
            log: self.log.clone(),
        }
    }

    /// The whole run, on a site that is ready for it.
    fn play(&self, deployment: &Deployment, faults: &[Fault], stop: &StopSignal) -> Result<Report> {
        let count = (self.minutes * 60.0 * f64::from(self.rate)) as u64;
        let first = count.min(LEARNT_FROM) as usize;
        let events = deployment
            .kafka_pipeline
            .expect(count, self.customers, first);
        let events = spread(events, PARTITIONS);
        (0..PROCESSES).for_each(|index| deployment.instance(index).start());
        (0..PROCESSES)
            .try_for_each(|index| deployment.wait_until_ready(&deployment.instance(index), stop))?;
        let course = Run {
            deployment,
            stop,
            clock: Clock::start(),
            event_log: Arc::new(Mutex::new(EventLog::new(INPUTS, PARTITIONS))),
            faults,
            events: &events,
            rate: self.rate,
        };
        eprintln!("{} events at {} a second", events.len(), self.rate);
        let outcome = course.run();
        let ended = checks::end(deployment, stop);
        Ok(self.report(deployment, &course, outcome, ended, &events))
    }

    fn report(
        &self,
        deployment: &Deployment,
        course: &Run<'_>,
        outcome: Outcome,
        ended: Vec<String>,
        events: &[InputRecord],
    ) -> Report {
        let event_log = course.event_log.lock();
        let event_log = event_log.unwrap_or_else(PoisonError::into_inner);
        let Outcome {
            past,
            stalls,
            mut failures,
        } = outcome;
        failures.extend(past.iter().flat_map(|past| past.failures.clone()));
        let stops = past.iter().flat_map(|past| &past.uncommitted);
        let (excused, others): (Vec<_>, Vec<_>) =
            stops.partition(|stop| past.iter().any(|past| past.excuses(stop)));
        let uncommitted = excused.len();
        failures.extend(others.into_iter().map(|stop| stop.text.clone()));
        failures.extend(ended);
        let mut changes = 0;
        if course.stop.is_interrupted() {
            failures.push("interrupted".to_owned());
        } else {
            let (differing, count) =
                checks::judge(&deployment.kafka_pipeline, &event_log, events.len());
            failures.extend(differing);
            changes = count;
        }
        Report {
            seed: self.seed,
            standbys: self.standbys,
            rate: self.rate,
            load: load(),
            events: event_log.count(),
            repeated: event_log.repeated(),
            changes,
            stalls,
            latencies: event_log.latencies(),
            past,
            uncommitted,
            failures,
        }
    }

    fn tell(&self, report: &Report, plan: &Plan) -> Result<()> {
        println!("{report}");
        let name = format!("seed-{}-standbys-{}.json", self.seed, self.standbys);
        let path = plan.folder.join(name);
        let text = format!("{:#}\n", report.json());
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("also in {}", path.display());
        Ok(())
    }
}

/// How busy the machine was in the last minute; slow answers may be due to others.
fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
