//! What a centroid is worth, and what one more would be worth elsewhere.

use crate::lloyd::Fit;
use crate::nearest::Nearest;
use crate::points::Points;

/// By how much the inertia would rise, at most, without each centroid: its points would go to the next
/// nearest. In the words of the enhanced LBG algorithm (Patanè and Russo 2001), a centroid of low utility is
/// to move to where distortion is high. Endless for a single centroid with points.
#[must_use]
pub fn removal_costs(points: &Points, fit: &Fit) -> Vec<f64> {
    let nearest = Nearest::new(&fit.centroids, points.dimensions());
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
