//! `cargo xtask chaos`: injects faults into a real deployment. Runs the program in `tests/chaos`, which can check the
//! output.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::workspace;

/// The arguments of `cargo xtask chaos`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct ChaosArgs {
    /// See `cargo xtask chaos --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Replaces this process by the chaos program, so that signals reach it.
pub fn run(args: ChaosArgs) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "flockwise-tests"]);
    command.args(["--bin", "chaos", "--"]).args(args.args);
    let error = command.current_dir(workspace()).exec();
    Err(anyhow!(error)).context("cannot run cargo")
}
