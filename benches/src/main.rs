//! Measures Flockwise and its peers: `cargo xtask bench`.
//!
//! Writes tables to stdout and into `BENCHMARKS.md`, progress to stderr, and every figure to a JSON file under
//! `target/bench`.

mod bare_consumer;
mod bench;
mod bench_broker;
mod children;
mod cpu_time;
mod first_change;
mod flockwise;
mod jvm;
mod latency;
mod load_lines;
mod load_sender;
mod micro;
mod nearest;
mod pressure;
mod process_figures;
mod program;
mod progress_trace;
mod published_changes;
mod replay;
mod restart;
mod scaling;
mod schedule;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use bench::{Bench, Part, Settings};

#[derive(Parser)]
#[command(
    name = "flockwise-benches",
    about = "Measures Flockwise and its peers",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    inner: Option<Inner>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Inner {
    /// Run the consumer that only parses
    #[command(hide = true)]
    Bare {
        servers: String,
        topic: String,
        events: u64,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Inner::Bare {
        servers,
        topic,
        events,
    }) = &arguments.inner
    {
        return bare_consumer::consume(servers, topic, *events);
    }
    children::end_on_signal(|| {
        // Errors are ignored, since the process exits right after this.
        let _ = bench_broker::cluster().down();
    })?;
    measure(&arguments.settings)
}

fn measure(settings: &Settings) -> Result<()> {
    let wanted = |part: Part| settings.only.contains(&part);
    if wanted(Part::Nearest) {
        nearest::measure(settings)?;
    }
    if settings.only == [Part::Nearest] {
        return Ok(());
    }
    let program = flockwise::find(settings)?;
    if wanted(Part::Kernels) {
        micro::measure(settings, &program)?;
    }
    let needs_broker = |part: &Part| !matches!(part, Part::Kernels | Part::Nearest);
    if !settings.only.iter().any(needs_broker) {
        return Ok(());
    }
    let bench = Bench::prepare(settings, program)?;
    if wanted(Part::Cpu) {
        cpu_time::measure(&bench)?;
    }
    if wanted(Part::Latency) {
        latency::measure(&bench)?;
    }
    if wanted(Part::Pressure) {
        pressure::measure(&bench)?;
    }
    if wanted(Part::Scaling) {
        scaling::measure(&bench)?;
    }
    if wanted(Part::Restart) {
        restart::measure(&bench)?;
    }
    Ok(())
}
