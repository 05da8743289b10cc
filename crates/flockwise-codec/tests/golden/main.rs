//! Golden files of every wire format. A changed golden file means that stored records can no longer be read.
#![allow(clippy::unwrap_used)]

mod commands;
mod lineage;
mod model;
mod records;

use flockwise_core::drift::{ChangeDetector, Drift};
use flockwise_core::feature::{Aggregate, Feature, Transform};
use flockwise_core::lineage::Step;
use flockwise_core::model::{ModelParts, RetiredCentroid, Scaler, Segment};
use flockwise_core::plan::Plan;

fn feature(name: &str, aggregate: Aggregate) -> Feature {
    Feature {
        aggregate,
        transform: Transform::Log1p,
        ..Feature::count(name)
    }
}

pub(crate) fn plan() -> Plan {
    Plan::compile(&[
        feature("orders", Aggregate::Count),
        feature("days_since_order", Aggregate::Recency),
    ])
}

pub(crate) fn parts() -> ModelParts {
    let segment = |id, name: &str, centroid: [f64; 2], weight| Segment {
        id,
        name: name.to_owned(),
        centroid: centroid.to_vec(),
        weight,
        is_pinned: false,
        reach: None,
    };
    ModelParts {
        version: 42,
        trained_ms: 1_767_323_045_678,
        features: vec!["orders".to_owned(), "days_since_order".to_owned()],
        scaler: Scaler {
            means: vec![0.5, 3.25],
            variances: vec![0.25, 2.25],
            weight: 1234.5,
        },
        segments: vec![
            segment(4, "frequent, \"new\"", [1.0, 0.1], 1000.25),
            Segment {
                is_pinned: true,
                reach: Some(4.5),
                ..segment(12, "lapsed", [0.1, 6.0], 234.25)
            },
        ],
        next_id: 15,
        lineage: vec![
            Step::Born { segment: 12 },
            Step::Split {
                segment: 4,
                into: 14,
            },
            Step::Merged {
                segment: 14,
                into: 4,
            },
            Step::Retired { segment: 3 },
        ],
        drift: Drift {
            watches: vec![ChangeDetector {
                count: 14.0,
                mean: 2.5,
                variance: 0.25,
                above: 1.5,
                below: 0.0,
            }],
            fast_until_ms: Some(1_767_225_600_000),
        },
        ghosts: vec![RetiredCentroid {
            centroid: vec![2.0, 0.5],
            until_ms: 1_767_225_600_000,
        }],
    }
}
