//! Conversion between the feature vector's units and the scaled space, in which distances are taken.

use flockwise_kmeans::{Fit, Points};

use crate::model::Scaler;
use crate::plan::Plan;

/// The scaled space of a plan's vectors under a scaler.
pub(super) struct ScaledSpace<'s> {
    pub(super) scaler: &'s Scaler,
    pub(super) scale: Vec<f64>,
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
        let dimensions = points.dimensions();
        let (mut tamed, mut scaled) = (Points::new(dimensions), Points::new(dimensions));
        let mut row = Vec::with_capacity(dimensions);
        for (point, weight) in points.iter() {
            row.clear();
            let columns = point.iter().enumerate();
            row.extend(columns.map(|(index, x)| self.scaler.winsorise(index, *x)));
            tamed.push(&row, weight);
            let columns = row.iter_mut().zip(&self.scale);
            columns.for_each(|(x, scale)| *x *= scale);
            scaled.push(&row, weight);
        }
        (tamed, scaled)
    }

    pub(super) fn scaled(&self, vector: &[f64]) -> Vec<f64> {
        let columns = vector.iter().zip(&self.scale);
        columns.map(|(x, scale)| x * scale).collect()
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
pub(super) fn centroids(points: &Points, fit: &Fit, weights: &[f64]) -> Vec<(f64, Vec<f64>)> {
    let mut found = vec![(0.0, vec![0.0; points.dimensions()]); fit.k()];
    for ((index, label), weight) in fit.labels.iter().enumerate().zip(weights) {
        let (total, sums) = &mut found[*label];
        *total += weight;
        let columns = sums.iter_mut().zip(points.point(index));
        columns.for_each(|(sum, x)| *sum += weight * x);
    }
    for (total, sums) in found.iter_mut().filter(|(total, _)| *total > 0.0) {
        sums.iter_mut().for_each(|sum| *sum /= *total);
    }
    found
}
