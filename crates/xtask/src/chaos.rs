//! `cargo xtask chaos`: a real deployment, broken from a seed. The work is done in `tests/chaos`, which
//! knows what must come out.

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
    /// As `cargo xtask chaos --help` says
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Becomes the program that does it, so that whoever ends this ends that.
pub fn run(args: ChaosArgs) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "flockwise-tests"]);
    command.args(["--bin", "chaos", "--"]).args(args.args);
    let error = command.current_dir(workspace()).exec();
    Err(anyhow!(error)).context("cannot run cargo")
}
