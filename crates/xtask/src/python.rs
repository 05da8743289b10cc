//! Python for scripts: a virtual environment, and what is installed in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The interpreter of the environment in a directory, with what is asked for installed; pip does nothing where it
/// already is.
///
/// # Errors
/// If there is no Python, or pip fails.
pub fn environment(directory: &Path, requirements: &Path, packages: &[&str]) -> Result<PathBuf> {
    let python = directory.join("bin/python");
    if !python.exists() {
        call(
            Path::new("python3"),
            [OsStr::new("-m"), OsStr::new("venv"), directory.as_os_str()],
        )?;
    }
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    .map(OsStr::new);
    let wanted = [OsStr::new("--requirement"), requirements.as_os_str()];
    call(
        &python,
        install
            .into_iter()
            .chain(wanted)
            .chain(packages.iter().map(OsStr::new)),
    )?;
    Ok(python)
}

/// Runs a program to its end.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn call<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
