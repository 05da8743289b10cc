//! The fold over the topics.

#[cfg(test)]
pub(crate) mod example;

use flockwise_vocabulary::task_id::TaskId;
use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_codec::model::{decode_publication, decode_version_key};
use flockwise_codec::task_summary::{SummaryError, TaskSummary, decode_summary};
use flockwise_core::plan::Plan;
use flockwise_vocabulary::topics::Topic;
use thiserror::Error;

use crate::model_history::{ModelHistory, ModelVersions};
use crate::segments::{self, Segments};

/// What the pipeline has published so far about its model and its customers.
#[derive(Debug)]
pub struct View {
    plan: Arc<Plan>,
    /// Number of tasks of the pipeline.
    tasks: u32,
    model: ModelHistory,
    /// The latest summary of each task.
    summaries: BTreeMap<TaskId, TaskSummary>,
}

/// A record cannot be decoded.
#[derive(Debug, Error)]
pub enum ViewError {
    /// It is not a version of a model with the configured features.
    #[error("a version on the model topic cannot be decoded: {0}")]
    Version(String),
    /// It is not the summary of a task.
    #[error("a record on the summaries topic cannot be decoded: {0}")]
    Summary(#[from] SummaryError),
}

impl View {
    /// The view of a pipeline with these features and this number of tasks, before its first record.
    #[must_use]
    pub fn new(plan: Arc<Plan>, tasks: u32) -> Self {
        Self {
            plan,
            tasks,
            model: ModelHistory::default(),
            summaries: BTreeMap::new(),
        }
    }

    /// The topics that the view is made from, each with one partition.
    pub const TOPICS: [Topic; 2] = [Topic::Model, Topic::Summaries];

    /// Applies a record of one of [`View::TOPICS`]. Records of a topic come in order. A tombstone on the model topic
    /// deletes a version. Ignores other tombstones and other topics.
    ///
    /// # Errors
    /// If the value cannot be decoded.
    pub fn apply(
        &mut self,
        topic: Topic,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), ViewError> {
        match (topic, value) {
            (Topic::Model, Some(value)) => {
                let decoded = decode_publication(value, &self.plan);
                let (publication, _) = decoded.map_err(ViewError::Version)?;
                self.model.publish(publication);
            }
            (Topic::Model, None) => {
                let deleted = key.and_then(decode_version_key);
                deleted.inspect(|version| self.model.delete(*version));
            }
            (Topic::Summaries, Some(value)) => self.summarise(decode_summary(value)?),
            _ => {}
        }
        Ok(())
    }

    /// A task publishes its summary.
    pub fn summarise(&mut self, summary: TaskSummary) {
        self.summaries.insert(summary.task, summary);
    }

    /// The segments of the version in use and their customers; `None` before the first version.
    #[must_use]
    pub fn segments(&self) -> Option<Segments> {
        let model = self.model.live()?;
        Some(segments::segments(model, &self.summaries, self.tasks))
    }

    /// The versions of the model.
    #[must_use]
    pub fn model_versions(&self) -> ModelVersions {
        self.model.versions()
    }
}

#[cfg(test)]
mod tests {
    use flockwise_codec::model::{encode_publication, version_key};
    use flockwise_codec::task_summary::encode_summary;

    use super::example::{live, plan};
    use super::*;

    fn summary(task: u32, customers: u64, segments: &[(u32, u64)]) -> Vec<u8> {
        let summary = TaskSummary {
            task: TaskId(task),
            as_of_ms: Some(1_772_323_200_000 + i64::from(task)),
            customers,
            segments: segments.iter().copied().collect(),
        };
        let mut bytes = Vec::new();
        encode_summary(&summary, &mut bytes);
        bytes
    }

    #[test]
    fn counts_are_sums_over_the_latest_summary_of_each_task() {
        let mut view = View::new(Arc::new(plan()), 3);
        assert_eq!(view.segments(), None);
        let version = encode_publication(&live(4), None);
        view.apply(Topic::Model, Some(b"4"), Some(&version))
            .unwrap();
        for bytes in [
            summary(0, 9, &[(1, 9)]),
            summary(2, 11, &[(2, 6), (7, 2)]),
            summary(0, 10, &[(1, 4), (2, 6)]),
        ] {
            view.apply(Topic::Summaries, None, Some(&bytes)).unwrap();
        }
        let segments = view.segments().unwrap();
        let json = serde_json::to_string_pretty(&segments).unwrap();
        assert_eq!(json, include_str!("view/golden/segments.json").trim_end());
    }

    #[test]
    fn a_record_that_cannot_be_decoded_is_named() {
        let mut view = View::new(Arc::new(plan()), 1);
        let model = view.apply(Topic::Model, None, Some(b"{}")).unwrap_err();
        assert!(model.to_string().contains("model topic"), "{model}");
        let summary = view.apply(Topic::Summaries, None, Some(b"{}")).unwrap_err();
        assert!(summary.to_string().contains("summaries topic"), "{summary}");
    }

    #[test]
    fn a_version_that_the_trainer_deleted_is_gone() {
        let mut view = View::new(Arc::new(plan()), 1);
        for number in 1..=3 {
            let version = encode_publication(&live(number), None);
            let key = version_key(number);
            view.apply(Topic::Model, Some(key.as_bytes()), Some(&version))
                .unwrap();
        }
        view.apply(Topic::Model, Some(b"1"), None).unwrap();
        let versions = view.model_versions().versions;
        let numbers: Vec<u64> = versions.iter().map(|entry| entry.version).collect();
        assert_eq!(numbers, [2, 3]);
    }
}
