//! `cargo xtask bench`: runs the program that makes the measurements of `BENCHMARKS.md`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace;

/// The arguments of `cargo xtask bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Parts to measure, comma-separated: cpu, latency, pressure, restart, scaling, kernels, nearest [default: all]
    #[arg(long)]
    only: Option<String>,
    /// Rounds of each measurement [default: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Events of a cold run; a warm run has three times as many [default: 2000000]
    #[arg(long)]
    events: Option<u64>,
    /// Only print the tables, and do not change BENCHMARKS.md
    #[arg(long)]
    print: bool,
    /// Further options of `flockwise-benches`; `-- --help` lists them
    #[arg(last = true)]
    more: Vec<String>,
}

/// Replaces this process by the measuring program, so that signals reach it. It must end its child processes.
pub fn run(args: &BenchArgs) -> Result<()> {
    let mut command = measuring_command("flockwise-benches");
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    if let Some(rounds) = args.rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    if let Some(events) = args.events {
        command.args(["--events", &events.to_string()]);
    }
    if args.print {
        command.arg("--print");
    }
    Err(command.args(&args.more).exec()).context("cannot run cargo")
}

/// A command that runs a measuring program of the workspace. The caller adds the arguments.
pub(crate) fn measuring_command(package: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "--release", "--quiet", "--package", package, "--"])
        .current_dir(workspace());
    command
}
