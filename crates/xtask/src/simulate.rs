//! Long runs of the simulator: many seeds on several cores, and which of them fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::workspace;

/// Seeds that one process plays before it hands its report in.
const SLICE: u64 = 1_000;

/// The simulator's test that plays many seeds, and the variables that say which, on how many threads, and to go on
/// after one that fails.
const TEST: &str = "every_seed_holds";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";
const THREADS: &str = "FLOCKWISE_SIMULATOR_THREADS";
const KEEP_GOING: &str = "FLOCKWISE_SIMULATOR_KEEP_GOING";

/// What `cargo xtask simulate` is asked for.
#[derive(Args)]
pub struct SimulateArgs {
    /// Number of seeds to play
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Processes at a time; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// Optimise fully: pays from about 100,000 seeds on
    #[arg(long)]
    release: bool,
}

/// Plays every seed, and fails where one does.
pub fn run(args: &SimulateArgs) -> Result<()> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or_else(cores).max(1);
    let sweep = Sweep {
        program: built(args.release)?,
        next: AtomicU64::new(args.from),
        end: args.from + args.seeds,
        failed: Mutex::new(Vec::new()),
    };
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| sweep.work())).collect();
        for worker in workers {
            worker
                .join()
                .unwrap_or_else(|_| bail!("a worker panicked"))?;
        }
        Ok(())
    })?;
    let failed = sweep.failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        bail!("{} of {} seeds fail: {failed:?}", failed.len(), args.seeds);
    }
    println!("{} seeds hold, from {} on", args.seeds, args.from);
    Ok(())
}

/// Seeds still to be played, and those that failed.
struct Sweep {
    program: PathBuf,
    next: AtomicU64,
    end: u64,
    failed: Mutex<Vec<u64>>,
}

impl Sweep {
    fn work(&self) -> Result<()> {
        loop {
            let from = self.next.fetch_add(SLICE, Ordering::Relaxed);
            if from >= self.end {
                return Ok(());
            }
            let to = self.end.min(from + SLICE);
            let failed = play(&self.program, from, to)?;
            match failed.is_empty() {
                true => println!("seeds {from}..{to} hold"),
                false => println!("seeds {from}..{to}: these fail: {failed:?}"),
            }
            self.failed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .extend(failed);
        }
    }
}

/// Plays a slice; which of its seeds fail.
fn play(program: &Path, from: u64, to: u64) -> Result<Vec<u64>> {
    let played = Command::new(program)
        .args([TEST, "--exact", "--nocapture"])
        .env(SEEDS, format!("{from}..{to}"))
        .env(THREADS, "1")
        .env(KEEP_GOING, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .with_context(|| program.display().to_string())?;
    let told = String::from_utf8_lossy(&played.stderr);
    let failed: Vec<u64> = told.lines().filter_map(failed_seed).collect();
    if !played.status.success() && failed.is_empty() {
        bail!("seeds {from}..{to} ended without naming a seed:\n{told}");
    }
    Ok(failed)
}

/// The seed of a line that says that it failed.
fn failed_seed(line: &str) -> Option<u64> {
    let seed = line.trim().strip_prefix("seed ")?;
    let seed = seed.strip_suffix(" failed; play it again with")?;
    seed.parse().ok()
}

/// Builds the simulator, and says where its program is.
fn built(is_release: bool) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["test", "-p", "flockwise-tests", "--test", "simulator"])
        .args(["--no-run", "--message-format=json"])
        .args(is_release.then_some("--release"))
        .current_dir(workspace())
        .stderr(Stdio::inherit());
    let built = command.output().context("cargo")?;
    if !built.status.success() {
        bail!("the simulator does not build");
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let program = messages.lines().rev().find_map(program);
    program.context("cargo names no program of the simulator")
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
        let line = "seed 17 failed; play it again with";
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
