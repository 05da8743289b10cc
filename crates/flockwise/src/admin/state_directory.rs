//! Checks that the state directory is writable, has space, and is not open to other users.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::admin::finding::Finding;

/// Size of the file that is written to check the free space.
const PROBE_BYTES: usize = 1 << 20;

/// Checks the directory, and leaves nothing behind.
pub(crate) fn findings(directory: &Path) -> Vec<Finding> {
    let about = "state";
    let shown = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let shown = shown.display();
    let Some(existing) = nearest_existing(directory) else {
        return vec![Finding::problem(
            about,
            format!(
                "cannot create {shown}; set `directory` under [state] to a directory that this user can create"
            ),
        )];
    };
    let mut findings = Vec::new();
    match probe(&existing) {
        Ok(()) => findings.push(Finding::ok(about, format!("{shown} is writable"))),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => findings.push(Finding::warning(
            about,
            format!("{shown}: the disk is full; without checkpoints each start reads the whole changelog"),
        )),
        Err(error) => findings.push(Finding::problem(
            about,
            format!(
                "{shown}: {error}; set `directory` under [state] to a directory that this user can write to"
            ),
        )),
    }
    if existing == directory
        && let Ok(metadata) = fs::metadata(directory)
        && metadata.permissions().mode() & 0o077 != 0
    {
        findings.push(Finding::warning(
            about,
            format!("{shown} holds customer data, and other users of this machine can access it: set its mode to 700"),
        ));
    }
    findings
}

/// The directory if it exists, else its nearest existing ancestor.
fn nearest_existing(directory: &Path) -> Option<PathBuf> {
    let full = std::path::absolute(directory).ok()?;
    let found = full.ancestors().find(|ancestor| ancestor.exists())?;
    Some(if found == full {
        directory.to_owned()
    } else {
        found.to_owned()
    })
}

fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".flockwise-check-{}", std::process::id()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])
            .and_then(|()| file.sync_all())
    });
    if path.exists() {
        fs::remove_file(&path)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::finding::FindingVerdict;

    #[test]
    fn a_directory_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        let found = findings(&deep);
        assert_eq!(found[0].verdict, FindingVerdict::Ok, "{found:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_others_may_read_and_what_is_no_directory_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let found = findings(folder.path());
        assert_eq!(found[1].verdict, FindingVerdict::Warning, "{found:?}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(findings(&file)[0].verdict, FindingVerdict::Problem);
    }
}
