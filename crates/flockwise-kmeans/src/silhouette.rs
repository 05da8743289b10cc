//! How well a clustering separates, for choosing the number of centroids.

use crate::lloyd::Fit;
use crate::nearest::Nearest;
use crate::points::Points;

/// Weighted mean over the points of `(b - a) / max(a, b)`, `a` being the distance to the own centroid and
/// `b` that to the nearest other one: the simplified silhouette (Hruschka, de Castro and Campello 2004).
/// From -1 to 1; 0 for a single centroid.
#[must_use]
pub fn simplified_silhouette(points: &Points, fit: &Fit) -> f64 {
    let total: f64 = points.iter().map(|(_, weight)| weight).sum();
    if fit.k() < 2 || total <= 0.0 {
        return 0.0;
    }
    let nearest = Nearest::new(&fit.centroids, points.dimensions());
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
    // Apart, so that neither 0 / 0 nor ∞ / ∞ comes up.
    if own < other {
        1.0 - own / other
    } else if other < own {
        other / own - 1.0
    } else {
        0.0
    }
}
