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
    task: DevelopmentTask,
}

#[derive(Subcommand)]
enum DevelopmentTask {
    /// Run a real Apache Kafka on this machine, for tests and benchmarks
    Kafka(kafka::KafkaArgs),
    /// Run the measurements of BENCHMARKS.md, with Kafka Streams and Flink
    Bench(bench::BenchArgs),
    /// Measure the quality of the segments: real shops, synthetic streams, peers
    Quality(quality::QualityArgs),
    /// Create data sets for experiments
    Data(data::DataArgs),
    /// Inject faults into a real deployment and compare the output with a replay without faults
    Chaos(chaos::ChaosArgs),
    /// Break one thing at a time and check that the simulator or a test notices
    Mutants(mutants::MutantsArgs),
    /// Simulate many seeds on all cores and list those that fail
    Simulate(simulate::SimulateArgs),
    /// Run the fuzz targets, guided by coverage
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

fn run(task: DevelopmentTask) -> anyhow::Result<()> {
    match task {
        DevelopmentTask::Kafka(args) => kafka::run(args),
        DevelopmentTask::Bench(args) => bench::run(&args),
        DevelopmentTask::Quality(args) => quality::run(&args),
        DevelopmentTask::Data(args) => data::run(args),
        DevelopmentTask::Chaos(args) => chaos::run(args),
        DevelopmentTask::Mutants(args) => mutants::run(&args),
        DevelopmentTask::Simulate(args) => simulate::run(&args),
        DevelopmentTask::Fuzz(args) => fuzz::run(&args),
    }
}
