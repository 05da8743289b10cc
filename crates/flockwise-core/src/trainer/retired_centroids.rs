//! Retired centroids: the trainer ignores earlier samples near them.

use super::scaled_space::ScaledSpace;
use super::window::WeightedWindow;
use crate::segmentation::{RetiredCentroid, Segment};

/// Removes the weight of samples that are nearer to a retired centroid than to any segment and not newer than its
/// time.
pub(super) fn mask_retired(
    weighed: &mut WeightedWindow,
    segments: &[Segment],
    retired: &[RetiredCentroid],
    space: &ScaledSpace<'_>,
) {
    let Some(last_ms) = retired.iter().map(|retired| retired.until_ms).max() else {
        return;
    };
    for index in 0..weighed.points.len() {
        let at_ms = weighed.at_ms[index];
        if at_ms > last_ms {
            continue;
        }
        let point = weighed.points.point(index);
        let distance = retired
            .iter()
            .filter(|retired| at_ms <= retired.until_ms)
            .map(|retired| space.squared(point, &retired.centroid))
            .fold(f64::INFINITY, f64::min);
        let mut segments = segments.iter();
        if segments.all(|segment| space.squared(point, &segment.centroid) > distance) {
            weighed.points.set_weight(index, 0.0);
        }
    }
}
