//! The values that customers have. A counterfactual never goes beyond them.

use crate::segmentation::SegmentScorer;

/// The lowest and the highest value of each feature among customers, in the feature vector's units.
///
/// A value further than five standard deviations from the mean counts as one that far away, as it does in
/// learning.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    bounds: Vec<(f64, f64)>,
}

impl Ranges {
    /// The ranges that the centroids span: all that is known without customers.
    #[must_use]
    pub fn of(segmentation: &SegmentScorer) -> Self {
        let features = segmentation.scale().len();
        let mut ranges = Self {
            bounds: vec![(f64::INFINITY, f64::NEG_INFINITY); features],
        };
        for segment in segmentation.segments() {
            ranges.include(segmentation, &segment.centroid);
        }
        ranges
    }

    /// Extends the ranges to a customer's feature vector.
    pub fn include(&mut self, segmentation: &SegmentScorer, vector: &[f64]) {
        let scaler = segmentation.scaler();
        for (index, (bounds, x)) in self.bounds.iter_mut().zip(vector).enumerate() {
            let x = scaler.winsorise(index, *x);
            *bounds = (bounds.0.min(x), bounds.1.max(x));
        }
    }

    /// The lowest and the highest value of a feature, by its index, in the feature vector's units.
    #[must_use]
    pub fn bounds(&self, feature: usize) -> (f64, f64) {
        self.bounds[feature]
    }
}
