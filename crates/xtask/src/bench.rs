//! `cargo xtask bench`: the measurements of `BENCHMARKS.md`, which are a program of their own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace;

/// What `cargo xtask bench` is asked for.
#[derive(Args)]
pub struct BenchArgs {
    /// Some of cpu, latency, pressure, restart, scaling, kernels, nearest, with commas between [default: all]
    #[arg(long)]
    only: Option<String>,
    /// Rounds of each [default: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Events of a cold run; a warm one has three times as many [default: 2000000]
    #[arg(long)]
    events: Option<u64>,
    /// Only print: leave BENCHMARKS.md as it is
    #[arg(long)]
    print: bool,
    /// More for `flockwise-benches`; `-- --help` shows what there is
    #[arg(last = true)]
    more: Vec<String>,
}

/// Measures, in place of this process: so a signal reaches who has children to end.
pub fn run(args: &BenchArgs) -> Result<()> {
    let mut command = measuring("flockwise-benches");
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

/// A measuring program of the workspace, to be given its arguments.
pub(crate) fn measuring(package: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "--release", "--quiet", "--package", package, "--"])
        .current_dir(workspace());
    command
}
