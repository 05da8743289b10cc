//! A `flockwise run` process as its supervisor sees it.

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

/// As long as Kubernetes waits by default.
const GRACE: Duration = Duration::from_secs(30);
/// Of the log of one that ended by itself.
const LAST_LINES: usize = 5;

/// What a process says that could not commit in time when it was asked to end.
const GAVE_UP: &str = "this instance could not commit";

/// How a process ended that was asked to.
pub(crate) enum Stopped {
    Well,
    /// It could not commit in time, as it says: right while the brokers do not answer.
    Uncommitted(String),
    Wrong(String),
}

/// The inputs that a process is configured to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    First,
    Both,
}

/// What starts a process, by what it is to read.
pub(crate) struct Commands {
    pub(crate) first: Command,
    pub(crate) both: Command,
}

/// One of the processes, killed when dropped.
pub(crate) struct Instance {
    pub(crate) name: String,
    /// What it reads once it is started.
    pub(crate) inputs: Inputs,
    process: Option<Process>,
    commands: Commands,
    clock: Clock,
    log: File,
    /// Of its state, where one could be mounted.
    disk: Option<Disk>,
}

impl Instance {
    /// What it says is kept in a folder.
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
            log: log.context("cannot keep a log")?,
            disk,
        })
    }

    pub(crate) fn start(&mut self) {
        self.end("started anew");
        let command = match self.inputs {
            Inputs::First => &mut self.commands.first,
            Inputs::Both => &mut self.commands.both,
        };
        self.process = Some(Process::start(command));
    }

    /// What there is of it after kill -9, or where it is gone, is what it said.
    pub(crate) fn kill(&mut self) {
        self.end("killed");
    }

    /// Takes all the room there is for its state.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk")?.fill()
    }

    pub(crate) fn clear_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk")?.clear()
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> Stopped {
        let Some(process) = self.process.as_mut() else {
            return Stopped::Well;
        };
        process.ask_to_end();
        let ended = process.ended_within(GRACE);
        self.end("asked to end");
        let name = &self.name;
        let Some(ended) = ended else {
            return Stopped::Wrong(format!("{name} did not end within {GRACE:?} when asked to"));
        };
        // It was only just started and did not listen yet, as its first line would say.
        let is_unheard = ended.signal == Some(SIGTERM) && ended.stderr.is_empty();
        if ended.code == Some(0) || is_unheard {
            return Stopped::Well;
        }
        let (how, last) = (how(&ended), last_lines(&ended.stderr));
        let text = format!("{name} ended with {how} when asked to:\n{last}");
        match ended.code == Some(1) && ended.stderr.contains(GAVE_UP) {
            true => Stopped::Uncommitted(text),
            false => Stopped::Wrong(text),
        }
    }

    /// How it ended, where it did so by itself.
    pub(crate) fn ended_by_itself(&mut self) -> Option<String> {
        let ended = self.process.as_mut()?.ended_within(Duration::ZERO)?;
        let (name, how, last) = (&self.name, how(&ended), last_lines(&ended.stderr));
        let failure = format!("{name} ended by itself with {how}:\n{last}");
        self.end("ended by itself");
        Some(failure)
    }

    /// Does it say that its tasks are all restored?
    pub(crate) fn is_ready(&self) -> bool {
        let said = self.process.as_ref().map(Process::stderr);
        let address = said.as_deref().and_then(|said| {
            let (_, rest) = said.split_once("listening for HTTP address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        let answer = address.and_then(|address| get(address, "/readyz"));
        answer.is_some_and(|answer| answer.contains("\"ready\":true"))
    }

    fn end(&mut self, how: &str) {
        let Some(process) = self.process.take() else {
            return;
        };
        let (said, at) = (process.stderr(), self.clock.now().as_secs_f64());
        let noted = writeln!(self.log, "{said}--- {how}, {at:.1} s after the first start");
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

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter();
    last.map(|line| format!("    {line}\n")).collect()
}
