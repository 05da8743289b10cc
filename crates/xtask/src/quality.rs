//! `cargo xtask quality`: runs the program that measures the quality of the segments.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use clap::Args;

use crate::bench::measuring_command;

/// The arguments of `cargo xtask quality`.
#[derive(Args)]
pub struct QualityArgs {
    /// Parts to measure, comma-separated: journey, retail, streams, near, peers [default: all]
    #[arg(long)]
    only: Option<String>,
    /// Seeds of each measurement [default: 5 for shops, 3 for streams]
    #[arg(long)]
    seeds: Option<u64>,
    /// Only print the tables, and do not change BENCHMARKS.md and the pictures
    #[arg(long)]
    print: bool,
}

/// Replaces this process by the measuring program.
pub fn run(args: &QualityArgs) -> Result<()> {
    let mut command = measuring_command("flockwise-quality");
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    if let Some(seeds) = args.seeds {
        command.args(["--seeds", &seeds.to_string()]);
    }
    if args.print {
        command.arg("--print");
    }
    Err(command.exec()).context("cannot run cargo")
}
