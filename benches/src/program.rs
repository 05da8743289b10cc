//! The programs that are measured, each as a process of its own.

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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
pub(crate) enum Program {
    /// One rdkafka consumer that parses, and no more
    Bare,
    /// `flockwise run`
    Flockwise,
    /// The same job on Kafka Streams
    Streams,
    /// The same job on Flink
    Flink,
}

/// What an instance is started with.
pub(crate) struct Start<'a> {
    /// Its name, which is its group's too and begins the names of its topics.
    pub(crate) app: &'a str,
    /// Its input.
    pub(crate) topic: &'a str,
    /// Of Flockwise; the others have one thread.
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

    /// Where it keeps everything.
    pub(crate) fn folder(&self) -> PathBuf {
        workspace("target/bench").join(self.app)
    }

    /// Its local state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    pub(crate) fn changes(&self) -> String {
        format!("{}-segment-changes", self.app)
    }
}

/// One that runs; ended when dropped.
pub(crate) struct Instance {
    pub(crate) process: Process,
    /// Where Flockwise answers.
    pub(crate) address: Option<SocketAddr>,
}

impl Program {
    /// In a table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare consumer",
            Self::Flockwise => "Flockwise",
            Self::Streams => "Kafka Streams",
            Self::Flink => "Flink",
        }
    }

    /// Letters for the names of groups and topics.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Starts one that is new to the broker.
    pub(crate) fn start(self, bench: &Bench, start: &Start<'_>) -> Result<Instance> {
        let _ = fs::remove_dir_all(start.folder());
        fs::create_dir_all(start.state())?;
        if self != Self::Flockwise {
            bench.kafka.make_topic(&start.changes())?;
        }
        self.restart(bench, start)
    }

    /// Starts one with what there is of it.
    pub(crate) fn restart(self, bench: &Bench, start: &Start<'_>) -> Result<Instance> {
        match self {
            Self::Flockwise => flockwise::start(bench, start),
            Self::Streams | Self::Flink => jvm::start(self, bench, start),
            Self::Bare => anyhow::bail!("the bare consumer keeps nothing"),
        }
    }

    /// The topic of its changelog, where it has one.
    pub(crate) fn changelog(self, app: &str) -> Option<String> {
        match self {
            Self::Flockwise => Some(format!("{app}-changelog")),
            Self::Streams => Some(format!("{app}-customers-changelog")),
            Self::Bare | Self::Flink => None,
        }
    }

    /// Deletes its local state; who it is stays.
    pub(crate) fn forget(self, start: &Start<'_>) -> Result<()> {
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
