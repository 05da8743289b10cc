//! Lloyd's iterations on a weighted sample.

use crate::nearest::{Nearest, Scratch};
use crate::points::{Points, add_scaled};

/// Maximum number of iterations; the tolerance usually stops much earlier.
const ITERATIONS: usize = 100;
/// Iteration stops once it gains less than this share of the inertia.
const TOLERANCE: f64 = 1e-5;

/// A clustering of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// `k` × `d`, row by row.
    pub centroids: Vec<f64>,
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

    /// The `d` coordinates of one centroid.
    #[must_use]
    pub fn centroid(&self, index: usize) -> &[f64] {
        let dimensions = self.centroids.len() / self.weights.len();
        &self.centroids[index * dimensions..][..dimensions]
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
pub fn lloyd(points: &Points, centroids: Vec<f64>) -> Fit {
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
pub fn assign(points: &Points, centroids: Vec<f64>) -> Fit {
    let nearest = Nearest::new(&centroids, points.dimensions());
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

fn means(points: &Points, fit: &Fit) -> Vec<f64> {
    let dimensions = points.dimensions();
    let mut sums = vec![0.0; fit.centroids.len()];
    for ((point, weight), label) in points.iter().zip(&fit.labels) {
        add_scaled(&mut sums[label * dimensions..][..dimensions], point, weight);
    }
    for (index, weight) in fit.weights.iter().enumerate() {
        let sum = &mut sums[index * dimensions..][..dimensions];
        if *weight > 0.0 {
            sum.iter_mut().for_each(|x| *x /= weight);
        } else {
            sum.copy_from_slice(fit.centroid(index));
        }
    }
    sums
}
