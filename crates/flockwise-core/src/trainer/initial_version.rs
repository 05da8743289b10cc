//! The first version, and what it waits for.

use flockwise_kmeans::{Fit, Points, fit, simplified_silhouette};

use super::outlier_threshold::learn_outlier_thresholds;
use super::scaled_space::{ScaledSpace, centroids};
use super::structure::{SampledCustomers, SegmentLimits, StructureLearner, fewest};
use super::warm_up::WarmUp;
use super::{FITTED, Trainer, robust_moments};
use crate::lineage::Step;
use crate::policy::LearningPolicy;
use crate::segmentation::{Segment, Segmentation};

/// Number of runs of k-means. The best one is used.
const RESTARTS: usize = 10;
/// Runs for each number of segments while that number is chosen, on `TRIED_ON` customers.
const TRIALS: usize = 2;
const TRIED_ON: usize = 2_000;
/// Maximum number of numbers of segments to try: segments split and merge later on.
const TRIED: usize = 16;
/// Maximum number of rounds, both for removing the weight of customers in segments with too few, and for splits
/// and merges.
const ROUNDS: usize = 8;

impl Trainer {
    /// What the first version waits for, and how much of it is there.
    #[must_use]
    pub fn warm_up(&self) -> WarmUp {
        let first_ms = self.first_ms.unwrap_or(self.now_ms);
        WarmUp {
            customers: self.window.customers(),
            customers_wanted: self.policy.warm_up_customers.clamp(1, FITTED),
            span_ms: self.now_ms.saturating_sub(first_ms),
            span_wanted_ms: self.policy.warm_up_ms,
        }
    }

    /// [`Trainer::warm_up`]; `None` once there is a version, or if the trainer does not learn.
    #[must_use]
    pub fn pending_warm_up(&self) -> Option<WarmUp> {
        let is_pending = self.policy.learn && self.latest().is_none();
        is_pending.then(|| self.warm_up())
    }

    /// The segments of the first version, all of them born in it. Each customer counts once.
    pub(super) fn first_segmentation(&self) -> (Segmentation, Vec<Step>) {
        let points = self.window.each_once(FITTED);
        let scaler = robust_moments::scaler(&points, None);
        let space = ScaledSpace::new(&self.plan, &scaler);
        let (tamed, scaled) = space.prepared(&points);
        let (fit, weights) = self.cluster(scaled);
        let found = centroids(&tamed, &fit, &weights);
        let segment = |(weight, centroid)| Segment {
            weight,
            ..Segment::new(0, centroid)
        };
        let mut segments: Vec<Segment> = found.map(segment).collect();
        learn_outlier_thresholds(&mut segments, (&points, &weights), &fit.labels, &space);
        segments.retain(|segment| segment.weight > 0.0);
        let numbered = segments.iter_mut().zip(1..);
        numbered.for_each(|(segment, id)| segment.id = id);
        let born = |segment: &Segment| Step::Born {
            segment: segment.id,
        };
        let lineage = segments.iter().map(born).collect();
        let segmentation = Segmentation::new(scaler, segments);
        (self.finished(segmentation), lineage)
    }

    /// The clustering with the best k within bounds, by the simplified silhouette if there is a choice, and the
    /// weight of each point in it.
    fn cluster(&self, mut points: Points) -> (Fit, Vec<f64>) {
        let LearningPolicy {
            k_min, k_max, seed, ..
        } = self.policy;
        if k_min == k_max {
            let fit = fit_many(&mut points, k_min, RESTARTS, seed);
            return (fit, points.weights().to_vec());
        }
        let some: Vec<usize> = (0..points.len().min(TRIED_ON)).collect();
        let some = points.of(&some);
        let silhouette = |k| {
            let mut some = some.clone();
            let tried = fit_many(&mut some, k, TRIALS, seed);
            simplified_silhouette(&some, &tried)
        };
        let best = tried(k_min, k_max)
            .map(|k| (silhouette(k), k))
            .max_by(|left, right| left.0.total_cmp(&right.0));
        let k = best.map_or(k_max, |(_, k)| k);
        let fit = fit_many(&mut points, k, RESTARTS, seed);
        self.refined(points, fit)
    }

    /// Splits and merges the segments as later versions would.
    fn refined(&self, points: Points, fit: Fit) -> (Fit, Vec<f64>) {
        let sampled = SampledCustomers {
            customers: (0..points.len() as u64).collect(),
            at_ms: vec![self.now_ms; points.len()],
            old_ms: self.now_ms,
            points,
        };
        let mut learner = StructureLearner::first(sampled, SegmentLimits::of(&self.policy), fit);
        learner.refine(ROUNDS);
        let weights = learner.weights().to_vec();
        (learner.fit, weights)
    }
}

/// The best k-means in which each segment has as many customers as it needs. Otherwise a customer far from all
/// others would be a segment. Such customers lose their weight, as long as enough others have one.
fn fit_many(points: &mut Points, k: usize, restarts: usize, seed: u64) -> Fit {
    let fewest = fewest(points.dimensions());
    let mut found = fit(points, k, restarts, seed);
    for _ in 0..ROUNDS {
        let few = of_few(points, &found, fewest);
        let heard = points.iter().filter(|(_, weight)| *weight > 0.0).count();
        if few.is_empty() || heard < few.len() + k * fewest {
            break;
        }
        few.iter().for_each(|index| points.set_weight(*index, 0.0));
        found = fit(points, k, restarts, seed);
    }
    found
}

/// The points with weight whose segment has fewer than `fewest` of them.
fn of_few(points: &Points, fit: &Fit, fewest: usize) -> Vec<usize> {
    let mut members = fit.members();
    for members in &mut members {
        members.retain(|member| points.weight(*member) > 0.0);
    }
    members.retain(|members| members.len() < fewest);
    members.concat()
}

/// All numbers within bounds if they are few; otherwise some of them in equal proportions.
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
