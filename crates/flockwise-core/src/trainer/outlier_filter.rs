//! Values so far off that they are faults and no tail: who has one teaches nothing.

use flockwise_kmeans::Points;

/// The share of values whose distance from the median is taken for usual: a fault that more than one in twenty has is no
/// exception any more.
const USUAL: f64 = 0.95;
/// So many times as far as that is a fault. Of a logarithmic normal distribution as wide as any that people have
/// (a deviation of 2) it is one value in 30,000, of a normal one none.
const FAULT: f64 = 100.0;

/// Takes the weight from everybody with a value that must be a fault, as it would be the measure of all others.
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

/// The median and how far from it a value may be, measured by those that differ from it: many a feature is the same for
/// nearly everybody. `None` where all are equal.
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
