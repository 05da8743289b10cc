//! The inputs of the trainer.

use std::collections::BTreeMap;

use super::command::TrainerCommand;
use super::sampling_progress::Sampled;
use flockwise_vocabulary::task_id::TaskId;

/// Samples of one task, on their way to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatch {
    /// Event time as of which the customers were sampled, milliseconds since the epoch.
    pub at_ms: i64,
    /// Feature vectors of customers, with the hashes of their ids.
    pub sample: Vec<(u64, Vec<f64>)>,
}

/// One input of the trainer.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainerInput {
    /// Samples of a task.
    MiniBatch(MiniBatch),
    /// A command of an operator.
    Command(TrainerCommand),
    /// How far tasks have sampled, by task.
    Sampled(BTreeMap<TaskId, Sampled>),
}
