//! Processes of ours: each is ended by its id, however we end ourselves.

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

/// How long one may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// Letters of the end of a log that are shown.
const SHOWN: usize = 4000;

/// The one thing that a signal has to know from wherever it comes.
static LIVING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn living() -> MutexGuard<'static, BTreeSet<u32>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a signal that would end us ends our children first, then does `last`.
pub(crate) fn end_on_signal(last: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            // Held until the end, so that nothing more is started.
            let living = living();
            living
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
    // One that is gone is what was wanted.
    let _ = kill
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
}

/// A process that ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, what it says going to a file.
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
            let start = log.len().saturating_sub(SHOWN);
            bail!("it ended ({status}):\n{}", log.get(start..).unwrap_or(&log));
        }
        Ok(())
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        signal_to(self.id(), "TERM");
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(
                start.elapsed() < PATIENCE,
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
        // Already ended where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        living().remove(&self.child.id());
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let mut living = living();
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    living.insert(child.id());
    Ok(child)
}

/// Runs a program to its end; its stdout, and its failure as an error.
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
    living().remove(&process);
    let Output {
        status,
        stdout,
        stderr,
    } = output?;
    let (said, error) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    ensure!(
        status.success(),
        "{program} failed ({status}):\n{said}{error}"
    );
    Ok(said.into_owned())
}
