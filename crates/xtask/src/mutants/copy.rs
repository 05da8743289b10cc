//! A copy of the workspace's sources, so that mutants never change the sources themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that are not copied.
const IGNORED: [&str; 3] = ["target", ".git", "flockwise-state"];

/// The folder of the copy.
pub(super) struct Copy(PathBuf);

impl Copy {
    /// Brings the copy up to date. Unchanged files are not touched, so that little is rebuilt.
    pub(super) fn make(from: &Path, to: &Path) -> Result<Self> {
        mirror(from, to)?;
        Ok(Self(to.to_owned()))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Calls `act` while some files of the copy are replaced. The sources may change meanwhile.
    pub(super) fn with(
        &self,
        files: &BTreeMap<PathBuf, String>,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut before = Vec::new();
        for (path, text) in files {
            let path = self.0.join(path);
            before.push((fs::read_to_string(&path)?, path.clone()));
            fs::write(path, text)?;
        }
        let done = act();
        for (text, path) in before {
            fs::write(path, text)?;
        }
        done
    }
}

fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if IGNORED.iter().any(|ignored| name == *ignored) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            mirror(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path) -> Result<()> {
    let bytes = fs::read(source).with_context(|| source.display().to_string())?;
    if fs::read(target).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    fs::write(target, bytes).with_context(|| target.display().to_string())
}
