//! What every worker of a pipeline goes by.

use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::model::{Model, ModelParts};
use flockwise_core::task::TaskSettings;

use crate::alignment::Alignment;
use crate::broker::Start;
use crate::clock::Clock;
use crate::memory_budget::MemoryBudget;
use crate::topics::Topics;

/// A pipeline, settled before the first worker starts.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Names and sizes of its topics.
    pub topics: Topics,
    /// Where inputs are read from that have not been read before: for each input, in their order, the partitions
    /// that its topic had when the pipeline first read it. Partitions that it has gained since hold nothing but
    /// new events and are read from their oldest record.
    pub starts: Vec<Vec<Start>>,
    /// Ids of the topics that the inputs' starts are offsets of, in their order; empty where they are not known. Of a
    /// topic with another id nothing has been read, and it begins at its oldest record.
    pub start_ids: Vec<String>,
    /// How the inputs' events are decoded, in their order.
    pub decoders: Vec<Decoder>,
    /// Which task a customer belongs to.
    pub partitioner: Partitioner,
    /// What tasks go by.
    pub task: Arc<TaskSettings>,
    /// The model to start from instead of a warm-up.
    pub import: Option<ModelParts>,
    /// What was processed is committed at least this often.
    pub commit_interval: Duration,
    /// How input partitions are kept in step.
    pub alignment: Alignment,
    /// What the state may take.
    pub memory: Arc<MemoryBudget>,
}

impl Pipeline {
    /// Decoders for the formats of the inputs.
    #[must_use]
    pub fn decoders(formats: &[Format], task: &TaskSettings) -> Vec<Decoder> {
        formats
            .iter()
            .map(|format| Decoder::new(format, &task.plan))
            .collect()
    }

    /// Where a partition of an input is read from that has not been read before.
    pub(crate) fn start(&self, input: u16, partition: u32) -> Start {
        let starts = self.starts.get(usize::from(input));
        let start = starts.and_then(|starts| starts.get(partition as usize));
        start.copied().unwrap_or(Start::Earliest)
    }

    /// The task that a customer belongs to.
    pub(crate) fn home(&self, customer_id: &str) -> u32 {
        let tasks = self.topics.state_partitions;
        self.partitioner.partition(customer_id.as_bytes(), tasks)
    }

    /// The imported model, ready for use.
    pub(crate) fn imported(&self) -> Option<Arc<Model>> {
        let parts = self.import.clone()?;
        Model::new(&self.task.plan, parts).ok().map(Arc::new)
    }
}

/// Whose time it is.
#[derive(Clone, Debug)]
pub enum TimeMode {
    /// The clock judges events from the future, and moves time on once the inputs are idle.
    Live(Clock),
    /// Time is that of the events alone, so the same input gives the same output.
    Replay,
}

impl TimeMode {
    /// A pipeline at work.
    #[must_use]
    pub fn live() -> Self {
        Self::Live(Clock::System)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// What measures spans.
    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Live(clock) => clock,
            Self::Replay => &Clock::System,
        }
    }

    /// Milliseconds since the epoch by the clock, if that is to be looked at; see [`Clock::latest_ms`].
    pub(crate) fn now_ms(&self) -> Option<i64> {
        match self {
            Self::Replay => None,
            Self::Live(clock) => Some(clock.latest_ms()),
        }
    }
}
