//! Tests the tests: builds the pipeline with one thing broken at a time, and expects the simulator or a test to
//! notice each.
//!
//! A mutant is a file in `tests/mutants`: a description, the arguments of a `cargo test` if not the simulator must
//! catch it (`test: -p CRATE NAME`), and for each change the function, the text to find, which must occur exactly
//! once in it, and its replacement. Mutants are built in a copy of the workspace under `target/mutants`.

mod copy;
mod function;
mod mutation;
mod trial;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace;
use copy::Copy;
use mutation::Mutation;
use trial::{Trial, TrialOutcome};

/// The arguments of `cargo xtask mutants`.
#[derive(Args)]
pub struct MutantsArgs {
    /// Number of seeds within which each mutant must be caught
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Only mutants whose name contains this; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Only check that every mutant still fits the sources
    #[arg(long)]
    check: bool,
}

/// Runs every mutant.
pub fn run(args: &MutantsArgs) -> Result<()> {
    let mutations = read(&args.only)?;
    for mutation in &mutations {
        mutation.apply(workspace())?;
    }
    if args.check {
        println!("{} mutants fit the sources", mutations.len());
        return Ok(());
    }
    let copy = Copy::make(workspace(), &workspace().join("target/mutants/work"))?;
    let trial = Trial {
        folder: copy.folder(),
        target: workspace().join("target/mutants/target"),
        seeds: args.seeds,
    };
    if let TrialOutcome::Caught { seed, .. } = trial.run()? {
        bail!("seed {seed} fails without any mutant: fix that first");
    }
    let mut survivors = 0;
    for mutation in &mutations {
        copy.with(&mutation.apply(copy.folder())?, || {
            let outcome = match &mutation.test {
                Some(arguments) => trial.run_test(arguments),
                None => trial.run(),
            };
            let outcome = outcome.with_context(|| mutation.name.clone())?;
            survivors += usize::from(outcome == TrialOutcome::Survived);
            println!("{:<36} {outcome}", mutation.name);
            Ok(())
        })?;
    }
    if survivors > 0 {
        bail!(
            "{survivors} of {} mutants survived {} seeds",
            mutations.len(),
            args.seeds
        );
    }
    Ok(())
}

fn read(only: &[String]) -> Result<Vec<Mutation>> {
    let folder = workspace().join("tests/mutants");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    let mutations = paths.iter().map(|path| Mutation::read(path));
    let mut mutations: Vec<Mutation> = mutations.collect::<Result<_>>()?;
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|only| name.contains(only));
    mutations.retain(|mutation| is_wanted(&mutation.name));
    if mutations.is_empty() {
        bail!("no mutant in {} matches --only", folder.display());
    }
    Ok(mutations)
}
