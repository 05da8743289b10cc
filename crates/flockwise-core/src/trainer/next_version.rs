//! The version after another one.

use flockwise_kmeans::Points;

use super::outlier_threshold::learn_outlier_thresholds;
use super::retired_centroids::mask_retired;
use super::scaled_space::{ScaledSpace, centroids};
use super::structure::{SampledCustomers, SegmentLimits, StructureLearner};
use super::window::{KEPT_HALF_LIVES, WeightedWindow};
use super::{Trainer, moments};
use crate::model::{ModelParts, RetiredCentroid, Scaler, Segment};

impl Trainer {
    /// Learns from the window, starting with the previous version. `None` if all samples of the window are near
    /// retired centroids.
    pub(super) fn next_model(
        &self,
        model: &ModelParts,
        mut weighed: WeightedWindow,
    ) -> Option<ModelParts> {
        let ghosts = self.remembered_ghosts(model);
        mask_retired(
            &mut weighed,
            model,
            &ghosts,
            &ScaledSpace::new(&self.plan, &model.scaler),
        );
        if weighed.points.weights().iter().all(|weight| *weight <= 0.0) {
            return None;
        }
        let scaler = moments::scaler(&weighed.points, Some(&model.scaler));
        let space = ScaledSpace::new(&self.plan, &scaler);
        let (tamed, scaled) = space.prepared(&weighed.points);
        let sampled = SampledCustomers {
            points: scaled,
            customers: weighed.customers,
            at_ms: weighed.at_ms,
            old_ms: self.now_ms.saturating_sub(self.policy.half_life_ms),
        };
        let bounds = SegmentLimits::of(&self.policy);
        let mut learner = StructureLearner::new(sampled, bounds, model, &space);
        learner.organise();
        let points = (&weighed.points, &tamed);
        Some(self.organised(model, learner, scaler, points, ghosts))
    }

    /// The result of the learner, in the feature vector's units.
    fn organised(
        &self,
        model: &ModelParts,
        learner: StructureLearner,
        scaler: Scaler,
        (points, tamed): (&Points, &Points),
        mut ghosts: Vec<RetiredCentroid>,
    ) -> ModelParts {
        let space = ScaledSpace::new(&self.plan, &scaler);
        let weights = learner.weights();
        let learnt = centroids(tamed, &learner.fit, weights);
        ghosts.extend(learner.ghosts.iter().map(|ghost| RetiredCentroid {
            centroid: space.unscaled(&ghost.centroid),
            until_ms: ghost.until_ms,
        }));
        let segments = learner.ids.iter().zip(learnt);
        let segments = segments.map(|(id, (weight, centroid))| {
            let former = model.segments.iter().find(|former| former.id == *id);
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
        self.finished(ModelParts {
            version: model.version + 1,
            trained_ms: self.now_ms,
            features: model.features.clone(),
            segments,
            next_id: learner.next_id,
            lineage: learner.steps,
            ghosts,
            scaler,
            drift: model.drift.clone(),
        })
    }

    fn remembered_ghosts(&self, model: &ModelParts) -> Vec<RetiredCentroid> {
        let reach_ms = self.policy.half_life_ms.saturating_mul(KEPT_HALF_LIVES);
        let bound_ms = self.now_ms.saturating_sub(reach_ms);
        let ghosts = model.ghosts.iter();
        ghosts
            .filter(|ghost| ghost.until_ms >= bound_ms)
            .cloned()
            .collect()
    }
}
