//! The Python scripts of this crate, each run in the virtual environment under `target/venv`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Runs a script with paths as its arguments, the last of which it writes. `packages` are installed beside what every
/// script needs.
pub(super) fn run(script: &str, packages: &[&str], paths: &[PathBuf]) -> Result<()> {
    let folder = workspace().join("crates/xtask/python");
    let python = environment(&folder.join("requirements.txt"), packages)?;
    if let Some(out) = paths.last().and_then(|path| path.parent()) {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    }
    call(
        &python,
        [OsStr::new("-B"), folder.join(script).as_os_str()]
            .into_iter()
            .chain(paths.iter().map(OsStr::new)),
    )
}

/// The environment's interpreter, with what is asked for installed; pip does nothing where it already is.
fn environment(requirements: &Path, packages: &[&str]) -> Result<PathBuf> {
    let directory = workspace().join("target/venv");
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

fn call<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
