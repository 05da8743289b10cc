//! Runs the Python scripts of this crate in the virtual environment `target/venv`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::python::{call, environment};
use crate::workspace;

/// Runs a script with paths as arguments. The last one is its output file. `packages` are installed in addition to
/// the common requirements.
pub(super) fn run(script: &str, packages: &[&str], paths: &[PathBuf]) -> Result<()> {
    let folder = workspace().join("crates/xtask/python");
    let python = environment(
        &workspace().join("target/venv"),
        &folder.join("requirements.txt"),
        packages,
    )?;
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
