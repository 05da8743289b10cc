//! Python virtual environments for scripts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Creates a virtual environment in `directory` unless it exists, and installs `requirements` and `packages`. Returns
/// the path of its interpreter.
///
/// # Errors
/// If Python is missing or pip fails.
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

/// Runs a program and waits until it ends.
///
/// # Errors
/// If it cannot be started or its exit status is not 0.
pub fn call<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
