//! Runs of the fuzz targets, guided by coverage (libFuzzer).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace;

/// Compiler flags for the coverage that libFuzzer needs. cargo-fuzz sets the same. None needs a nightly compiler.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1";

/// Folder of all fuzzing files, relative to the workspace.
const FOLDER: &str = "target/fuzz";

/// The arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub struct FuzzArgs {
    /// Targets [default: all]
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Runs targets one after another. Fails at the first input that breaks one, and names the folder that it is in.
pub fn run(args: &FuzzArgs) -> Result<()> {
    let folder = workspace().join(FOLDER);
    let corpus = folder.join("corpus");
    cargo(&[
        "run",
        "--quiet",
        "--package",
        "flockwise-fuzz",
        "--bin",
        "seeds",
        "--",
    ])
    .arg(&corpus)
    .status()
    .map_err(Into::into)
    .and_then(check_status)
    .context("cannot write the seeds")?;
    let program = build(&folder)?;
    for target in chosen(&corpus, &args.targets)? {
        let crashes = folder.join("crashes").join(&target).join("");
        fs::create_dir_all(&crashes)?;
        let output = Command::new(&program)
            .env("FLOCKWISE_FUZZ_TARGET", &target)
            .arg(corpus.join(&target))
            .arg(format!("-max_total_time={}", args.seconds))
            .arg(format!("-artifact_prefix={}", crashes.display()))
            .arg("-print_final_stats=1")
            .output()?;
        let report = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let name = target.display();
            bail!(
                "{report}\n{name} fails; the input is in {}",
                crashes.display()
            );
        }
        let figure = |name: &str| {
            let mut lines = report.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let inputs = figure("stat::number_of_executed_units:").unwrap_or_default();
        let kept = figure("stat::new_units_added:").unwrap_or_default();
        println!(
            "{}: {inputs} inputs passed, {kept} of them with new coverage",
            target.display()
        );
    }
    Ok(())
}

/// The targets with these names, or all if there are no names.
fn chosen(corpus: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(corpus)?.collect::<Result<Vec<_>, _>>()?;
    let mut all: Vec<OsString> = entries.into_iter().map(|entry| entry.file_name()).collect();
    all.sort();
    for name in names {
        let is_known = all.iter().any(|known| known.to_str() == Some(name));
        ensure!(is_known, "no target {name}: expected one of {all:?}");
    }
    let is_chosen = |name: &OsString| {
        names.is_empty() || names.iter().any(|chosen| name.to_str() == Some(chosen))
    };
    Ok(all
        .into_iter()
        .filter(is_chosen)
        .map(PathBuf::from)
        .collect())
}

/// Builds the program with coverage, in its own target folder. Returns its path.
fn build(folder: &Path) -> Result<PathBuf> {
    // With `--target`, the flags do not apply to build scripts and procedural macros.
    let host = host()?;
    let features = ["--features", "libfuzzer", "--bin", "fuzz"];
    let status = cargo(&[
        "build",
        "--quiet",
        "--release",
        "--package",
        "flockwise-fuzz",
    ])
    .args(features)
    .args(["--target", &host, "--target-dir"])
    .arg(folder)
    .env("RUSTFLAGS", COVERAGE)
    .status()?;
    check_status(status).context("cannot build the fuzz targets")?;
    Ok(folder.join(host).join("release/fuzz"))
}

/// The compiler's host platform, such as `x86_64-unknown-linux-gnu`.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .current_dir(workspace())
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not name its host")
}

fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(workspace());
    command
}

fn check_status(status: std::process::ExitStatus) -> Result<()> {
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}
