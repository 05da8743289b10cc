//! What it costs that not everybody is in the nearest segment.

use flockwise_core::model::Model;
use flockwise_kmeans::Scratch;

/// Squared distances to the segments that customers are in, and to the nearest ones, over many scorings.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp {
    own: f64,
    nearest: f64,
    scaled: Vec<f64>,
    scratch: Scratch,
}

impl GivenUp {
    /// A scoring, which stands for so many: where the customer is after it.
    pub(crate) fn add(&mut self, model: &Model, vector: &[f64], segment: u32, stands_for: f64) {
        let Some(index) = model.index_of(segment) else {
            return;
        };
        model.scaled(vector, &mut self.scaled);
        let nearest = model.nearest().nearest(&self.scaled, &mut self.scratch);
        self.nearest += stands_for * nearest.squared;
        self.own += stands_for * model.nearest().squared_distance(&self.scaled, index);
    }

    /// By what share inertia is higher than it could be.
    pub(crate) fn share(&self) -> f64 {
        self.own / self.nearest - 1.0
    }
}
