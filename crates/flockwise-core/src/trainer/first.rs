//! The first version.

use flockwise_kmeans::{Fit, Points, fit, simplified_silhouette};

use super::space::{Space, centroids};
use super::{FITTED, Trainer, moments};
use crate::lineage::Step;
use crate::model::{ModelParts, Segment};

/// Runs of k-means; the best is kept.
const RESTARTS: usize = 10;
/// Runs for each number of segments while that is being chosen, on so many customers.
const TRIALS: usize = 2;
const TRIED_ON: usize = 2_000;
/// Numbers of segments that are tried, at most: segments split and merge later on.
const TRIED: usize = 16;

impl Trainer {
    /// Made from each customer once.
    pub(super) fn first_model(&self) -> ModelParts {
        let points = self.window.each_once(FITTED);
        let scaler = moments::scaler(&points, None);
        let space = Space::new(&self.plan, &scaler);
        let (tamed, scaled) = space.prepared(&points);
        let fit = self.cluster(&scaled);
        let weights: Vec<f64> = points.iter().map(|(_, weight)| weight).collect();
        let found = centroids(&tamed, &fit, &weights).into_iter();
        let segments: Vec<Segment> = found
            .filter(|(weight, _)| *weight > 0.0)
            .zip(1..)
            .map(|((weight, centroid), id)| Segment {
                weight,
                ..Segment::new(id, centroid)
            })
            .collect();
        let born = |segment: &Segment| Step::Born {
            segment: segment.id,
        };
        let features = self.plan.feature_names().map(str::to_owned).collect();
        self.finished(ModelParts {
            trained_ms: self.now_ms,
            lineage: segments.iter().map(born).collect(),
            ..ModelParts::by_hand(features, scaler, segments)
        })
    }

    /// The best k within bounds: by the simplified silhouette where there is a choice.
    fn cluster(&self, points: &Points) -> Fit {
        let (fewest, most) = (self.policy.k_min, self.policy.k_max);
        let some: Vec<usize> = (0..points.len().min(TRIED_ON)).collect();
        let some = points.of(&some);
        let silhouette = |k| {
            let tried = fit(&some, k, TRIALS, self.policy.seed);
            simplified_silhouette(&some, &tried)
        };
        let best = match fewest == most {
            true => Some((0.0, fewest)),
            false => tried(fewest, most)
                .map(|k| (silhouette(k), k))
                .max_by(|left, right| left.0.total_cmp(&right.0)),
        };
        let k = best.map_or(most, |(_, k)| k);
        fit(points, k, RESTARTS, self.policy.seed)
    }
}

/// All numbers within bounds where they are few, else some in equal proportions.
fn tried(fewest: usize, most: usize) -> impl Iterator<Item = usize> {
    let steps = (most - fewest).min(TRIED - 1);
    let proportion = most as f64 / fewest as f64;
    let at = move |step: usize| match most - fewest < TRIED {
        true => fewest + step,
        false => {
            let part = step as f64 / steps as f64;
            (fewest as f64 * proportion.powf(part)).round() as usize
        }
    };
    (0..=steps).map(at)
}
