//! The simulator over a copy of the sources.

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
    Caught { seed: u64, reason: String },
    Survived,
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught { seed, reason } => write!(to, "caught by seed {seed}: {reason}"),
            Self::Survived => to.write_str("SURVIVED"),
        }
    }
}

impl Trial<'_> {
    /// Builds and plays.
    pub(super) fn run(&self) -> Result<Outcome> {
        let built = self.cargo(&["--no-run"]).output().context("cargo")?;
        if !built.status.success() {
            bail!(
                "it does not build:\n{}",
                String::from_utf8_lossy(&built.stderr)
            );
        }
        let played = self
            .cargo(&["--", TEST, "--nocapture"])
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
                .strip_suffix(" failed; play it again with")?;
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

    fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args([
                "test",
                "--quiet",
                "-p",
                "flockwise-tests",
                "--test",
                "simulator",
            ])
            .args(arguments)
            .current_dir(self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            .env(SEEDS, self.seeds.to_string());
        command
    }
}
