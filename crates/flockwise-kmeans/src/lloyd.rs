//! Lloyd's iterations on a weighted sample.

use ndarray::{Array2, aview1};

use crate::nearest::{Nearest, Scratch};
use crate::points::Points;

/// Maximum number of iterations; the tolerance usually stops much earlier.
const ITERATIONS: usize = 100;
/// Iteration stops once it gains less than this share of the inertia.
const TOLERANCE: f64 = 1e-5;

/// A clustering of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// `k` × `d`.
    pub centroids: Array2<f64>,
    /// The nearest centroid of each point.
    pub labels: Vec<usize>,
    /// Total weight of the points of each centroid, `k` numbers.
    pub weights: Vec<f64>,
    /// Sum of weight times squared distance to the nearest centroid.
    pub inertia: f64,
}

impl Fit {
    /// Number of centroids.
    #[must_use]
    pub fn k(&self) -> usize {
        self.weights.len()
    }

    /// The indices of each centroid's points, ascending.
    #[must_use]
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.k()];
        for (point, label) in self.labels.iter().enumerate() {
            members[*label].push(point);
        }
        members
    }
}

/// Moves centroids (`k` × `d`, at least one) to the means of the points nearest to them until the inertia hardly
/// falls (Lloyd 1982). A centroid without points stays where it is.
#[must_use]
pub fn lloyd(points: &Points, centroids: Array2<f64>) -> Fit {
    let mut fit = assign(points, centroids);
    for _ in 0..ITERATIONS {
        let next = assign(points, means(points, &fit));
        if next.inertia > fit.inertia {
            // Only rounding raises it.
            break;
        }
        let is_settled = fit.inertia - next.inertia <= TOLERANCE * fit.inertia;
        fit = next;
        if is_settled {
            break;
        }
    }
    fit
}

/// Assigns each point to the nearest of the given centroids (`k` × `d`, at least one), which do not move.
#[must_use]
pub fn assign(points: &Points, centroids: Array2<f64>) -> Fit {
    let nearest = Nearest::new(centroids.view());
    let mut scratch = Scratch::default();
    let mut weights = vec![0.0; nearest.len()];
    let mut inertia = 0.0;
    let labels = points
        .iter()
        .map(|(point, weight)| {
            let hit = nearest.nearest(point, &mut scratch);
            inertia += weight * hit.squared;
            weights[hit.centroid] += weight;
            hit.centroid
        })
        .collect();
    Fit {
        centroids,
        labels,
        weights,
        inertia,
    }
}

fn means(points: &Points, fit: &Fit) -> Array2<f64> {
    let mut means = Array2::zeros(fit.centroids.dim());
    for ((point, weight), label) in points.iter().zip(&fit.labels) {
        means.row_mut(*label).scaled_add(weight, &aview1(point));
    }
    for (index, weight) in fit.weights.iter().enumerate() {
        let mut mean = means.row_mut(index);
        if *weight > 0.0 {
            mean /= *weight;
        } else {
            mean.assign(&fit.centroids.row(index));
        }
    }
    means
}
