//! Retired centroids: the trainer ignores earlier samples near them.

use super::scaled_space::ScaledSpace;
use super::window::WeightedWindow;
use crate::model::{ModelParts, RetiredCentroid};

/// Removes the weight of samples that are nearer to a retired centroid than to any segment and not newer than its
/// time.
pub(super) fn mask_retired(
    weighed: &mut WeightedWindow,
    model: &ModelParts,
    ghosts: &[RetiredCentroid],
    space: &ScaledSpace<'_>,
) {
    let Some(last_ms) = ghosts.iter().map(|ghost| ghost.until_ms).max() else {
        return;
    };
    for index in 0..weighed.points.len() {
        let at_ms = weighed.at_ms[index];
        if at_ms > last_ms {
            continue;
        }
        let point = weighed.points.point(index);
        let haunted = ghosts
            .iter()
            .filter(|ghost| at_ms <= ghost.until_ms)
            .map(|ghost| space.squared(point, &ghost.centroid))
            .fold(f64::INFINITY, f64::min);
        let mut settled = model.segments.iter();
        if settled.all(|segment| space.squared(point, &segment.centroid) > haunted) {
            weighed.points.set_weight(index, 0.0);
        }
    }
}
