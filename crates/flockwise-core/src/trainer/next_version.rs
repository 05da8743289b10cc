//! The version after another one.

use flockwise_kmeans::Points;

use super::outlier_threshold::learn_outlier_thresholds;
use super::retired_centroids::mask_retired;
use super::scaled_space::{ScaledSpace, centroids};
use super::structure::{SampledCustomers, SegmentLimits, StructureLearner};
use super::window::{KEPT_HALF_LIVES, WeightedWindow};
use super::{Trainer, robust_moments};
use crate::lineage::Step;
use crate::segmentation::{RetiredCentroid, Scaler, Segment, Segmentation};

impl Trainer {
    /// Learns from the window, starting with the segments of the previous version. Returns the next segments, and
    /// the steps that lead to them. `None` if all samples of the window are near retired centroids.
    pub(super) fn next_segmentation(
        &self,
        before: &Segmentation,
        mut weighed: WeightedWindow,
    ) -> Option<(Segmentation, Vec<Step>)> {
        let retired = self.remembered_centroids(before);
        mask_retired(
            &mut weighed,
            &before.segments,
            &retired,
            &ScaledSpace::new(&self.plan, &before.scaler),
        );
        if weighed.points.weights().iter().all(|weight| *weight <= 0.0) {
            return None;
        }
        let scaler = robust_moments::scaler(&weighed.points, Some(&before.scaler));
        let space = ScaledSpace::new(&self.plan, &scaler);
        let (tamed, scaled) = space.prepared(&weighed.points);
        let sampled = SampledCustomers {
            points: scaled,
            customers: weighed.customers,
            at_ms: weighed.at_ms,
            old_ms: self.now_ms.saturating_sub(self.policy.half_life_ms),
        };
        let bounds = SegmentLimits::of(&self.policy);
        let mut learner = StructureLearner::new(sampled, bounds, before, &space);
        learner.organise();
        let points = (&weighed.points, &tamed);
        Some(self.organised(before, learner, scaler, points, retired))
    }

    /// The result of the learner, in the feature vector's units.
    fn organised(
        &self,
        before: &Segmentation,
        learner: StructureLearner,
        scaler: Scaler,
        (points, tamed): (&Points, &Points),
        mut retired_centroids: Vec<RetiredCentroid>,
    ) -> (Segmentation, Vec<Step>) {
        let space = ScaledSpace::new(&self.plan, &scaler);
        let weights = learner.weights();
        let learnt = centroids(tamed, &learner.fit, weights);
        let retired = learner.retired_centroids.iter();
        retired_centroids.extend(retired.map(|retired| RetiredCentroid {
            centroid: space.unscaled(&retired.centroid),
            until_ms: retired.until_ms,
        }));
        let segments = learner.ids.iter().zip(learnt);
        let segments = segments.map(|(id, (weight, centroid))| {
            let former = before.segments.iter().find(|former| former.id == *id);
            // A segment without customers stays where it was.
            let stays = former.filter(|_| weight <= 0.0);
            let centroid = stays.map_or(centroid, |former| former.centroid.clone());
            let known = former.cloned();
            Segment {
                weight,
                centroid,
                ..known.unwrap_or_else(|| Segment::new(*id, Vec::new()))
            }
        });
        let mut segments: Vec<Segment> = segments.collect();
        let labels = &learner.fit.labels;
        learn_outlier_thresholds(&mut segments, (points, weights), labels, &space);
        let segmentation = self.finished(Segmentation {
            scaler,
            segments,
            next_id: learner.next_id,
            retired_centroids,
        });
        (segmentation, learner.steps)
    }

    fn remembered_centroids(&self, before: &Segmentation) -> Vec<RetiredCentroid> {
        let reach_ms = self.policy.half_life_ms.saturating_mul(KEPT_HALF_LIVES);
        let bound_ms = self.now_ms.saturating_sub(reach_ms);
        let retired = before.retired_centroids.iter();
        retired
            .filter(|retired| retired.until_ms >= bound_ms)
            .cloned()
            .collect()
    }
}
