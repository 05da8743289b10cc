//! How well a clustering separates the points; used to choose the number of centroids.

use crate::lloyd::Fit;
use crate::nearest::Nearest;
use crate::points::Points;

/// The simplified silhouette (Hruschka, de Castro and Campello 2004): the weighted mean of `(b - a) / max(a, b)`
/// over the points, where `a` is the distance to the point's own centroid and `b` the distance to the nearest
/// other one. From -1 to 1; 0 for a single centroid.
#[must_use]
pub fn simplified_silhouette(points: &Points, fit: &Fit) -> f64 {
    let total: f64 = points.weights().iter().sum();
    if fit.k() < 2 || total <= 0.0 {
        return 0.0;
    }
    let nearest = Nearest::new(fit.centroids.view());
    let sum: f64 = points
        .iter()
        .zip(&fit.labels)
        .map(|((point, weight), label)| weight * silhouette(&nearest, point, *label))
        .sum();
    sum / total
}

fn silhouette(nearest: &Nearest, point: &[f64], label: usize) -> f64 {
    let own = nearest.squared_distance(point, label).sqrt();
    let other = nearest
        .nearest_but(point, label)
        .map_or(own, |hit| hit.squared.sqrt());
    // Separate cases, so that neither 0 / 0 nor ∞ / ∞ occurs.
    if own < other {
        1.0 - own / other
    } else if other < own {
        other / own - 1.0
    } else {
        0.0
    }
}
