//! Periods of learning.

/// A period of learning, in which all tasks draw the same share of customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// End of the period, milliseconds since the epoch: no task processes an event of this time or later in it.
    pub end_ms: i64,
    /// Number of customers of all tasks at the beginning of the period.
    pub customers: u64,
}
