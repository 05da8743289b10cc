//! Runs the simulator or another test on a copy of the sources.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The simulator's test that simulates many seeds, and the environment variable with their number.
const TEST: &str = "every_seed_holds";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";

pub(super) struct Trial<'a> {
    pub(super) folder: &'a Path,
    /// Its own target folder, so that each mutant rebuilds only what it changes.
    pub(super) target: PathBuf,
    pub(super) seeds: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrialOutcome {
    Caught {
        seed: u64,
        reason: String,
    },
    /// Caught by `cargo test` with these arguments.
    CaughtByTest(String),
    Survived,
}

impl fmt::Display for TrialOutcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught { seed, reason } => write!(to, "caught by seed {seed}: {reason}"),
            Self::CaughtByTest(test) => write!(to, "caught by cargo test {test}"),
            Self::Survived => to.write_str("SURVIVED"),
        }
    }
}

impl Trial<'_> {
    /// Builds and runs `cargo test` with these arguments.
    pub(super) fn run_test(&self, arguments: &[String]) -> Result<TrialOutcome> {
        self.build(arguments)?;
        let ran = self.cargo(arguments).output().context("cargo")?;
        Ok(match ran.status.success() {
            true => TrialOutcome::Survived,
            false => TrialOutcome::CaughtByTest(arguments.join(" ")),
        })
    }

    fn build(&self, arguments: &[String]) -> Result<()> {
        // Arguments after `--` are for the test program.
        let own = arguments.split(|argument| argument == "--").next();
        let mut cargo = self.cargo(own.unwrap_or_default());
        let built = cargo.arg("--no-run").output().context("cargo")?;
        if !built.status.success() {
            bail!(
                "the mutant does not build:\n{}",
                String::from_utf8_lossy(&built.stderr)
            );
        }
        Ok(())
    }

    /// Builds and runs the simulator.
    pub(super) fn run(&self) -> Result<TrialOutcome> {
        let simulator = ["-p", "flockwise-tests", "--test", "simulator"].map(str::to_owned);
        self.build(&simulator)?;
        let finished = self
            .cargo(&simulator)
            .args(["--", TEST, "--nocapture"])
            .output()
            .context("cargo")?;
        if finished.status.success() {
            return Ok(TrialOutcome::Survived);
        }
        let output = String::from_utf8_lossy(&finished.stderr);
        let lines = || output.lines().map(str::trim);
        let failed = lines().find_map(|line| {
            let seed = line
                .strip_prefix("seed ")?
                .strip_suffix(" failed; replay it with")?;
            seed.parse().ok()
        });
        let Some(seed) = failed else {
            bail!("the simulator failed without naming a seed:\n{output}");
        };
        let opening = format!("seed {seed}: ");
        let reason = lines().find_map(|line| line.strip_prefix(&opening));
        Ok(TrialOutcome::Caught {
            seed,
            reason: reason.unwrap_or_default().chars().take(100).collect(),
        })
    }

    fn cargo(&self, arguments: &[String]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["test", "--quiet"])
            .args(arguments)
            .current_dir(self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            .env(SEEDS, self.seeds.to_string());
        command
    }
}
