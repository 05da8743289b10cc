//! The measured programs, each in its own process.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use flockwise_benches::workspace;
use serde::Serialize;

use crate::bench::Bench;
use crate::children::Process;
use crate::{flockwise, jvm};

/// A measured program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
pub(crate) enum Program {
    /// An rdkafka consumer that only parses
    Bare,
    /// `flockwise run`
    Flockwise,
    /// The same job on Kafka Streams
    Streams,
    /// The same job on Flink
    Flink,
}

/// The parameters of an instance.
pub(crate) struct Start<'a> {
    /// Its app name: also the name of its group, and the prefix of its topics.
    pub(crate) app: &'a str,
    /// Its input topic.
    pub(crate) topic: &'a str,
    /// Number of workers of Flockwise. The other programs have one thread.
    pub(crate) shards: u32,
}

impl<'a> Start<'a> {
    pub(crate) fn new(app: &'a str, topic: &'a str) -> Self {
        Self {
            app,
            topic,
            shards: 1,
        }
    }

    /// The folder of all its files.
    pub(crate) fn folder(&self) -> PathBuf {
        workspace("target/bench").join(self.app)
    }

    /// The folder of its local state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    pub(crate) fn changes(&self) -> String {
        format!("{}-segment-changes", self.app)
    }
}

/// A running program, killed on drop.
pub(crate) struct Instance {
    pub(crate) process: Process,
    /// HTTP address of Flockwise; `None` for other programs.
    pub(crate) address: Option<SocketAddr>,
}

impl Program {
    /// Its name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare consumer",
            Self::Flockwise => "Flockwise",
            Self::Streams => "Kafka Streams",
            Self::Flink => "Flink",
        }
    }

    /// Its name in the names of groups and topics.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Starts a new instance without state.
    pub(crate) fn start(self, bench: &Bench, start: &Start<'_>) -> Result<Instance> {
        let _ = fs::remove_dir_all(start.folder());
        fs::create_dir_all(start.state())?;
        if self != Self::Flockwise {
            bench.kafka.make_topic(&start.changes())?;
        }
        self.restart(bench, start)
    }

    /// Starts an instance with its existing state.
    pub(crate) fn restart(self, bench: &Bench, start: &Start<'_>) -> Result<Instance> {
        match self {
            Self::Flockwise => flockwise::start(bench, start),
            Self::Streams | Self::Flink => jvm::start(self, bench, start),
            Self::Bare => anyhow::bail!("the bare consumer has no state to restart with"),
        }
    }

    /// Its changelog topic, if it has one.
    pub(crate) fn changelog(self, app: &str) -> Option<String> {
        match self {
            Self::Flockwise => Some(format!("{app}-changelog")),
            Self::Streams => Some(format!("{app}-customers-changelog")),
            Self::Bare | Self::Flink => None,
        }
    }

    /// Deletes its local state, but keeps its identity.
    pub(crate) fn delete_state(self, start: &Start<'_>) -> Result<()> {
        for entry in fs::read_dir(start.state())? {
            let entry = entry?;
            if self == Self::Flockwise && entry.file_name() == "instance" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
