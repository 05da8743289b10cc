//! The inertia that is given up because some customers are not in the nearest segment.

use flockwise_core::model::Model;
use flockwise_kmeans::Scratch;

/// Sums over many scorings of the squared distance to the customer's segment and to the nearest one.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp {
    own: f64,
    nearest: f64,
    scaled: Vec<f64>,
    scratch: Scratch,
}

impl GivenUp {
    /// Adds a scoring with weight `stands_for`. `segment` is the customer's segment after it.
    pub(crate) fn add(&mut self, model: &Model, vector: &[f64], segment: u32, stands_for: f64) {
        let segmentation = model.segmentation();
        let Some(index) = segmentation.index_of(segment) else {
            return;
        };
        segmentation.scaled(vector, &mut self.scaled);
        let nearest = segmentation
            .nearest()
            .nearest(&self.scaled, &mut self.scratch);
        self.nearest += stands_for * nearest.squared;
        self.own += stands_for * segmentation.nearest().squared_distance(&self.scaled, index);
    }

    /// The share by which inertia is higher than with the nearest segments.
    pub(crate) fn share(&self) -> f64 {
        self.own / self.nearest - 1.0
    }
}
