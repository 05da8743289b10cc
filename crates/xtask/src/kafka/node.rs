//! One broker: its files and its process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{self, Signal};
use super::{jars, ports, properties, tls};

/// Any 16 bytes in URL-safe base64. A throwaway cluster needs no unique id.
const CLUSTER_ID: &str = "ZmxvY2t3aXNlLXRlc3QtMQ";
const READY_LINE: &str = "Kafka Server started";
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(super) struct BrokerNode {
    number: u16,
    home: PathBuf,
}

impl BrokerNode {
    pub(super) fn new(cluster: &Path, number: u16) -> Self {
        Self {
            number,
            home: cluster.join(format!("n{number}")),
        }
    }

    /// The nodes that have files in a cluster's directory, in order.
    pub(super) fn in_directory(cluster: &Path) -> Vec<Self> {
        (1..)
            .map(|number| Self::new(cluster, number))
            .take_while(|node| node.home.exists())
            .collect()
    }

    pub(super) fn name(&self) -> String {
        format!("n{}", self.number)
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn properties(&self) -> Option<String> {
        fs::read_to_string(self.properties_file()).ok()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        process::running_pid(
            &self.pid_file(),
            &self.properties_file().display().to_string(),
        )
    }

    pub(super) fn write_properties(&self, text: &str) -> Result<()> {
        fs::create_dir_all(&self.home)
            .with_context(|| format!("cannot create {}", self.home.display()))?;
        fs::write(self.properties_file(), text).context("cannot write server.properties")
    }

    pub(super) fn check_ports_are_free(&self, properties: &str) -> Result<()> {
        let listeners = properties::value(properties, "listeners").unwrap_or_default();
        let ports = listeners
            .split(',')
            .filter_map(|listener| listener.rsplit_once(':')?.1.parse().ok());
        ports
            .into_iter()
            .try_for_each(ports::check_free)
            .with_context(|| format!("cannot start {}", self.name()))
    }

    /// Formats the data directory unless it exists.
    pub(super) fn format(&self, jars: &Path, secured: bool) -> Result<()> {
        if self.home.join("data/meta.properties").exists() {
            return Ok(());
        }
        let mut tool = jars::short_lived(jars);
        tool.args([
            "kafka.tools.StorageTool",
            "format",
            "-t",
            CLUSTER_ID,
            "--ignore-formatted",
            "-c",
        ])
        .arg(self.properties_file());
        if secured {
            let user = format!(
                "SCRAM-SHA-512=[name={},password={}]",
                tls::USER,
                tls::PASSWORD
            );
            tool.args(["--add-scram", &user]);
        }
        jars::run(&mut tool)
            .with_context(|| format!("cannot format the storage of {}", self.name()))
    }

    /// Starts the process and waits until it is ready.
    pub(super) fn start(&self, jars: &Path, heap: &str) -> Result<()> {
        let mut child = self.spawn(jars, heap)?;
        let started = process::wait_until(START_TIMEOUT, || {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "{} died while starting ({status}); its log ends with:\n{}",
                    self.name(),
                    tail(&self.log())
                );
            }
            Ok(self.log().contains(READY_LINE))
        })?;
        if !started {
            bail!(
                "{} is not ready after {START_TIMEOUT:?}; its log ends with:\n{}",
                self.name(),
                tail(&self.log())
            );
        }
        Ok(())
    }

    /// Renames the old log first, since it already contains the ready message.
    fn spawn(&self, jars: &Path, heap: &str) -> Result<Child> {
        let log = self.log_file();
        if log.exists() {
            fs::rename(&log, log.with_extension("before")).context("cannot rename the old log")?;
        }
        let log = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut java = jars::java(jars, heap, "info");
        java.arg("kafka.Kafka")
            .arg(self.properties_file())
            .current_dir(&self.home)
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            // Its own group, so that Ctrl-C in the terminal does not reach the broker.
            .process_group(0);
        let child = jars::spawn(&mut java)?;
        fs::write(self.pid_file(), child.id().to_string()).context("cannot write the pid file")?;
        Ok(child)
    }

    /// Sends a signal. For `Term` and `Kill`, waits until the process has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else {
            return Ok(());
        };
        process::signal(pid, signal)?;
        if matches!(signal, Signal::Term | Signal::Kill) {
            self.wait_until_gone(signal)?;
        }
        Ok(())
    }

    /// Ends the process: with SIGTERM first, then with SIGKILL.
    pub(super) fn end(&self) -> Result<()> {
        // A frozen process does not handle SIGTERM.
        self.signal(Signal::Cont)?;
        if self.signal(Signal::Term).is_err() {
            eprintln!("{} does not end after SIGTERM; killing it", self.name());
            self.signal(Signal::Kill)?;
        }
        let _ = fs::remove_file(self.pid_file());
        Ok(())
    }

    fn wait_until_gone(&self, signal: Signal) -> Result<()> {
        if !process::wait_until(STOP_TIMEOUT, || Ok(self.pid().is_none()))? {
            bail!(
                "{} still runs {STOP_TIMEOUT:?} after {signal:?}: try `--signal kill`",
                self.name()
            );
        }
        Ok(())
    }

    fn properties_file(&self) -> PathBuf {
        self.home.join("server.properties")
    }

    fn pid_file(&self) -> PathBuf {
        self.home.join("pid")
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }

    fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
