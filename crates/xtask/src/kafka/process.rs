//! Processes with pid files. They run in their own process group, and are signalled only if the pid still belongs to
//! the process that was started.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The signals that `stop-node` can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Signal {
    /// Clean shutdown.
    Term,
    /// Sudden death.
    Kill,
    /// Freeze: the node stays connected but does not respond.
    Stop,
    /// Resume after `Stop`.
    Cont,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// The pid in `file`, if a process with this pid runs and has `mark` on its command line. The mark is checked since
/// pids are reused.
pub(super) fn running_pid(file: &Path, mark: &str) -> Option<u32> {
    let pid: u32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    command_line(pid).contains(mark).then_some(pid)
}

/// The command line of a process; empty if it has ended or is a zombie.
fn command_line(pid: u32) -> String {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let listed = Command::new("ps")
        .args(["-o", "args=", "-p", &pid.to_string()])
        .output();
    listed
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

pub(super) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let kill = Command::new("sh")
        .args([
            "-c",
            "kill -s \"$1\" \"$2\"",
            "kill",
            signal.name(),
            &pid.to_string(),
        ])
        .stderr(Stdio::null())
        .status();
    kill.context("cannot run sh to signal a process")?;
    Ok(())
}

/// Polls `done` until it returns true. Returns false if it does not within `timeout`.
pub(super) fn wait_until(
    timeout: Duration,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    while !done()? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}

/// Runs `command` without output. Fails with its output if the exit status is not 0. `remedy` says what to do if the
/// program is missing.
pub(super) fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {program}: {remedy}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!(
            "{program} failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&text).trim_end()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_used_again_by_another_program_is_not_ours() {
        let file = std::env::temp_dir().join(format!("xtask-pid-{}", std::process::id()));
        fs::write(&file, std::process::id().to_string()).unwrap();
        let found = (
            running_pid(&file, "xtask"),
            running_pid(&file, "n1/server.properties"),
        );
        fs::remove_file(&file).unwrap();
        assert_eq!(found, (Some(std::process::id()), None));
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let error = run(
            Command::new("sh").args(["-c", "echo why; exit 3"]),
            "install sh",
        )
        .unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
