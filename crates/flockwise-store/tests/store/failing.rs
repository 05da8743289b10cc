//! Disks that are full or read-only: logged once, counted, and the process continues.

use flockwise_runtime::task_id::TaskId;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use flockwise_runtime::store::{CheckpointState, Store};
use flockwise_store::StoreSettings;

use crate::support::{APP, Desk, kept, load, sample, settled};

/// Tells a child process, which has its own file system or limits, where to write and what fails there.
const FOLDER: &str = "FLOCKWISE_TEST_FOLDER";
const MATTER: &str = "FLOCKWISE_TEST_MATTER";
const MINUTE: Duration = Duration::from_secs(60);

/// Writes a checkpoint that outgrows its space twice. After each failure it is retried; at last it is small again.
fn comes_to_its_end(desk: &Desk) {
    let (small, large) = (sample(500, 1), sample(20_000, 2));
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, TaskId(0)), None);
    worker.write(TaskId(0), kept(&small, Some(1)));
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Ready);
    for failures in 1..3 {
        worker.write(TaskId(0), kept(&large, Some(2)));
        desk.finish();
        assert_eq!(desk.metric("failures_total"), Some(f64::from(failures)));
        assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Busy);
        assert_eq!(desk.names(), [""; 0], "the space on the disk is freed");
        // Neither a load nor a discard makes the retry sooner.
        assert_eq!(load(&mut worker, TaskId(0)), None);
        worker.set_aside(TaskId(0), "tested");
        desk.finish();
        desk.clock.advance(MINUTE - Duration::from_millis(1));
        assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Busy);
        desk.clock.advance(Duration::from_millis(1));
        assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Empty);
    }
    worker.write(TaskId(0), kept(&small, Some(3)));
    assert_eq!(load(&mut worker, TaskId(0)), Some((3, small)));
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}

#[test]
fn a_full_disk_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=4m none {}", folder.path().display());
    let Some(mut command) = with_a_mount(&mount) else {
        return;
    };
    let said = run(&mut command, folder.path(), "full");
    told_once(&said, "could not be written");
    told_once(&said, "free space on the disk");
}

#[test]
fn a_limit_of_file_sizes_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // The limit counts blocks of 512 bytes. Ignore its signal, which would end the process.
    let limited = "trap '' XFSZ; ulimit -f 8192; exec \"$@\"";
    command.args(["-c", limited, "sh"]);
    let said = run(&mut command, folder.path(), "full");
    told_once(&said, "could not be written");
}

#[test]
fn a_read_only_disk_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o ro none {}", folder.path().display());
    let Some(mut command) = with_a_mount(&mount) else {
        return;
    };
    let said = run(&mut command, folder.path(), "no writing");
    told_once(&said, "Read-only file system");
    told_once(&said, "let this user write to the folder");
}

#[test]
fn a_directory_without_permission_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut permissions = folder.path().metadata().unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path(), permissions).unwrap();
    if fs::create_dir(folder.path().join("probe")).is_ok() {
        eprintln!("skipped: permissions do not bind root");
        return;
    }
    let said = run(Command::new("env").arg("--"), folder.path(), "no writing");
    told_once(&said, "Permission denied");
}

#[test]
fn a_file_in_the_way_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(APP), "a file in the folder's place").unwrap();
    let said = run(Command::new("env").arg("--"), folder.path(), "no writing");
    told_once(&said, "could not be written");
    told_once(&said, "remove the file that is in the folder's place");
}

fn told_once(said: &str, what: &str) {
    assert_eq!(said.matches(what).count(), 1, "{what}: {said}");
}

/// A command with a file system of its own, which is unmounted when the command ends. Prints a note and returns
/// `None` if that is not allowed.
fn with_a_mount(mount: &str) -> Option<Command> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command
    };
    let tried = unshare(mount).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a process may not mount a file system of its own here");
        return None;
    }
    Some(unshare(&format!("{mount} && exec \"$@\"")))
}

/// Runs the test below under a command and returns its log.
fn run(command: &mut Command, folder: &Path, matter: &str) -> String {
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "failing::goes_on_in_a_bad_place"])
        .args(["--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(MATTER, matter)
        .stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}: {said}{stderr}");
    said
}

#[test]
#[ignore = "run by the tests above, in a process of its own"]
fn goes_on_in_a_bad_place() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let log = tracing_subscriber::fmt().with_ansi(false);
    log.with_writer(std::io::stdout).init();
    let settings = StoreSettings::new(&folder, APP);
    let desk = Desk::with(None, settings);
    if std::env::var(MATTER).unwrap() == "full" {
        return comes_to_its_end(&desk);
    }
    let mut worker = desk.store.handle();
    for failures in 1..4 {
        assert_eq!(load(&mut worker, TaskId(0)), None);
        assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
        worker.write(TaskId(0), kept(&sample(10, 1), Some(1)));
        desk.finish();
        assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Busy);
        assert!(desk.metric("failures_total") >= Some(f64::from(failures)));
        desk.clock.advance(MINUTE);
        assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Empty);
    }
}
