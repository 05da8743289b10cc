//! A `flockwise run` process under supervision.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use flockwise_tests::process::{Finished, Process, get};
use signal_hook::consts::SIGTERM;

use crate::clock::Clock;
use crate::disk::Disk;

/// How long a process may take to end after SIGTERM: the default of Kubernetes.
const GRACE: Duration = Duration::from_secs(30);
/// Number of log lines to show of a process that ended unexpectedly.
const LAST_LINES: usize = 5;

/// Part of the message of a process that could not commit in time after SIGTERM.
const GAVE_UP: &str = "could not commit, leave the group";

/// How a process ended after SIGTERM.
pub(crate) enum Stopped {
    Clean,
    /// It could not commit in time and said so, which is right while the brokers do not answer.
    Uncommitted(String),
    Failed(String),
}

/// The inputs that a process is configured to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    First,
    Both,
}

/// The commands that start a process, by the inputs that it reads.
pub(crate) struct Commands {
    pub(crate) first: Command,
    pub(crate) both: Command,
}

/// A process of the deployment, killed on drop.
pub(crate) struct Instance {
    pub(crate) name: String,
    /// The inputs that it reads after its next start.
    pub(crate) inputs: Inputs,
    process: Option<Process>,
    commands: Commands,
    clock: Clock,
    log: File,
    /// The disk of its state; `None` if none could be mounted.
    disk: Option<Disk>,
}

impl Instance {
    /// Creates an instance without starting it. Its log is written to the folder `logs`.
    pub(crate) fn new(
        name: &str,
        commands: Commands,
        disk: Option<Disk>,
        logs: &Path,
    ) -> Result<Self> {
        let log = File::create(logs.join(format!("{name}.log")));
        Ok(Self {
            name: name.to_owned(),
            inputs: Inputs::Both,
            process: None,
            commands,
            clock: Clock::start(),
            log: log.context("cannot create a log file")?,
            disk,
        })
    }

    pub(crate) fn start(&mut self) {
        self.end("restarted");
        let command = match self.inputs {
            Inputs::First => &mut self.commands.first,
            Inputs::Both => &mut self.commands.both,
        };
        self.process = Some(Process::start(command));
    }

    /// Sends SIGKILL and saves the log.
    pub(crate) fn kill(&mut self) {
        self.end("killed");
    }

    /// Fills the disk of its state.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk")?.fill()
    }

    pub(crate) fn clear_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk")?.clear()
    }

    /// Sends SIGSTOP.
    pub(crate) fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Sends SIGCONT.
    pub(crate) fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// Sends SIGTERM and waits until the process has ended.
    pub(crate) fn stop(&mut self) -> Stopped {
        let Some(process) = self.process.as_mut() else {
            return Stopped::Clean;
        };
        process.request_stop();
        let ended = process.ended_within(GRACE);
        self.end("asked to end");
        let name = &self.name;
        let Some(ended) = ended else {
            return Stopped::Failed(format!("{name} did not end within {GRACE:?} after SIGTERM"));
        };
        // A process that was just started has no signal handler yet: SIGTERM ends it before its first log line.
        let was_starting = ended.signal == Some(SIGTERM) && ended.stderr.is_empty();
        if ended.code == Some(0) || was_starting {
            return Stopped::Clean;
        }
        let (how, last) = (how(&ended), last_lines(&ended.stderr));
        let text = format!("{name} ended with {how} after SIGTERM:\n{last}");
        match ended.code == Some(1) && ended.stderr.contains(GAVE_UP) {
            true => Stopped::Uncommitted(text),
            false => Stopped::Failed(text),
        }
    }

    /// How it ended; `None` if it still runs. Must be called before any signal is sent.
    pub(crate) fn ended_by_itself(&mut self) -> Option<String> {
        let ended = self.process.as_mut()?.ended_within(Duration::ZERO)?;
        let (name, how, last) = (&self.name, how(&ended), last_lines(&ended.stderr));
        let failure = format!("{name} ended by itself with {how}:\n{last}");
        self.end("ended by itself");
        Some(failure)
    }

    /// True if `/readyz` says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let log = self.process.as_ref().map(Process::stderr);
        let address = log.as_deref().and_then(|log| {
            let (_, rest) = log.split_once("listening for HTTP address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        let answer = address.and_then(|address| get(address, "/readyz"));
        answer.is_some_and(|answer| answer.contains("\"ready\":true"))
    }

    fn end(&mut self, how: &str) {
        let Some(process) = self.process.take() else {
            return;
        };
        let (log, at) = (process.stderr(), self.clock.now().as_secs_f64());
        let noted = writeln!(self.log, "{log}--- {how}, {at:.1} s after the first start");
        if let Err(error) = noted {
            eprintln!("the log of {} is incomplete: {error}", self.name);
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

fn how(ended: &Finished) -> String {
    let signal = ended.signal.map(|signal| format!("signal {signal}"));
    let code = ended.code.map(|code| format!("code {code}"));
    code.or(signal).unwrap_or_default()
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter();
    last.map(|line| format!("    {line}\n")).collect()
}
