//! Golden files of every wire format. A changed golden file means that stored records can no longer be read.
#![allow(clippy::unwrap_used)]

mod commands;
mod lineage;
mod model;
mod records;

use flockwise_core::drift::{ChangeDetector, Drift};
use flockwise_core::feature::{Aggregate, Feature, Transform};
use flockwise_core::lineage::Step;
use flockwise_core::model::{Artefacts, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{RetiredCentroid, Scaler, Segment, Segmentation};

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

/// A version with an artefact of a later release.
pub(crate) fn version() -> ModelVersion {
    let segment = |id, name: &str, centroid: [f64; 2], weight| Segment {
        id,
        name: name.to_owned(),
        centroid: centroid.to_vec(),
        weight,
        is_pinned: false,
        outlier_threshold: None,
    };
    let segmentation = Segmentation {
        scaler: Scaler {
            means: vec![0.5, 3.25],
            variances: vec![0.25, 2.25],
            weight: 1234.5,
        },
        segments: vec![
            segment(4, "frequent, \"new\"", [1.0, 0.1], 1000.25),
            Segment {
                is_pinned: true,
                outlier_threshold: Some(4.5),
                ..segment(12, "lapsed", [0.1, 6.0], 234.25)
            },
        ],
        next_id: 15,
        retired_centroids: vec![RetiredCentroid {
            centroid: vec![2.0, 0.5],
            until_ms: 1_767_225_600_000,
        }],
    };
    let tiers = ("tiers".to_owned(), r#"{ "of": [4, 12.50] }"#.to_owned());
    ModelVersion {
        version: 42,
        trained_ms: 1_767_323_045_678,
        features: vec!["orders".to_owned(), "days_since_order".to_owned()],
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
        artefacts: Artefacts {
            segmentation: segmentation.into(),
            unknown: [tiers].into(),
        },
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
    }
}
