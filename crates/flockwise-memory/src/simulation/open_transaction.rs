//! A transaction that is open in a simulated cluster.

use flockwise_runtime::clock::Moment;

/// A transaction that has not ended.
#[derive(Debug)]
pub(crate) struct SimulatedTransaction {
    pub(super) began: Moment,
    /// Partition and offset of each of its records.
    pub(super) records: Vec<(usize, i64)>,
    /// Partition and position that the commit will set.
    pub(super) positions: Vec<(usize, i64)>,
}
