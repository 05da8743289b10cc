//! Child processes. Each is killed by its id, however this process ends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long a process may take to end after SIGTERM.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of the end of a log that an error shows.
const SHOWN_BYTES: usize = 4000;

/// Ids of the running child processes. Global, since the signal handler needs it.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs a signal handler that kills all child processes, calls `last` and exits.
pub(crate) fn end_on_signal(last: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            // Held until exit, so that no further process is started.
            let running = running();
            running
                .iter()
                .for_each(|process| signal_to(*process, "KILL"));
            last();
            std::process::exit(128 + signal);
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)?;
    Ok(())
}

fn signal_to(process: u32, signal: &str) {
    let mut kill = Command::new("kill");
    // Fails if the process has ended already, which is fine.
    let _ = kill
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
}

/// A child process, killed on drop.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with stdout and stderr redirected to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = spawn(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::from(file.try_clone()?))
                .stderr(Stdio::from(file)),
        )?;
        let log = log.to_owned();
        Ok(Self { child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of its log if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let start = log.len().saturating_sub(SHOWN_BYTES);
            bail!("it ended ({status}):\n{}", log.get(start..).unwrap_or(&log));
        }
        Ok(())
    }

    /// Sends SIGTERM and waits until it ends.
    pub(crate) fn stop(mut self) -> Result<()> {
        signal_to(self.id(), "TERM");
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(
                start.elapsed() < TIMEOUT,
                "{} does not end",
                self.log.display()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        running().remove(&self.child.id());
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let mut running = running();
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    running.insert(child.id());
    Ok(child)
}

/// Runs a program and returns its stdout. Fails with its output if the exit status is not 0.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = spawn(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )?;
    let process = child.id();
    let output = child.wait_with_output();
    running().remove(&process);
    let Output {
        status,
        stdout,
        stderr,
    } = output?;
    let (stdout_text, error) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    ensure!(
        status.success(),
        "{program} failed ({status}):\n{stdout_text}{error}"
    );
    Ok(stdout_text.into_owned())
}
