//! Means and variances that a few extreme values do not move.

use flockwise_kmeans::Points;

use crate::segmentation::Scaler;

/// A value further than this many former standard deviations from the former mean counts as one that far away.
/// This is far enough to follow a true change of scale within a few versions, and near enough that one extreme
/// customer does not scale the others to nothing.
const REACH: f64 = 50.0;

/// The scaler of a sample: the moments of each column, computed again with values winsorised to five standard
/// deviations. `before` is the scaler of the former version.
pub(super) fn scaler(points: &Points, before: Option<&Scaler>) -> Scaler {
    let within_reach = |column: usize, x: f64| match before {
        Some(before) if before.deviation(column) > 0.0 => {
            let (mean, reach) = (before.means[column], REACH * before.deviation(column));
            x.clamp(mean - reach, mean + reach)
        }
        _ => x,
    };
    let first = moments(points, within_reach);
    moments(points, |column, x| first.winsorise(column, x))
}

fn moments(points: &Points, value: impl Fn(usize, f64) -> f64) -> Scaler {
    let dimensions = points.dimensions();
    let weight: f64 = points.weights().iter().sum();
    let mut means = vec![0.0; dimensions];
    for (point, share) in points.iter().map(|(point, own)| (point, own / weight)) {
        for (column, mean) in means.iter_mut().enumerate() {
            *mean += share * value(column, point[column]);
        }
    }
    let mut variances = vec![0.0; dimensions];
    for (point, share) in points.iter().map(|(point, own)| (point, own / weight)) {
        for (column, variance) in variances.iter_mut().enumerate() {
            *variance += share * (value(column, point[column]) - means[column]).powi(2);
        }
    }
    Scaler {
        means,
        variances,
        weight,
    }
}
