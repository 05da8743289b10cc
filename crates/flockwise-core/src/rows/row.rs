//! A customer's row.

use crate::decide::Standing;
use crate::dedup::DedupMemoryRef;

/// One customer's state, in the form that the changelog holds.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The customer's id.
    pub customer_id: &'a str,
    /// Reference time: the latest event time, milliseconds since the epoch.
    pub reference_ms: i64,
    /// The plan's columns.
    pub columns: &'a [f64],
    /// Segment, sequence and candidate.
    pub standing: Standing,
    /// The dedup memory: event ids and orders.
    pub dedup: DedupMemoryRef<'a>,
}
