//! Measures the quality of the segments: `cargo xtask quality`.
//!
//! Writes tables to stdout and into `BENCHMARKS.md`, curves to `docs/pictures`, and progress to stderr.

mod agreement;
mod decisions;
mod final_inertia;
mod groups;
mod inertia;
mod inertia_given_up;
mod jobs;
mod lapsed_customers;
mod lasting_moves;
mod movement;
mod peers;
mod picture;
mod shop;
mod streams;
mod synthetic;
mod training_run;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A year of groceries: inertia and decision policies
    Journey,
    /// A year of a web shop: inertia, and when lapsed customers change segment
    Retail,
    /// Synthetic streams with known groups
    Streams,
    /// The same with groups that can barely be told apart
    Near,
    /// Peers on the same streams
    Peers,
}

/// Settings of all measurements.
#[derive(Parser)]
#[command(
    name = "flockwise-quality",
    about = "Measures the quality of the segments"
)]
struct Settings {
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["journey", "retail", "streams", "near", "peers"])]
    only: Vec<Part>,
    /// Seeds of each measurement [default: 5 for shops, 3 for streams]
    #[arg(long)]
    seeds: Option<u64>,
    /// Only print the tables, and do not change BENCHMARKS.md and the pictures
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
                lapsed_customers::measure(&settings)?;
            }
            Part::Streams => streams::measure(&streams::APART, &settings)?,
            Part::Near => streams::measure(&streams::NEAR, &settings)?,
            Part::Peers => peers::measure(&settings)?,
        }
    }
    Ok(())
}
