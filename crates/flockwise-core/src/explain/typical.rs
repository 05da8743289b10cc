//! Typical customers of a segment, and the values that customers have.

use super::ranges::Ranges;
use crate::aggregate;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::segmentation::SegmentScorer;

/// Maximum number of typical customers.
pub const TYPICAL: usize = 5;
/// Maximum number of rows to scan: a worker does nothing else meanwhile.
const LOOKED_AT: u32 = 10_000;

/// The result of a scan of at most 10,000 evenly spaced rows of a task, as of an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct RowScan<'r> {
    /// The customers of a segment that are nearest to its centroid, nearest first.
    pub typical: Vec<&'r str>,
    /// The values that customers of all segments have.
    pub ranges: Ranges,
}

/// Surveys customers as of an instant: the typical customers of the segment of index `own`, without the customer
/// of row `but`, and the values that customers of all segments have.
#[must_use]
pub fn survey<'r>(
    plan: &Plan,
    segmentation: &SegmentScorer,
    rows: &'r Rows,
    own: usize,
    but: u32,
    at_ms: i64,
) -> RowScan<'r> {
    let segment = Some(segmentation.segments()[own].id);
    let step = rows.end().div_ceil(LOOKED_AT).max(1) as usize;
    let (mut raw, mut vector) = (vec![0.0; plan.len()], vec![0.0; plan.len()]);
    let (mut scaled, mut ranges) = (Vec::with_capacity(plan.len()), Ranges::of(segmentation));
    let mut nearest: Vec<(f64, u32)> = Vec::new();
    let rows_seen = (0..rows.end()).step_by(step);
    for row in rows_seen.filter(|row| rows.is_live(*row)) {
        let (columns, reference_ms) = rows.sums(row);
        let at_ms = at_ms.max(reference_ms);
        aggregate::evaluate(plan, columns, reference_ms, at_ms, &mut raw, &mut vector);
        ranges.include(segmentation, &vector);
        if row != but && rows.standing(row).segment == segment {
            segmentation.scaled(&vector, &mut scaled);
            nearest.push((segmentation.nearest().squared_distance(&scaled, own), row));
        }
    }
    nearest.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    nearest.truncate(TYPICAL);
    let typical = nearest.into_iter().map(|(_, row)| rows.customer_id(row));
    RowScan {
        typical: typical.collect(),
        ranges,
    }
}
