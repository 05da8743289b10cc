//! The command line of `flockwise model`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// The versions there are, the newest last.
    #[command(after_help = "Example:\n  flockwise model list --config flockwise.toml")]
    List(ListArguments),
    /// The segments of a version, what it does to customers, and by whose order it is in use.
    #[command(after_help = "Example:\n  flockwise model show --held --config flockwise.toml")]
    Show(ShowArguments),
    /// What becomes of the segments from one version to another.
    #[command(after_help = "Example:\n  flockwise model diff 3 5 --config flockwise.toml")]
    Diff(DiffArguments),
    /// Write a version as JSON that `import` reads again.
    #[command(
        after_help = "Example:\n  flockwise model export --config flockwise.toml --out model.json"
    )]
    Export(ExportArguments),
    /// Take a model from a file into use, as the next version.
    #[command(
        after_help = "Example:\n  flockwise model import model.json --config flockwise.toml --why \"names by marketing\""
    )]
    Import(ImportArguments),
    /// Take the version that is held into use.
    #[command(
        after_help = "Example:\n  flockwise model approve 5 --config flockwise.toml --why \"the sale is on\""
    )]
    Approve(DecideArguments),
    /// Take a former version into use again, as the next version.
    #[command(
        after_help = "Example:\n  flockwise model rollback 3 --config flockwise.toml --why \"a test was in the data\""
    )]
    Rollback(DecideArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The versions as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Its number; left out: the one in use.
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The one that is held.
    #[arg(long, conflicts_with = "number")]
    pub(crate) held: bool,
    /// The version as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Number of the one before; left out: the one in use, or the last but one where none is held.
    pub(crate) before: Option<u64>,
    /// Number of the one after; left out: the one that is held, or the last.
    pub(crate) after: Option<u64>,
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The differences as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Its number; left out: the one in use.
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Write it into this file instead of to stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The model, as `export` and `replay --out` write it.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) command: CommandArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArguments {
    /// Its number.
    #[arg(value_name = "VERSION")]
    pub(crate) number: u64,
    #[command(flatten)]
    pub(crate) command: CommandArguments,
}

/// What every order to the trainer has.
#[derive(Debug, Args)]
pub(crate) struct CommandArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) why: String,
    /// Who says so, for the record; left out: who is logged in.
    #[arg(long, value_name = "NAME", value_parser = reason)]
    pub(crate) who: Option<String>,
    /// How long to wait until the trainer has carried it out.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// The outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Characters that who and why may have: they are kept with the version for ever.
const LONGEST: usize = 1_000;

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is for the record and may not be empty".to_owned()),
        text if text.chars().count() > LONGEST => {
            Err(format!("it may have {LONGEST} characters at most"))
        }
        text => Ok(text.to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>();
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .map_err(|_| "a whole number of seconds is needed, such as 30".to_owned())
}
