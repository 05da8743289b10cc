//! Plans, policies and samples to learn from.

use std::sync::Arc;

use flockwise_core::event::{hash, mix};
use flockwise_core::feature::Feature;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::trainer::{MiniBatch, Trainer};

pub(crate) const DAY_MS: i64 = 86_400_000;

pub(crate) fn plan(features: usize) -> Arc<Plan> {
    let feature = |index: usize| Feature::count(format!("f{index}"));
    let features: Vec<Feature> = (0..features).map(feature).collect();
    Arc::new(Plan::compile(&features))
}

/// Learns from any sample at once; the half-life is ten days.
pub(crate) fn policy(k_min: usize, k_max: usize) -> LearningPolicy {
    LearningPolicy {
        k_min,
        k_max,
        half_life_ms: 10 * DAY_MS,
        warm_up_customers: 1,
        warm_up_ms: 0,
        churn_budget: 1.0,
        learn: true,
        seed: 7,
    }
}

pub(crate) fn trainer(features: usize, policy: LearningPolicy) -> Trainer {
    Trainer::new(plan(features), policy, None)
}

pub(crate) fn sample(at_ms: i64, vectors: &[Vec<f64>]) -> MiniBatch {
    let customers = vectors.iter().enumerate();
    let customers = customers.map(|(index, vector)| (hash(&index.to_le_bytes()), vector.clone()));
    MiniBatch {
        at_ms,
        sample: customers.collect(),
    }
}

/// The same vectors, for customers of another task.
pub(crate) fn of_task(task: usize, mut batch: MiniBatch) -> MiniBatch {
    for (customer, _) in &mut batch.sample {
        *customer = mix(*customer ^ mix(task as u64 + 1));
    }
    batch
}

/// Learning, reduced to the model.
pub(crate) trait Learns {
    /// Like [`Trainer::fold`], without the impact.
    fn learn(&mut self, batch: MiniBatch, offset: i64) -> Option<ModelVersion>;
}

impl Learns for Trainer {
    fn learn(&mut self, batch: MiniBatch, offset: i64) -> Option<ModelVersion> {
        let publication = self.fold(batch, offset)?;
        assert!(!publication.is_held, "nothing is held without a budget");
        Some(publication.model)
    }
}

/// The first version of a sample.
pub(crate) fn learnt(
    features: usize,
    policy: LearningPolicy,
    vectors: &[Vec<f64>],
) -> ModelVersion {
    trainer(features, policy)
        .learn(sample(0, vectors), 0)
        .unwrap()
}

/// Groups of customers around points, with a small spread.
pub(crate) fn groups(around: &[&[f64]], each: usize) -> Vec<Vec<f64>> {
    let mut vectors = Vec::new();
    for step in 0..each {
        let off = (step as f64 / each as f64 - 0.5) * 0.2;
        for (place, point) in around.iter().enumerate() {
            let sign = if (step + place) % 2 == 0 { 1.0 } else { -1.0 };
            vectors.push(
                point
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x + off * if i % 2 == 0 { 1.0 } else { sign })
                    .collect(),
            );
        }
    }
    vectors
}

/// A version with one segment per centroid.
pub(crate) fn version(trained_ms: i64, centroids: &[&[f64]], weights: &[f64]) -> ModelVersion {
    let dimensions = centroids[0].len();
    let segments = centroids.iter().zip(weights).enumerate();
    let plan = plan(dimensions);
    let features = plan.feature_names().map(str::to_owned);
    let scaler = Scaler {
        means: vec![0.5; dimensions],
        variances: vec![4.0; dimensions],
        weight: weights.iter().sum(),
    };
    let segments = segments.map(|(index, (centroid, weight))| Segment {
        id: index as u32 + 1,
        name: String::new(),
        centroid: centroid.to_vec(),
        weight: *weight,
        is_pinned: false,
        outlier_threshold: None,
    });
    ModelVersion {
        trained_ms,
        ..ModelVersion::hand_made(
            features.collect(),
            Segmentation::new(scaler, segments.collect()),
        )
    }
}
