//! The job as input for the pure crates.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use flockwise_codec::decode::Decoder;
use flockwise_codec::model::decode_model;
use flockwise_config::Config;
use flockwise_core::model::Model;
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::{TaskSettings, Versions};

use crate::workspace;

/// State partitions, and partitions of the input.
pub const PARTITIONS: u32 = 12;

/// Everything that a task needs to run the job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Decoder of its events.
    pub decoder: Decoder,
    /// Settings of its tasks.
    pub settings: Arc<TaskSettings>,
    /// Its fixed model.
    pub versions: Versions,
    /// Names of its inputs.
    pub topics: Vec<String>,
}

/// Path of the job's configuration.
#[must_use]
pub fn file() -> PathBuf {
    workspace("benches/job/job.toml")
}

impl Job {
    /// Reads the job's configuration and model.
    ///
    /// # Errors
    /// If they are not valid.
    pub fn load() -> Result<Self> {
        let config = Config::load(&file(), [])?;
        let plan = Arc::new(config.plan());
        let path = config.import.as_ref().context("the job has no model")?;
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let parts = decode_model(&bytes, &plan).map_err(|reason| anyhow!(reason))?;
        let current = Arc::new(Model::new(&plan, parts)?);
        let input = config.inputs.first().context("the job has no input")?;
        Ok(Self {
            decoder: Decoder::new(&input.format, &plan),
            topics: vec![input.topic.clone()],
            versions: Versions {
                current,
                previous: None,
            },
            settings: Arc::new(TaskSettings {
                plan,
                decision: config.decision,
                time: config.time,
                learning: config.learning,
                history: HistoryPolicy::default(),
                tasks: PARTITIONS,
            }),
        })
    }
}
