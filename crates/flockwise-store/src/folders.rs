//! Where checkpoints lie: `<state directory>/<app>/task-<n>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flockwise_runtime::task_id::TaskId;

/// Names that an app's folder must not have: the state directory's own files, and no name at all.
const TAKEN: [&str; 4] = ["lock", "instance", "instance.new", ""];

/// The folders of an app's checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    app: PathBuf,
}

impl Folders {
    /// The folders within a state directory. Creates nothing yet.
    pub(crate) fn new(directory: &Path, app: &str) -> Self {
        let name: String = app
            .chars()
            .map(|letter| {
                if std::path::is_separator(letter) {
                    '_'
                } else {
                    letter
                }
            })
            .collect();
        let is_special = TAKEN.contains(&&*name) || name.starts_with('.');
        let name = if is_special {
            format!("app-{name}")
        } else {
            name
        };
        Self {
            app: directory.join(name),
        }
    }

    /// A task's folder.
    pub(crate) fn task(&self, task: TaskId) -> PathBuf {
        self.app.join(format!("task-{task}"))
    }

    /// The checkpoint in a task's folder.
    pub(crate) fn file(&self, task: TaskId) -> PathBuf {
        self.task(task).join("checkpoint.log")
    }

    /// Does a task's folder hold a checkpoint of an earlier version?
    pub(crate) fn has_old_format(&self, task: TaskId) -> bool {
        self.task(task).join("data.mdb").exists()
    }

    /// Renames a task's folder and returns the new path, so that an operator can inspect it. Removes the folder
    /// that was set aside for the task before.
    pub(crate) fn set_aside(&self, task: TaskId, now_ms: i64) -> io::Result<PathBuf> {
        let prefix = format!("task-{task}.aside-");
        for entry in fs::read_dir(&self.app)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                remove(&entry.path())?;
            }
        }
        let aside = self.app.join(format!("{prefix}{now_ms}"));
        fs::rename(self.task(task), &aside)?;
        Ok(aside)
    }

    /// Removes a task's folder, if there is one.
    pub(crate) fn remove(&self, task: TaskId) -> io::Result<()> {
        remove(&self.task(task))
    }
}

/// Removes a file, a folder or a link, if there is one. Does not follow a link.
fn remove(path: &Path) -> io::Result<()> {
    let is_folder = match path.symlink_metadata() {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if is_folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_app_lies_outside_or_upon_what_is_there() {
        let folder = |app| Folders::new(Path::new("state"), app).task(TaskId(7));
        let cases = [
            ("shop", "state/shop/task-7"),
            ("lock", "state/app-lock/task-7"),
            ("..", "state/app-../task-7"),
            ("", "state/app-/task-7"),
            ("/etc", "state/_etc/task-7"),
        ];
        for (app, expected) in cases {
            assert_eq!(folder(app), Path::new(expected));
        }
    }

    #[test]
    fn one_of_each_task_stays_aside() {
        let directory = tempfile::tempdir().unwrap();
        let folders = Folders::new(directory.path(), "shop");
        for (task, now_ms) in [(1, 5), (11, 6), (1, 7), (1, 7)] {
            fs::create_dir_all(folders.task(TaskId(task))).unwrap();
            folders.set_aside(TaskId(task), now_ms).unwrap();
        }
        // A file in the folder's place is set aside too.
        fs::write(folders.task(TaskId(2)), "oops").unwrap();
        folders.set_aside(TaskId(2), 8).unwrap();
        let entries = fs::read_dir(directory.path().join("shop")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            ["task-1.aside-7", "task-11.aside-6", "task-2.aside-8"]
        );
        folders.remove(TaskId(1)).unwrap();
    }
}
