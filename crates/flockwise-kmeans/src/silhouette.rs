//! How well a clustering separates, for choosing the number of centroids.

use ndarray::ArrayView2;

use crate::nearest::Nearest;
use crate::seeding::Fit;

/// Mean over the points of `(b - a) / max(a, b)`, `a` being the distance to the own centroid and `b`
/// that to the nearest other one: the simplified silhouette (Hruschka, de Castro and Campello 2004).
/// From -1 to 1; 0 for a single centroid.
#[must_use]
pub fn simplified_silhouette(points: ArrayView2<'_, f64>, fit: &Fit) -> f64 {
    if fit.centroids.nrows() < 2 || points.nrows() == 0 {
        return 0.0;
    }
    let rows: Vec<f64> = fit.centroids.iter().copied().collect();
    let nearest = Nearest::new(&rows, points.ncols());
    let total: f64 = points
        .rows()
        .into_iter()
        .zip(&fit.labels)
        .map(|(point, label)| {
            let point: Vec<f64> = point.iter().copied().collect();
            let own = nearest.squared_distance(&point, *label).sqrt();
            let other = nearest
                .nearest_but(&point, *label)
                .map_or(own, |hit| hit.squared.sqrt());
            if other > 0.0 {
                (other - own) / other.max(own)
            } else {
                0.0
            }
        })
        .sum();
    total / points.nrows() as f64
}
