//! Example versions for tests.

use flockwise_core::feature::{Feature, Transform, Wording};
use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::publication::{Audit, Publication};
use flockwise_core::segmentation::{Flow, Impact, Scaler, Segment, Segmentation};

/// 2026-01-02T00:00:00Z.
const START_MS: i64 = 1_767_312_000_000;
const DAY_MS: i64 = 86_400_000;

/// The features of the versions.
pub(super) fn plan() -> Plan {
    let spend = Feature {
        transform: Transform::Sqrt,
        wording: Wording {
            unit: Some("£".to_owned()),
            ..Wording::default()
        },
        ..Feature::count("spend")
    };
    Plan::compile(&[spend, Feature::count("orders")])
}

fn segment(id: u32, name: &str, weight: f64, centroid: [f64; 2]) -> Segment {
    Segment {
        name: name.to_owned(),
        weight,
        ..Segment::new(id, centroid.to_vec())
    }
}

fn model(version: u64, segments: Vec<Segment>) -> ModelVersion {
    let scaler = Scaler {
        means: vec![10.0, 1.0],
        variances: vec![16.0, 1.0],
        weight: 100.0,
    };
    let features = ["spend", "orders"].map(str::to_owned).to_vec();
    ModelVersion {
        version,
        trained_ms: START_MS + version as i64 * DAY_MS,
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments))
    }
}

/// A version in use, with segment 1, which is pinned, and segment 2.
pub(super) fn live(version: u64) -> Publication {
    let pinned = Segment {
        is_pinned: true,
        ..segment(1, "small", 75.0, [4.0, 1.0])
    };
    let segments = vec![pinned, segment(2, "big", 25.0, [20.0, 1.5])];
    Publication::live(model(version, segments))
}

/// A held version, in which segment 3 is new and segment 2 is gone.
pub(super) fn held(version: u64) -> Publication {
    let segments = vec![
        segment(1, "tiny", 60.0, [4.0, 2.0]),
        segment(3, "newcomers", 40.0, [16.0, 0.0]),
    ];
    let lineage = vec![
        Step::Split {
            segment: 1,
            into: 3,
        },
        Step::Merged {
            segment: 2,
            into: 3,
        },
    ];
    Publication {
        model: ModelVersion {
            lineage,
            ..model(version, segments)
        },
        is_held: true,
        shifts: Vec::new(),
        impact: Some(Impact {
            moved: 0.25,
            other_nearest: 0.5,
            flows: vec![Flow {
                from: 2,
                to: 3,
                share: 0.25,
            }],
            error_before: 2.0,
            error_after: 1.5,
        }),
        command: None,
    }
}

/// A held version that was approved.
pub(super) fn approved(version: u64) -> Publication {
    Publication {
        is_held: false,
        command: Some(Audit {
            what: "approve".to_owned(),
            who: "anna".to_owned(),
            why: "the sale is on".to_owned(),
            at_ms: START_MS,
        }),
        ..held(version)
    }
}

/// Compares a text with a golden file, ignoring spaces at the ends of lines.
pub(super) fn same(found: &str, golden: &str) {
    let lines = found.lines().map(str::trim_end);
    let found = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(found.trim(), golden.trim(), "\n{found}");
}
