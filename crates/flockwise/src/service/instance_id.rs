//! The identity of this process towards the brokers, which stays the same after a restart.
//!
//! A transactional id that is used again aborts the transaction that its predecessor left open, and a
//! group member that returns causes no rebalance. Both need an identity that outlives the process. No
//! two processes may share it, since they would fence each other again and again.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::exit::Failed;
use crate::service::private_files;

/// The identity from a state directory, and the lock on the directory. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    /// The operating system releases the lock when the process ends, even if it is killed.
    _lock: File,
}

impl Instance {
    /// Locks the directory and reads the identity in it. At the first start, creates both.
    pub(crate) fn claim(directory: &Path) -> Result<Self, Failed> {
        let unusable = |error: io::Error| {
            Failed::invalid(format!(
                "state directory {}: {error}; set `directory` under [state] to a directory that this user \
                 can write to (a relative path starts at the working directory)",
                full_path(directory)
            ))
        };
        private_files::make_folder(directory).map_err(unusable)?;
        let lock = private_files::make_file(&directory.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let id = match fs::read_to_string(directory.join("instance")) {
            Ok(text) => parse_id(text.trim(), directory)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_id(directory).map_err(unusable)?
            }
            Err(error) => return Err(unusable(error)),
        };
        private_files::tighten(directory);
        Ok(Self { id, _lock: lock })
    }

    /// 16 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

fn parse_id(id: &str, directory: &Path) -> Result<String, Failed> {
    let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if id.len() == 16 && id.bytes().all(is_hex) {
        return Ok(id.to_owned());
    }
    Err(Failed::invalid(format!(
        "{}: found {id:?}, expected the 16 hexadecimal digits that were written at the first start; \
         delete the file to start with a new identity, which costs one rebalance and nothing else",
        full_path(&directory.join("instance"))
    )))
}

/// Writes a new identity to another file and renames it, so that a crash leaves a whole identity or none.
fn create_id(directory: &Path) -> io::Result<String> {
    // `RandomState` is seeded with randomness of the operating system.
    let seen = (SystemTime::now(), std::process::id());
    let id = format!("{:016x}", RandomState::new().hash_one(seen));
    let draft = directory.join("instance.new");
    let mut file = private_files::make_file(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(draft, directory.join("instance"))?;
    Ok(id)
}

/// Exit code 1, since the configuration is right and the directory may be free a moment later.
fn in_use(directory: &Path) -> Failed {
    Failed::runtime(format!(
        "state directory {} is in use by another flockwise process; stop that process, or give this \
         one another directory with `directory` under [state] or FLOCKWISE__STATE__DIRECTORY",
        full_path(directory)
    ))
}

/// The absolute path if possible: a relative one means nothing without the working directory.
fn full_path(path: &Path) -> String {
    let full: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    full.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_and_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("deep/state");
        let first = Instance::claim(&directory).unwrap();
        let id = first.id().to_owned();
        let refused = Instance::claim(&directory).unwrap_err().to_string();
        assert!(refused.contains("deep/state is in use"), "{refused}");
        drop(first);
        assert_eq!(Instance::claim(&directory).unwrap().id(), id);
        let other = Instance::claim(&folder.path().join("other")).unwrap();
        assert_ne!(other.id(), id);
    }

    #[test]
    fn what_is_no_identity_or_no_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("instance"), "oops").unwrap();
        let refused = Instance::claim(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("found \"oops\""), "{refused}");
        let refused = Instance::claim(&folder.path().join("instance")).unwrap_err();
        assert!(refused.to_string().contains("[state]"), "{refused}");
    }
}
