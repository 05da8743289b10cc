//! The model versions that a worker scores with, and how it follows the model topic.

mod follow_model_topic;

use flockwise_core::task::Versions;

use crate::broker::Start;
use crate::model_log::{ModelLog, SharedModels};
use crate::pipeline::Pipeline;
use crate::topics::{Topic, TopicPartition};

const MODEL: TopicPartition = TopicPartition {
    topic: Topic::Model,
    partition: 0,
};

/// The model of a worker.
pub(crate) struct ModelState {
    /// The version in use and the one before.
    versions: Option<Versions>,
    /// The version in use is the configured import: the model topic has none yet.
    is_imported: bool,
    /// The model topic, up to where it was read.
    log: ModelLog,
    shared: SharedModels,
}

impl ModelState {
    /// The configured import, if there is one.
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let versions = pipeline.imported().map(|current| Versions {
            current,
            previous: None,
        });
        Self {
            is_imported: versions.is_some(),
            versions,
            log: ModelLog::default(),
            shared: SharedModels::default(),
        }
    }

    /// Reads of the model topic only what no worker with the same log has read.
    pub(crate) fn share(&mut self, shared: &SharedModels) {
        self.shared = shared.clone();
    }

    pub(crate) fn versions(&self) -> Option<&Versions> {
        self.versions.as_ref()
    }

    /// The number of the version in use; 0: none.
    pub(crate) fn version(&self) -> u64 {
        let versions = self.versions.as_ref();
        versions.map_or(0, |versions| versions.current.version())
    }

    pub(crate) fn log(&mut self) -> &mut ModelLog {
        &mut self.log
    }

    /// Where to read new versions from.
    pub(crate) fn read(&self) -> (TopicPartition, Start) {
        let next = self.log.next_offset;
        (MODEL, next.map_or(Start::Earliest, Start::Offset))
    }
}
