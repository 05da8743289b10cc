//! Measures Flockwise: `cargo run --release -p flockwise-benches -- kafka`, `latency` or `replay`.
//!
//! Tables go to stdout, what is going on to stderr, every figure to a JSON file under `target/bench`.

mod bare;
mod broker;
mod latency;
mod probe;
mod program;
mod replay;
mod report;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "flockwise-benches", about = "Measures Flockwise")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// CPU and speed on real Kafka, exactly once, beside a consumer that only parses
    Kafka(Settings),
    /// From an event produced to its change readable, 200 events a second
    Latency(latency::LatencySettings),
    /// Events a second of one shard without a broker
    Replay(Settings),
    /// The consumer that only parses
    #[command(hide = true)]
    Bare { servers: String, topic: String },
}

/// What all measurements may be told.
#[derive(Args, Clone)]
struct Settings {
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure this program instead of building `flockwise` of this workspace
    #[arg(long, value_name = "PROGRAM")]
    flockwise: Option<PathBuf>,
    /// A property of librdkafka that Flockwise is to be given, as in linger.ms=5
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<()> {
    match what {
        What::Kafka(settings) => throughput::measure(&settings),
        What::Latency(settings) => latency::measure(&settings),
        What::Replay(settings) => replay::measure(&settings),
        What::Bare { servers, topic } => bare::consume(&servers, &topic),
    }
}
