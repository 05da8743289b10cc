//! Injects faults into a real deployment of three brokers and three processes, drawn from a seed.
//!
//! Events arrive at a steady rate while processes and brokers are killed, frozen and disconnected. In the end the
//! output must equal that of a replay of the same events without faults. Started by `cargo xtask chaos`.

mod check_output;
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

/// Seconds of events without faults at the end.
const FAULT_FREE_END_S: f64 = 5.0;
/// Number of events that the model is learned from.
const LEARNING_EVENTS: u64 = 5_000;

/// Injects faults into a real deployment and compares the output with a replay without faults
#[derive(Parser)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos")]
struct Arguments {
    /// Minutes of events; the first ten seconds are a warm-up without faults
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Seed of the faults; the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Worker threads of each process
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// `standbys` in the configuration of the processes; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    standbys: u32,
    /// Events per second
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Maximum number of customers
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Inject only these kinds of faults
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// A librdkafka property for the processes
    #[arg(long = "property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// RUST_LOG of the processes
    #[arg(long, default_value = "info")]
    log: String,
    /// Inject no faults, for figures to compare with
    #[arg(long, conflicts_with = "kinds")]
    calm: bool,
    /// Print the faults and exit
    #[arg(long)]
    dry_run: bool,
    /// Directory of logs and results [default: target/chaos]
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
    let stop = StopSignal::on_signals().context("cannot register signal handlers")?;
    let plan = arguments.plan();
    fs::create_dir_all(&plan.folder).context("cannot create the folder of results")?;
    let mut deployment = Deployment::create(&plan)?;
    let ended = arguments.run_deployment(&deployment, &faults, &stop);
    if ended
        .as_ref()
        .is_ok_and(|report| report.failures.is_empty())
    {
        let report = ended?;
        arguments.write_report(&report, &plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    if stop.is_interrupted() {
        eprintln!("interrupted");
        return Ok(ExitCode::from(130));
    }
    deployment.keep_files();
    arguments.write_report(&ended?, &plan)?;
    eprintln!("all files are in {}", plan.folder.display());
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
            eprintln!("skipping disk faults: only root may mount a small disk");
            kinds.retain(|kind| *kind != Kind::Disk);
        }
        let span_s = self.minutes * 60.0 - FAULT_FREE_END_S;
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

    /// Does the whole run on a deployment without processes, and returns its report.
    fn run_deployment(
        &self,
        deployment: &Deployment,
        faults: &[Fault],
        stop: &StopSignal,
    ) -> Result<Report> {
        let count = (self.minutes * 60.0 * f64::from(self.rate)) as u64;
        let first = count.min(LEARNING_EVENTS) as usize;
        let events = deployment
            .kafka_pipeline
            .expect(count, self.customers, first);
        let events = spread(events, PARTITIONS);
        (0..PROCESSES).for_each(|index| deployment.instance(index).start());
        (0..PROCESSES)
            .try_for_each(|index| deployment.wait_until_ready(&deployment.instance(index), stop))?;
        let run = Run {
            deployment,
            stop,
            clock: Clock::start(),
            event_log: Arc::new(Mutex::new(EventLog::new(INPUTS, PARTITIONS))),
            faults,
            events: &events,
            rate: self.rate,
        };
        eprintln!("{} events at {} per second", events.len(), self.rate);
        let outcome = run.run();
        let ended = check_output::end(deployment, stop);
        Ok(self.report(deployment, &run, outcome, ended, &events))
    }

    fn report(
        &self,
        deployment: &Deployment,
        run: &Run<'_>,
        outcome: Outcome,
        ended: Vec<String>,
        events: &[InputRecord],
    ) -> Report {
        let event_log = run.event_log.lock();
        let event_log = event_log.unwrap_or_else(PoisonError::into_inner);
        let Outcome {
            history,
            stalls,
            mut failures,
        } = outcome;
        failures.extend(history.iter().flat_map(|history| history.failures.clone()));
        let stops = history.iter().flat_map(|history| &history.uncommitted);
        let (explained, others): (Vec<_>, Vec<_>) =
            stops.partition(|stop| history.iter().any(|history| history.explains(stop)));
        let uncommitted = explained.len();
        failures.extend(others.into_iter().map(|stop| stop.text.clone()));
        failures.extend(ended);
        let mut changes = 0;
        if run.stop.is_interrupted() {
            failures.push("interrupted".to_owned());
        } else {
            let (differing, count) =
                check_output::check_results(&deployment.kafka_pipeline, &event_log, events.len());
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
            history,
            uncommitted,
            failures,
        }
    }

    fn write_report(&self, report: &Report, plan: &Plan) -> Result<()> {
        println!("{report}");
        let name = format!("seed-{}-standbys-{}.json", self.seed, self.standbys);
        let path = plan.folder.join(name);
        let text = format!("{:#}\n", report.json());
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("report written to {}", path.display());
        Ok(())
    }
}

/// Load average of the last minute: other programs may explain slow answers.
fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
