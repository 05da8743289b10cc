//! Customers who are like their segment.

use crate::aggregate;
use crate::model::Model;
use crate::plan::Plan;
use crate::rows::Rows;

/// Customers named, at most.
pub const TYPICAL: usize = 5;
/// Rows looked at, at most: a shard does nothing else meanwhile.
const LOOKED_AT: u32 = 10_000;

/// The customers of a segment who are nearest to its centroid as of an instant, nearest first, but for the one of
/// row `but`; looked for among 10,000 rows at most, evenly apart.
#[must_use]
pub fn typical_members<'r>(
    plan: &Plan,
    model: &Model,
    rows: &'r Rows,
    own: usize,
    but: u32,
    at_ms: i64,
) -> Vec<&'r str> {
    let segment = Some(model.segments()[own].id);
    let step = rows.end().div_ceil(LOOKED_AT).max(1) as usize;
    let (mut raw, mut vector) = (vec![0.0; plan.len()], vec![0.0; plan.len()]);
    let mut scaled = Vec::with_capacity(plan.len());
    let members = (0..rows.end())
        .step_by(step)
        .filter(|row| *row != but && rows.is_live(*row) && rows.standing(*row).segment == segment);
    let mut nearest: Vec<(f64, u32)> = members
        .map(|row| {
            let (columns, reference_ms) = rows.sums(row);
            let at_ms = at_ms.max(reference_ms);
            aggregate::evaluate(plan, columns, reference_ms, at_ms, &mut raw, &mut vector);
            model.scaled(&vector, &mut scaled);
            (model.nearest().squared_distance(&scaled, own), row)
        })
        .collect();
    nearest.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    nearest.truncate(TYPICAL);
    let names = nearest.into_iter().map(|(_, row)| rows.customer_id(row));
    names.collect()
}
