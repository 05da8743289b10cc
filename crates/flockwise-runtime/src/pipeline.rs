//! The pipeline as all workers see it, and the time that they use.

use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::task::TaskSettings;
use flockwise_vocabulary::task_id::TaskId;

use crate::broker::Start;
use crate::clock::Clock;
use crate::event_time_alignment::Alignment;
use crate::memory_budget::MemoryBudget;
use crate::schema_source::SchemaSource;
use crate::topics::Topics;

/// A pipeline. It does not change once the first worker has started.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Names and partition counts of its topics.
    pub topics: Topics,
    /// The start position of each partition, for each input in order, as of the pipeline's first read of that topic. A
    /// partition added since then holds only new events and is read from its oldest record.
    pub starts: Vec<Vec<Start>>,
    /// For each input in order, the id of the topic that its start offsets belong to; empty if unknown. Nothing was read
    /// of a topic with another id: it is read from its oldest record.
    pub start_ids: Vec<String>,
    /// The decoder of each input's events, in order. None of them knows a schema yet.
    pub decoders: Vec<Decoder>,
    /// Where the decoders' schemas come from.
    pub schemas: Arc<dyn SchemaSource>,
    /// Decides which task owns a customer.
    pub partitioner: Partitioner,
    /// The settings of the tasks.
    pub task: Arc<TaskSettings>,
    /// The model to start with; `None`: warm-up learns the first version.
    pub import: Option<ModelVersion>,
    /// A live pipeline commits its work at least this often.
    pub commit_interval: Duration,
    /// How input partitions are read in step.
    pub alignment: Alignment,
    /// The memory budget of the state.
    pub memory: Arc<MemoryBudget>,
}

impl Pipeline {
    /// The decoders for the formats of the inputs, in order.
    #[must_use]
    pub fn decoders(formats: &[Format], task: &TaskSettings) -> Vec<Decoder> {
        formats
            .iter()
            .map(|format| Decoder::new(format, &task.plan))
            .collect()
    }

    /// Where to start reading a partition of an input that was not read before.
    pub(crate) fn start(&self, input: u16, partition: u32) -> Start {
        let starts = self.starts.get(usize::from(input));
        let start = starts.and_then(|starts| starts.get(partition as usize));
        start.copied().unwrap_or(Start::Earliest)
    }

    /// The task that owns a customer.
    pub(crate) fn owner(&self, customer_id: &str) -> TaskId {
        let tasks = self.topics.state_partitions;
        TaskId(self.partitioner.partition(customer_id.as_bytes(), tasks))
    }

    /// The imported model, ready for use; `None` if there is none, or if it does not fit the plan.
    pub(crate) fn imported(&self) -> Option<Arc<Model>> {
        let parts = self.import.clone()?;
        Model::new(&self.task.plan, parts).ok().map(Arc::new)
    }
}

/// Which clock the pipeline uses.
#[derive(Clone, Debug)]
pub enum TimeMode {
    /// This clock decides which events are from the future, and advances stream time while the inputs are idle.
    Live(Clock),
    /// Only events advance time, so the same input gives the same output.
    Replay {
        /// The time by which events from the future are refused, milliseconds since the epoch; `None`: none is.
        judged_at_ms: Option<i64>,
    },
}

impl TimeMode {
    /// The mode of a running pipeline: the machine's clock.
    #[must_use]
    pub fn live() -> Self {
        Self::Live(Clock::System)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// The clock that measures spans, in a replay too.
    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Live(clock) => clock,
            Self::Replay { .. } => &Clock::System,
        }
    }

    /// The present time, milliseconds since the epoch, as [`Clock::latest_ms`]; `None` in a replay.
    pub(crate) fn now_ms(&self) -> Option<i64> {
        match self {
            Self::Replay { .. } => None,
            Self::Live(clock) => Some(clock.latest_ms()),
        }
    }
}
