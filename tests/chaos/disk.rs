//! A small disk for one process, which a fault can fill.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Enough for the checkpoints of a few thousand customers.
const SIZE: &str = "size=32m";
const FILLER: &str = "filler";

/// A mounted tmpfs. Unmounted on drop.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

/// True if this user may mount: only root may.
pub(crate) fn may_mount() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|answer| answer.stdout.trim_ascii() == b"0")
}

impl Disk {
    /// Creates a folder and mounts a disk there; `None` if mounting fails.
    pub(crate) fn mount(folder: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "flockwise-chaos"]);
        let mounted = mount.arg(folder).stderr(Stdio::null()).status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        Ok(is_mounted.then(|| Self(folder.to_owned())))
    }

    /// Fills the disk completely.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.0.join(FILLER)).context("cannot fill a disk")?;
        let mut zeros = vec![0; 64 << 10];
        while !zeros.is_empty() {
            match filler.write(&zeros) {
                Ok(_) => {}
                // A smaller chunk may still fit.
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    zeros.truncate(zeros.len() / 2);
                }
                Err(error) => bail!("cannot fill a disk: {error}"),
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&self) -> Result<()> {
        fs::remove_file(self.0.join(FILLER)).context("cannot clear a disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, since a process may still have files open on it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}
