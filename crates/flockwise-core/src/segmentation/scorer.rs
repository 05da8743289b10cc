//! Applies a segmentation to one customer: which segment is the nearest, and how far it is.

use std::sync::Arc;

use flockwise_kmeans::{Nearest, Scratch};
use ndarray::{Array2, ArrayView1, aview1};

use super::scaler::Scaler;
use super::segment::{Segment, Segmentation, SegmentationError};
use crate::plan::Plan;

/// A segmentation prepared for scoring with a plan.
#[derive(Clone, Debug)]
pub struct SegmentScorer {
    segmentation: Arc<Segmentation>,
    /// Factor of each dimension: weight / standard deviation.
    scale: Vec<f64>,
    variance: f64,
    nearest: Nearest,
}

impl SegmentScorer {
    /// Prepares a segmentation for a plan.
    ///
    /// # Errors
    /// If it does not fit the plan.
    pub fn new(
        plan: &Plan,
        mut segmentation: Arc<Segmentation>,
    ) -> Result<Self, SegmentationError> {
        if !segmentation.segments.is_sorted_by_key(|segment| segment.id) {
            let segments = &mut Arc::make_mut(&mut segmentation).segments;
            segments.sort_by_key(|segment| segment.id);
        }
        segmentation.check(plan.len())?;
        let scaler = &segmentation.scaler;
        let scale: Vec<f64> = (0..plan.len())
            .map(|index| scaler.scale(index, plan.feature(index).weight))
            .collect();
        let centroids = scaled_centroids(&segmentation.segments, aview1(&scale));
        let spread = scale.iter().zip(&scaler.variances);
        Ok(Self {
            variance: spread
                .map(|(scale, variance)| scale * scale * variance)
                .sum(),
            nearest: Nearest::new(centroids.view()),
            segmentation,
            scale,
        })
    }

    /// The segmentation in the form in which it is stored.
    #[must_use]
    pub fn segmentation(&self) -> &Arc<Segmentation> {
        &self.segmentation
    }

    /// Segments, ascending by id. An index here is also the index of the centroid.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segmentation.segments
    }

    /// Means and variances over customers.
    #[must_use]
    pub fn scaler(&self) -> &Scaler {
        &self.segmentation.scaler
    }

    /// The index of the segment with an id; `None` if there is none.
    #[must_use]
    pub fn index_of(&self, id: u32) -> Option<usize> {
        self.segments()
            .binary_search_by_key(&id, |segment| segment.id)
            .ok()
    }

    /// Factor of each dimension before distances are taken: weight / standard deviation, and 0 for a constant
    /// feature.
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// The variance of all customers in the scaled space: the sum of the squared weights of all features that are
    /// not constant.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// What a feature of value `x` adds to the difference of the squared distances to two points; above zero if it
    /// is nearer to `to`. All values are in the feature vector's units.
    #[must_use]
    pub fn pull(&self, feature: usize, x: f64, from: f64, to: f64) -> f64 {
        let squared = |point: f64| ((x - point) * self.scale[feature]).powi(2);
        squared(from) - squared(to)
    }

    /// Scales a feature vector into the space in which distances are taken.
    pub fn scaled(&self, vector: &[f64], into: &mut Vec<f64>) {
        into.clear();
        into.extend(vector.iter().zip(&self.scale).map(|(x, scale)| x * scale));
    }

    /// The search for the nearest centroid in the scaled space.
    #[must_use]
    pub fn nearest(&self) -> &Nearest {
        &self.nearest
    }

    /// The index of the centroid nearest to a scaled point, and the distance.
    #[must_use]
    pub fn score(&self, scaled: &[f64], scratch: &mut Scratch) -> (usize, f64) {
        let hit = self.nearest.nearest(scaled, scratch);
        (hit.centroid, hit.squared.sqrt())
    }

    /// Whether a scaled point is an outlier: beyond the outlier threshold of every segment. `distance` is its
    /// distance to the centroid of index `index`.
    #[must_use]
    pub fn is_outlier(&self, scaled: &[f64], index: usize, distance: f64) -> bool {
        self.is_beyond(index, distance) && self.is_beyond_all(scaled)
    }

    fn is_beyond(&self, index: usize, distance: f64) -> bool {
        let threshold = self.segments()[index].outlier_threshold;
        threshold.is_some_and(|threshold| distance > threshold)
    }

    #[cold]
    fn is_beyond_all(&self, scaled: &[f64]) -> bool {
        let distance = |index| self.nearest.squared_distance(scaled, index).sqrt();
        (0..self.nearest.len()).all(|index| self.is_beyond(index, distance(index)))
    }
}

/// The centroids of `segments`, one row for each, multiplied by the factor of each dimension.
pub(crate) fn scaled_centroids(segments: &[Segment], scale: ArrayView1<'_, f64>) -> Array2<f64> {
    let unscaled = |(row, column): (usize, usize)| segments[row].centroid[column];
    Array2::from_shape_fn((segments.len(), scale.len()), unscaled) * scale
}

/// By what share a distance is below another one: 1 - d / other; 0 if both are 0.
pub(crate) fn share_nearer(distance: f64, other: f64) -> f64 {
    if other > 0.0 {
        1.0 - distance / other
    } else {
        0.0
    }
}
