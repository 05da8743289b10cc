//! The simulator, or another test, over a copy of the sources.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The simulator's test that plays many seeds, and the variable that says how many.
const TEST: &str = "every_seed_holds";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";

pub(super) struct Trial<'a> {
    pub(super) folder: &'a Path,
    /// Of its own, so that each mutant builds only what it changes.
    pub(super) target: PathBuf,
    pub(super) seeds: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Caught {
        seed: u64,
        reason: String,
    },
    /// By the tests of these arguments.
    CaughtByTest(String),
    Survived,
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught { seed, reason } => write!(to, "caught by seed {seed}: {reason}"),
            Self::CaughtByTest(test) => write!(to, "caught by cargo test {test}"),
            Self::Survived => to.write_str("SURVIVED"),
        }
    }
}

impl Trial<'_> {
    /// Builds and runs the tests of these arguments.
    pub(super) fn run_test(&self, arguments: &[String]) -> Result<Outcome> {
        self.build(arguments)?;
        let ran = self.cargo(arguments).output().context("cargo")?;
        Ok(match ran.status.success() {
            true => Outcome::Survived,
            false => Outcome::CaughtByTest(arguments.join(" ")),
        })
    }

    fn build(&self, arguments: &[String]) -> Result<()> {
        // What follows `--` is for the tests.
        let own = arguments.split(|argument| argument == "--").next();
        let mut cargo = self.cargo(own.unwrap_or_default());
        let built = cargo.arg("--no-run").output().context("cargo")?;
        if !built.status.success() {
            bail!(
                "it does not build:\n{}",
                String::from_utf8_lossy(&built.stderr)
            );
        }
        Ok(())
    }

    /// Builds and plays.
    pub(super) fn run(&self) -> Result<Outcome> {
        let simulator = ["-p", "flockwise-tests", "--test", "simulator"].map(str::to_owned);
        self.build(&simulator)?;
        let played = self
            .cargo(&simulator)
            .args(["--", TEST, "--nocapture"])
            .output()
            .context("cargo")?;
        if played.status.success() {
            return Ok(Outcome::Survived);
        }
        let told = String::from_utf8_lossy(&played.stderr);
        let lines = || told.lines().map(str::trim);
        let failed = lines().find_map(|line| {
            let seed = line
                .strip_prefix("seed ")?
                .strip_suffix(" failed; replay it with")?;
            seed.parse().ok()
        });
        let Some(seed) = failed else {
            bail!("the simulator ended without naming a seed:\n{told}");
        };
        let opening = format!("seed {seed}: ");
        let reason = lines().find_map(|line| line.strip_prefix(&opening));
        Ok(Outcome::Caught {
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
