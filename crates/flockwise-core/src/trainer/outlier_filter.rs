//! Values so extreme that they are faults and not a tail. A customer with such a value is not learnt from.

use flockwise_kmeans::Points;

/// Share of values whose distance from the median counts as usual. A fault that more than one in twenty has is no
/// longer an exception.
const USUAL: f64 = 0.95;
/// A value this many times as far away is a fault. In a log-normal distribution as wide as any of real customers
/// (a deviation of 2) that is one value in 30,000, in a normal one none.
const FAULT: f64 = 100.0;

/// Removes the weight of every customer with a value that must be a fault, which would otherwise scale all others.
pub(super) fn drop_outliers(points: &mut Points) {
    for column in 0..points.dimensions() {
        let values = points.iter().map(|(point, _)| point[column]).collect();
        let Some((median, bound)) = usual(values) else {
            continue;
        };
        for index in 0..points.len() {
            if (points.point(index)[column] - median).abs() > bound {
                points.set_weight(index, 0.0);
            }
        }
    }
}

/// The median, and how far from it a value may be. Only values that differ from the median count for that, because
/// many features are the same for nearly all customers. `None` if all are equal.
fn usual(mut values: Vec<f64>) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let median = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    let gaps = values.iter().map(|x| (x - median).abs());
    let mut gaps: Vec<f64> = gaps.filter(|gap| *gap > 0.0).collect();
    if gaps.is_empty() {
        return None;
    }
    let place = (USUAL * gaps.len() as f64) as usize;
    let usual = *gaps.select_nth_unstable_by(place, f64::total_cmp).1;
    Some((median, FAULT * usual))
}
