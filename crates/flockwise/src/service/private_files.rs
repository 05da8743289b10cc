//! Keeps files with customer data readable by this user only.
//!
//! At start, permissions that an earlier version left too open are tightened. If that fails, for example on a volume of
//! another user, a warning is logged and the pipeline starts: it has worked like that before.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Files that Flockwise keeps in the state directory itself.
const OWN_FILES: [&str; 3] = ["lock", "instance", "instance.new"];

/// Creates a directory with mode 700, and its missing parents.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(path)
}

/// Creates a file with mode 600, or truncates an existing one.
pub(crate) fn make_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE);
    options.open(path)
}

/// A directory in the root of an ext4 volume, which only root can read.
const LOST_AND_FOUND: &str = "lost+found";

/// Removes other users' access to the state directory and to what Flockwise keeps there. If the directory also holds
/// other files, its own mode stays as it is, and a warning is logged.
pub(crate) fn tighten(directory: &Path) {
    let result = entries(directory).and_then(|entries| {
        let is_foreign = |path: &PathBuf| !is_ours(path) && name(path) != LOST_AND_FOUND;
        let is_shared = entries.iter().any(is_foreign);
        for path in entries.iter().filter(|path| is_ours(path)) {
            tighten_all(path)?;
        }
        if is_shared && is_open(directory)? {
            return Err(io::Error::other(
                "it also has files that Flockwise did not write",
            ));
        }
        tighten_one(directory)
    });
    if let Err(error) = result {
        tracing::warn!(
            directory = %directory.display(), %error,
            "other users of this machine can access the state directory, which holds customer data; set \
             `directory` under [state] to a directory of Flockwise's own, with mode 700"
        );
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether the path is a file of Flockwise, or the directory of an app, with checkpoints only. Symbolic links are not
/// followed.
fn is_ours(path: &Path) -> bool {
    let Ok(metadata) = path.symlink_metadata() else {
        return false;
    };
    if !metadata.is_dir() {
        return metadata.is_file() && OWN_FILES.contains(&name(path).as_str());
    }
    let is_task = |path: &PathBuf| name(path).starts_with("task-");
    entries(path).is_ok_and(|entries| entries.iter().all(is_task))
}

fn is_open(path: &Path) -> io::Result<bool> {
    Ok(path.symlink_metadata()?.permissions().mode() & OTHERS != 0)
}

fn tighten_all(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        entries(path)?
            .iter()
            .try_for_each(|path| tighten_all(path))?;
    }
    if metadata.is_dir() || metadata.is_file() {
        tighten_one(path)?;
    }
    Ok(())
}

fn tighten_one(path: &Path) -> io::Result<()> {
    let mode = path.metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn open_to_all(path: &Path, bits: u32) {
        fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
    }

    #[test]
    fn what_is_made_is_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        make_folder(&deep).unwrap();
        assert_eq!(
            (mode(&deep), mode(&folder.path().join("a"))),
            (0o700, 0o700)
        );
        let file = deep.join("lock");
        make_file(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn what_an_earlier_version_left_open_is_tightened() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("shop/task-1.aside-5");
        fs::create_dir_all(&copy).unwrap();
        let paths = [
            folder.path().join("lock"),
            folder.path().join("instance"),
            copy.join("checkpoint.log"),
        ];
        for path in &paths {
            fs::write(path, "").unwrap();
            open_to_all(path, 0o644);
        }
        open_to_all(folder.path(), 0o755);
        tighten(folder.path());
        for path in &paths {
            assert_eq!(mode(path), 0o600, "{}", path.display());
        }
        for path in [folder.path(), &copy, copy.parent().unwrap()] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
    }

    #[test]
    fn what_belongs_to_others_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("notes");
        fs::write(&other, "").unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        open_to_all(&other, 0o644);
        open_to_all(folder.path(), 0o755);
        tighten(folder.path());
        assert_eq!((mode(&other), mode(folder.path())), (0o644, 0o755));
        assert_eq!(mode(&folder.path().join("lock")), 0o600);
    }
}
