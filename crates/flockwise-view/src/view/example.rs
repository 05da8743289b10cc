//! Versions of a model for tests.

use flockwise_core::feature::Feature;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};

/// The features of the versions.
pub(crate) fn plan() -> Plan {
    Plan::compile(&[Feature::count("orders")])
}

/// A version in use, with segment 1, which is pinned, and segment 2.
pub(crate) fn live(version: u64) -> Publication {
    let segment = |id: u32, name: &str, centroid: f64| Segment {
        name: name.to_owned(),
        is_pinned: id == 1,
        ..Segment::new(id, vec![centroid])
    };
    let scaler = Scaler {
        means: vec![2.0],
        variances: vec![1.0],
        weight: 100.0,
    };
    let segments = vec![segment(1, "small", 1.0), segment(2, "big", 9.0)];
    Publication::live(ModelVersion {
        version,
        ..ModelVersion::hand_made(
            vec!["orders".to_owned()],
            Segmentation::new(scaler, segments),
        )
    })
}

/// As [`live`], but it waits for approval.
pub(crate) fn held(version: u64) -> Publication {
    Publication {
        is_held: true,
        ..live(version)
    }
}
