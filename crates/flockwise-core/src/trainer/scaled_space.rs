//! Conversion between the feature vector's units and the scaled space, in which distances are taken.

use std::iter::zip;

use flockwise_kmeans::{Fit, Points};
use ndarray::{Array1, Array2, aview1};

use crate::plan::Plan;
use crate::segmentation::{Scaler, Segment, scaled_centroids};

/// The scaled space of a plan's vectors under a scaler.
pub(super) struct ScaledSpace<'s> {
    pub(super) scaler: &'s Scaler,
    pub(super) scale: Array1<f64>,
}

impl<'s> ScaledSpace<'s> {
    pub(super) fn new(plan: &Plan, scaler: &'s Scaler) -> Self {
        let scale = |index| scaler.scale(index, plan.feature(index).weight);
        Self {
            scaler,
            scale: (0..plan.len()).map(scale).collect(),
        }
    }

    /// The vectors winsorised, and these scaled.
    pub(super) fn prepared(&self, points: &Points) -> (Points, Points) {
        let mut tamed = points.values().to_owned();
        for ((_, column), x) in tamed.indexed_iter_mut() {
            *x = self.scaler.winsorise(column, *x);
        }
        let scaled = &tamed * &self.scale;
        let weights = points.weights();
        (
            Points::with_weights(tamed, weights.to_vec()),
            Points::with_weights(scaled, weights.to_vec()),
        )
    }

    /// The scaled centroids, one row for each segment.
    pub(super) fn centroids(&self, segments: &[Segment]) -> Array2<f64> {
        scaled_centroids(segments, self.scale.view())
    }

    /// Converts a scaled point to the feature vector's units. A constant feature gets the mean of all customers.
    pub(super) fn unscaled(&self, point: &[f64]) -> Vec<f64> {
        let columns = point.iter().zip(&self.scale).zip(&self.scaler.means);
        columns
            .map(|((x, scale), mean)| if *scale > 0.0 { x / scale } else { *mean })
            .collect()
    }

    /// Squared distance of two feature vectors in the scaled space.
    pub(super) fn squared(&self, left: &[f64], right: &[f64]) -> f64 {
        let columns = left.iter().zip(right).zip(&self.scale);
        columns
            .map(|((left, right), scale)| ((left - right) * scale).powi(2))
            .sum()
    }
}

/// Weight and weighted mean of the points of each label.
pub(super) fn centroids(
    points: &Points,
    fit: &Fit,
    weights: &[f64],
) -> impl Iterator<Item = (f64, Vec<f64>)> {
    let mut totals = vec![0.0; fit.k()];
    let mut means = Array2::<f64>::zeros(fit.centroids.dim());
    for (((point, _), label), weight) in zip(zip(points.iter(), &fit.labels), weights) {
        totals[*label] += weight;
        means.row_mut(*label).scaled_add(*weight, &aview1(point));
    }
    for (mut mean, total) in zip(means.rows_mut(), &totals) {
        if *total > 0.0 {
            mean /= *total;
        }
    }
    let means: Vec<Vec<f64>> = means.rows().into_iter().map(|mean| mean.to_vec()).collect();
    zip(totals, means)
}
