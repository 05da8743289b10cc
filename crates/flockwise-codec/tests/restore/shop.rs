//! A small shop: its plan, its settings and the versions of its model.

use std::sync::Arc;

use flockwise_core::dedup::IdMemory;
use flockwise_core::feature::{Aggregate, Feature, Horizon, Transform};
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::task::{TaskSettings, Versions};

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

pub(crate) fn plan() -> Plan {
    let feature = |name: &str, aggregate, horizon| Feature {
        events: vec!["Order".to_owned()],
        aggregate,
        horizon,
        default: 30.0,
        transform: Transform::Log1p,
        ..Feature::count(name)
    };
    let week = Horizon::Window {
        span_ms: 7 * DAY_MS,
        buckets: 7,
    };
    Plan::compile(&[
        Feature {
            reversed_by: vec!["Refund".to_owned()],
            ..feature("orders", Aggregate::Count, Horizon::HalfLife(5 * DAY_MS))
        },
        feature("days_since_order", Aggregate::Recency, Horizon::Lifetime),
        feature("orders_7d", Aggregate::Count, week),
    ])
}

pub(crate) fn settings(decision: DecisionPolicy, sweep_ms: Option<i64>) -> Arc<TaskSettings> {
    Arc::new(TaskSettings {
        plan: Arc::new(plan()),
        decision,
        time: TimePolicy {
            lateness_ms: 30 * DAY_MS,
            max_ahead_ms: None,
            sweep_ms,
            remembered_ids: IdMemory::latest(3),
            forget_ms: None,
        },
        learning: LearningPolicy {
            k_min: 1,
            k_max: 1,
            half_life_ms: DAY_MS,
            warm_up_customers: 1,
            warm_up_ms: 0,
            churn_budget: 1.0,
            learn: true,
            seed: 1,
        },
        history: HistoryPolicy::default(),
        tasks: 1,
    })
}

/// The centroids of successive versions differ slightly, so that a new version moves some customers.
pub(crate) fn model(version: u64) -> Arc<Model> {
    let shift = [-0.2, 0.0, -0.45, 0.3][version as usize % 4];
    let segment = |id, centroid: [f64; 3]| Segment {
        id,
        name: format!("segment {id}"),
        centroid: centroid.iter().map(|x| x + shift).collect(),
        weight: 1.0,
        is_pinned: false,
        outlier_threshold: None,
    };
    let features = plan().feature_names().map(str::to_owned).collect();
    let scaler = Scaler {
        means: vec![0.6; 3],
        variances: vec![0.25, 1.0, 0.5],
        weight: 3.0,
    };
    let segments = vec![
        segment(1, [0.4, 0.0, 0.5]),
        segment(2, [1.1, 0.2, 1.4]),
        segment(3, [0.2, 1.5, 0.2]),
        segment(4, [0.0, 2.5, 0.0]),
    ];
    let parts = ModelVersion {
        version,
        trained_ms: 0,
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments))
    };
    Arc::new(Model::new(&plan(), parts).unwrap())
}

/// The versions that a worker has: none before the first, then the newest and the previous one.
pub(crate) fn versions(newest: u64) -> Option<Versions> {
    (newest > 0).then(|| Versions {
        current: model(newest),
        previous: (newest > 1).then(|| model(newest - 1)),
    })
}
