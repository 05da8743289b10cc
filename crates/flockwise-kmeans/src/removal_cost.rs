//! The cost of removing a centroid.

use crate::lloyd::Fit;
use crate::nearest::Nearest;
use crate::points::Points;

/// For each centroid, by how much at most the inertia would rise without it: its points would go to the next
/// nearest one. This is the utility of the enhanced LBG algorithm (Patanè and Russo 2001), which moves centroids
/// of low utility to where the distortion is high. Infinite for a single centroid with points.
#[must_use]
pub fn removal_costs(points: &Points, fit: &Fit) -> Vec<f64> {
    let nearest = Nearest::new(fit.centroids.view());
    let mut costs = vec![0.0; fit.k()];
    for ((point, weight), label) in points.iter().zip(&fit.labels) {
        if weight <= 0.0 {
            continue;
        }
        let own = nearest.squared_distance(point, *label);
        let next = nearest
            .nearest_but(point, *label)
            .map_or(f64::INFINITY, |hit| hit.squared);
        costs[*label] += weight * (next - own);
    }
    costs
}
