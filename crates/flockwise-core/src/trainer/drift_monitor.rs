//! Drift detection: compares the customers sampled since a version with those before.

use flockwise_kmeans::{Points, assign};

use super::Trainer;
use super::scaled_space::ScaledSpace;
use super::window::WeightedWindow;
use crate::drift::Shift;
use crate::policy::LOOKS_A_HALF_LIFE;
use crate::segmentation::Segmentation;

/// Minimum number of customers for a step.
const FEWEST: usize = 30;
/// While there is drift, what was learnt is forgotten this many times as fast.
const FASTER: i64 = 2;

impl Trainer {
    /// Checks the customers sampled since the last look. After a shift, the model learns faster for a half-life.
    pub(super) fn watch(
        &mut self,
        segmentation: &Segmentation,
        weighed: &WeightedWindow,
    ) -> Vec<Shift> {
        let mut fresh = Points::new(self.plan.len());
        for (index, at_ms) in weighed.at_ms.iter().enumerate() {
            if *at_ms > self.seen.until_ms && weighed.points.weight(index) > 0.0 {
                fresh.push(weighed.points.point(index), 1.0);
            }
        }
        if fresh.len() < FEWEST {
            return Vec::new();
        }
        let forgotten = 1.0 - (-1.0 / LOOKS_A_HALF_LIFE as f64).exp2();
        let numbers = self.numbers(segmentation, &fresh);
        let shifts = self.seen.drift.look(&numbers, forgotten);
        self.seen.until_ms = self.now_ms;
        if !shifts.is_empty() {
            let until_ms = self.now_ms.saturating_add(self.policy.half_life_ms);
            self.seen.drift.fast_until_ms = Some(until_ms);
        }
        shifts
    }

    /// The quantisation error and the means of the features, in the scaled space of the segments.
    fn numbers(&self, segmentation: &Segmentation, fresh: &Points) -> Vec<f64> {
        let space = ScaledSpace::new(&self.plan, &segmentation.scaler);
        let (_, scaled) = space.prepared(fresh);
        let centroids = space.centroids(&segmentation.segments);
        let error = assign(&scaled, centroids).inertia / fresh.len() as f64;
        let everybody: Vec<usize> = (0..scaled.len()).collect();
        [vec![error], scaled.mean(&everybody).to_vec()].concat()
    }

    /// The half-life in effect, milliseconds.
    pub(super) fn half_life_ms(&self) -> i64 {
        let drift = &self.seen.drift;
        let is_fast = drift
            .fast_until_ms
            .is_some_and(|until_ms| self.now_ms < until_ms);
        if is_fast {
            (self.policy.half_life_ms / FASTER).max(1)
        } else {
            self.policy.half_life_ms
        }
    }
}
