//! What a task publishes.

use crate::change::Change;
use crate::decide::Suppression;
use crate::feature_inputs::FeatureInputs;
use crate::trainer::MiniBatch;

/// By what an event is recognised as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateBy {
    /// An event with the same event id counts already.
    EventId,
    /// An event with the same name and order id counts already, or a later one has replaced it.
    OrderId,
}

impl DuplicateBy {
    /// The names in metrics and summaries, by `DuplicateBy as usize`.
    pub const NAMES: [&'static str; 2] = ["event_id", "order_id"];
}

/// The output of a task. The caller owns, reads and clears it.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Changes of segment, in the order of the decisions.
    pub changes: Vec<Change>,
    /// Samples for the trainer.
    pub mini_batches: Vec<MiniBatch>,
    /// Number of suppressed changes, in the order of [`Suppression::ALL`].
    pub suppressed: [u64; Suppression::ALL.len()],
    /// Number of scorings by the sweep.
    pub swept: u64,
    /// How many of them found an outlier.
    pub swept_outliers: u64,
    /// Number of events dropped as duplicates, in the order of [`DuplicateBy::NAMES`].
    pub duplicates: [u64; DuplicateBy::NAMES.len()],
    /// What the features found in the events.
    pub inputs: FeatureInputs,
}
