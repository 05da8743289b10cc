//! `cargo xtask`: development tasks of the workspace.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::{bench, chaos, data, fuzz, kafka, mutants, quality, simulate};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Development tasks of Flockwise"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Real Apache Kafka on this machine, for tests and benchmarks
    Kafka(kafka::KafkaArgs),
    /// Every measurement of BENCHMARKS.md, beside Kafka Streams and Flink
    Bench(bench::BenchArgs),
    /// How good the segments are: real shops, made-up streams, peers
    Quality(quality::QualityArgs),
    /// Data sets to try the pipeline on
    Data(data::DataArgs),
    /// Breaks a real deployment from a seed, and compares what comes out with an undisturbed replay
    Chaos(chaos::ChaosArgs),
    /// Break one thing at a time and see that the simulator finds it
    Mutants(mutants::MutantsArgs),
    /// Play many seeds of the simulator on all cores, and name those that fail
    Simulate(simulate::SimulateArgs),
    /// Run the fuzz targets for long, guided by coverage
    Fuzz(fuzz::FuzzArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Kafka(args) => kafka::run(args),
        Task::Bench(args) => bench::run(&args),
        Task::Quality(args) => quality::run(&args),
        Task::Data(args) => data::run(args),
        Task::Chaos(args) => chaos::run(args),
        Task::Mutants(args) => mutants::run(&args),
        Task::Simulate(args) => simulate::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
    }
}
