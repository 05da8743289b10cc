//! Long runs of the simulator: many seeds on several cores. Lists the seeds that fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::workspace;

/// Number of seeds that one process simulates before it reports.
const SLICE: u64 = 1_000;

/// The simulator's test that simulates many seeds, and its environment variables: the seeds, the number of threads,
/// and whether to continue after a failing seed.
const TEST: &str = "every_seed_holds";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";
const THREADS: &str = "FLOCKWISE_SIMULATOR_THREADS";
const KEEP_GOING: &str = "FLOCKWISE_SIMULATOR_KEEP_GOING";

/// The arguments of `cargo xtask simulate`.
#[derive(Args)]
pub struct SimulateArgs {
    /// Number of seeds to simulate
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Number of threads [default: one per core]
    #[arg(long)]
    jobs: Option<u64>,
    /// Build with full optimisation, which pays off from about 100,000 seeds on
    #[arg(long)]
    release: bool,
}

/// Simulates every seed. Fails if one does.
pub fn run(args: &SimulateArgs) -> Result<()> {
    let program = build(args.release)?;
    let (mut from, end) = (args.from, args.from + args.seeds);
    let mut all_failed = Vec::new();
    while from < end {
        let to = end.min(from + SLICE);
        let failed = simulate(&program, from, to, args.jobs)?;
        match failed.is_empty() {
            true => println!("seeds {from}..{to} hold"),
            false => println!("seeds {from}..{to}: failing: {failed:?}"),
        }
        all_failed.extend(failed);
        from = to;
    }
    if !all_failed.is_empty() {
        let count = all_failed.len();
        bail!("{count} of {} seeds fail: {all_failed:?}", args.seeds);
    }
    println!("{} seeds hold, from {} on", args.seeds, args.from);
    Ok(())
}

/// Simulates a slice of seeds. Returns those that fail.
fn simulate(program: &Path, from: u64, to: u64, jobs: Option<u64>) -> Result<Vec<u64>> {
    let mut command = Command::new(program);
    command
        .args([TEST, "--exact", "--nocapture"])
        .env(SEEDS, format!("{from}..{to}"))
        .env(KEEP_GOING, "1")
        .env("RUST_BACKTRACE", "0");
    if let Some(jobs) = jobs {
        command.env(THREADS, jobs.max(1).to_string());
    }
    let finished = command
        .output()
        .with_context(|| program.display().to_string())?;
    let output = String::from_utf8_lossy(&finished.stderr);
    let failed: Vec<u64> = output.lines().filter_map(failed_seed).collect();
    if !finished.status.success() && failed.is_empty() {
        bail!("seeds {from}..{to} failed without naming a seed:\n{output}");
    }
    Ok(failed)
}

/// The seed in a line that reports a failing seed; `None` for other lines.
fn failed_seed(line: &str) -> Option<u64> {
    let seed = line.trim().strip_prefix("seed ")?;
    let seed = seed.strip_suffix(" failed; replay it with")?;
    seed.parse().ok()
}

/// Builds the simulator. Returns the path of its program.
fn build(is_release: bool) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["test", "-p", "flockwise-tests", "--test", "simulator"])
        .args(["--no-run", "--message-format=json"])
        .args(is_release.then_some("--release"))
        .current_dir(workspace())
        .stderr(Stdio::inherit());
    let build = command.output().context("cargo")?;
    if !build.status.success() {
        bail!("the simulator does not build");
    }
    let messages = String::from_utf8_lossy(&build.stdout);
    let program = messages.lines().rev().find_map(program);
    program.context("cargo reports no path of the simulator program")
}

fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_simulator = message["target"]["name"] == "simulator";
    let program = message["executable"].as_str().filter(|_| is_simulator);
    program.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_that_failed_is_found_in_its_line() {
        let line = "seed 17 failed; replay it with";
        assert_eq!(failed_seed(line), Some(17));
        assert_eq!(failed_seed("seed 17: stuck"), None);
        assert_eq!(failed_seed("seeds 0..10 hold"), None);
    }

    #[test]
    fn the_program_is_that_of_the_simulator() {
        let of =
            |name: &str| format!(r#"{{"target":{{"name":"{name}"}},"executable":"/x/{name}"}}"#);
        assert_eq!(
            program(&of("simulator")),
            Some(PathBuf::from("/x/simulator"))
        );
        assert_eq!(program(&of("oracle")), None);
        assert_eq!(program("no JSON"), None);
    }
}
