//! How good the segments are: `cargo xtask quality`.
//!
//! Tables go to stdout and into `BENCHMARKS.md`, curves to `docs/pictures`, what is going on to stderr.

mod agreement;
mod course;
mod decisions;
mod given_up;
mod groups;
mod inertia;
mod jobs;
mod lapsed;
mod lasting;
mod movement;
mod peers;
mod picture;
mod shop;
mod snapshot;
mod streams;
mod synthetic;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A year of groceries: inertia, and what calms decisions down
    Journey,
    /// A year of a web shop: inertia, and when the lapsed leave
    Retail,
    /// Made-up streams whose groups are known
    Streams,
    /// The same with groups as near to each other as can be told apart
    Near,
    /// Others on the same streams
    Peers,
}

/// What all measurements may be told.
#[derive(Parser)]
#[command(name = "flockwise-quality", about = "How good the segments are")]
struct Settings {
    /// These parts alone
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["journey", "retail", "streams", "near", "peers"])]
    only: Vec<Part>,
    /// Seeds of each: five for shops, three for streams unless told
    #[arg(long)]
    seeds: Option<u64>,
    /// Only print: leave BENCHMARKS.md and its pictures as they are
    #[arg(long)]
    print: bool,
}

fn main() -> Result<()> {
    let settings = Settings::parse();
    for part in &settings.only {
        match part {
            Part::Journey => {
                inertia::measure(&inertia::JOURNEY, &settings)?;
                decisions::measure(&settings)?;
            }
            Part::Retail => {
                inertia::measure(&inertia::RETAIL, &settings)?;
                lapsed::measure(&settings)?;
            }
            Part::Streams => streams::measure(&streams::APART, &settings)?,
            Part::Near => streams::measure(&streams::NEAR, &settings)?,
            Part::Peers => peers::measure(&settings)?,
        }
    }
    Ok(())
}
