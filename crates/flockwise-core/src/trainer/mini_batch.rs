//! What the tasks send to the trainer.

/// Samples of one task, on their way to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatch {
    /// Event time as of which the customers were sampled, milliseconds since the epoch.
    pub at_ms: i64,
    /// Feature vectors of customers, with the hashes of their ids.
    pub sample: Vec<(u64, Vec<f64>)>,
}
