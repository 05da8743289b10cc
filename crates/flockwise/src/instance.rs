//! Who this process is to the brokers, the same after every restart.
//!
//! A transactional id that comes back ends what its predecessor left open, and a group member that
//! comes back causes no rebalance. Both need an identity that outlives the process, and that no two
//! processes share: they would fence each other off for ever.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::exit::Failed;
use crate::private;

/// An identity, held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    /// The system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Instance {
    /// Takes the identity that a directory holds, or makes one at first start.
    pub(crate) fn claim(directory: &Path) -> Result<Self, Failed> {
        let unusable = |error: io::Error| {
            Failed::wrong(format!(
                "state directory {}: {error}; give this user a directory to write to, as \
                 `directory` under [state] (it is seen from the working directory)",
                shown(directory)
            ))
        };
        private::make_folder(directory).map_err(unusable)?;
        let lock = private::make_file(&directory.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let id = match fs::read_to_string(directory.join("instance")) {
            Ok(text) => known(text.trim(), directory)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(directory).map_err(unusable)?
            }
            Err(error) => return Err(unusable(error)),
        };
        private::tighten(directory);
        Ok(Self { id, _lock: lock })
    }

    /// 16 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

fn known(id: &str, directory: &Path) -> Result<String, Failed> {
    let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if id.len() == 16 && id.bytes().all(is_hex) {
        return Ok(id.to_owned());
    }
    Err(Failed::wrong(format!(
        "{}: found {id:?}, expected the 16 hexadecimal digits that were written at first start; \
         delete the file to start under a new identity, which costs one rebalance and nothing else",
        shown(&directory.join("instance"))
    )))
}

/// Written beside and renamed: a crash leaves an identity or none.
fn make(directory: &Path) -> io::Result<String> {
    // The system's own randomness, by way of the hasher that is seeded with it.
    let seen = (SystemTime::now(), std::process::id());
    let id = format!("{:016x}", RandomState::new().hash_one(seen));
    let draft = directory.join("instance.new");
    let mut file = private::make_file(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(draft, directory.join("instance"))?;
    Ok(id)
}

/// Nothing is wrong with the configuration, and a moment later it may be free: so no error of its.
fn in_use(directory: &Path) -> Failed {
    Failed::running(format!(
        "state directory {} is in use by another flockwise process; end that one, or give this one \
         a directory of its own, as `directory` under [state] or FLOCKWISE__STATE__DIRECTORY",
        shown(directory)
    ))
}

/// In full where possible, since a relative one says nothing without the working directory.
fn shown(path: &Path) -> String {
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
