//! The command line of `flockwise model`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::seconds::seconds;

#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the versions, newest last.
    #[command(after_help = "Example:\n  flockwise model list --config flockwise.toml")]
    List(ListArguments),
    /// Show a version: its segments, its impact on customers, and the command that put it into use.
    #[command(after_help = "Example:\n  flockwise model show --held --config flockwise.toml")]
    Show(ShowArguments),
    /// Compare the segments of two versions.
    #[command(after_help = "Example:\n  flockwise model diff 3 5 --config flockwise.toml")]
    Diff(DiffArguments),
    /// Write a version as JSON, for `model import`.
    #[command(
        after_help = "Example:\n  flockwise model export --config flockwise.toml --out model.json"
    )]
    Export(ExportArguments),
    /// Put a model from a file into use, as the next version.
    #[command(
        after_help = "Example:\n  flockwise model import model.json --config flockwise.toml --why \"names by marketing\""
    )]
    Import(ImportArguments),
    /// Put the held version into use.
    #[command(
        after_help = "Example:\n  flockwise model approve 5 --config flockwise.toml --why \"the sale is on\""
    )]
    Approve(DecideArguments),
    /// Put a former version into use again, as the next version.
    #[command(
        after_help = "Example:\n  flockwise model rollback 3 --config flockwise.toml --why \"a test was in the data\""
    )]
    Rollback(DecideArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Print the versions as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Number of the version. Default: the version in use.
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Show the held version.
    #[arg(long, conflicts_with = "number")]
    pub(crate) held: bool,
    /// Print the version as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Number of the earlier version. Default: the version in use; if no version is held, the last but one.
    pub(crate) before: Option<u64>,
    /// Number of the later version. Default: the held version; if no version is held, the last one.
    pub(crate) after: Option<u64>,
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Print the differences as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Number of the version. Default: the version in use.
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Model file, as written by `model export` or `replay --out`.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) command: CommandArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArguments {
    /// Number of the version.
    #[arg(value_name = "VERSION")]
    pub(crate) number: u64,
    #[command(flatten)]
    pub(crate) command: CommandArguments,
}

/// Arguments of every command to the trainer.
#[derive(Debug, Args)]
pub(crate) struct CommandArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Reason for the command, recorded with the version.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) why: String,
    /// Who gives the command, recorded with the version. Default: the environment variable USER.
    #[arg(long, value_name = "NAME", value_parser = reason)]
    pub(crate) who: Option<String>,
    /// How long to wait for the trainer to execute the command.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Maximum length of --who and --why, in characters. Both are stored with the version for ever.
const LONGEST: usize = 1_000;

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is recorded with the version and must not be empty".to_owned()),
        text if text.chars().count() > LONGEST => Err(format!(
            "it is too long: expected at most {LONGEST} characters"
        )),
        text => Ok(text.to_owned()),
    }
}
