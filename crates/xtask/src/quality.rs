//! `cargo xtask quality`: how good the segments are, which is a program of its own.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use clap::Args;

use crate::bench::measuring;

/// What `cargo xtask quality` is asked for.
#[derive(Args)]
pub struct QualityArgs {
    /// Some of journey, retail, streams, near, peers, with commas between [default: all]
    #[arg(long)]
    only: Option<String>,
    /// Seeds of each: five for shops, three for streams unless told
    #[arg(long)]
    seeds: Option<u64>,
    /// Only print: leave BENCHMARKS.md and its pictures as they are
    #[arg(long)]
    print: bool,
}

/// Measures, in place of this process.
pub fn run(args: &QualityArgs) -> Result<()> {
    let mut command = measuring("flockwise-quality");
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
