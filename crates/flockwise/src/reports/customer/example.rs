//! An example customer for tests.

use std::sync::Arc;

use flockwise_core::customer_view::CustomerView;
use flockwise_core::explain::{Ranges, explain};
use flockwise_core::feature::{Aggregate, Feature, Transform, Wording};
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::task::{CustomerDescription, Versions};
use flockwise_runtime::queries::CustomerAnswer;

/// 2026-01-02T03:04:05.678Z.
const AT_MS: i64 = 1_767_323_045_678;

pub(super) fn plan() -> Plan {
    Plan::compile(&[
        Feature {
            wording: Wording {
                label: Some("orders lately".to_owned()),
                ..Wording::default()
            },
            transform: Transform::Sqrt,
            ..Feature::count("orders_30d")
        },
        Feature {
            wording: Wording {
                unit: Some("%".to_owned()),
                ..Wording::default()
            },
            aggregate: Aggregate::Share,
            ..Feature::count("refund_share")
        },
    ])
}

/// Four segments: the second is nearest to the first, the third has an impossible share of refunds, and refunds alone
/// lead to the fourth.
fn model() -> Model {
    let segment = |id, name: &str, centroid: [f64; 2]| Segment {
        name: name.to_owned(),
        ..Segment::new(id, centroid.to_vec())
    };
    let segments = vec![
        segment(4, "occasional", [1.0, 0.25]),
        segment(7, "regular", [2.0, 0.25]),
        segment(9, "out of \"reach\"", [1.0, -0.5]),
        segment(12, "returner", [1.0, 0.75]),
    ];
    let scaler = Scaler {
        means: vec![1.0, 0.25],
        variances: vec![1.0, 0.0625],
        weight: 100.0,
    };
    let features = ["orders_30d", "refund_share"].map(str::to_owned).to_vec();
    let parts = ModelVersion {
        version: 42,
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments))
    };
    Model::new(&plan(), parts).unwrap()
}

/// A customer with 1.5625 orders, a quarter of them refunded, with a model or before the first version.
pub(super) fn known(has_model: bool) -> CustomerAnswer {
    let (model, vector) = (model(), [1.25, 0.25]);
    let seen = Ranges::of(model.segmentation());
    let explanation =
        has_model.then(|| explain(&plan(), model.segmentation(), 0.5, 0, &vector, &seen));
    let distance_other = explanation.as_ref().and_then(|e| Some(e.other?.1));
    let told = CustomerDescription {
        view: CustomerView {
            customer_id: "h0001".to_owned(),
            segment: has_model.then_some(4),
            as_of_ms: AT_MS,
            features: vec![1.5625, 0.25],
            vector: vector.to_vec(),
            distance: has_model.then_some(0.25),
            margin: distance_other.map(|other| 1.0 - 0.25 / other),
            is_outlier: has_model.then_some(false),
            sequence: 3,
        },
        explanation,
        typical_members: if has_model {
            vec!["h0007".to_owned(), "h0002".to_owned()]
        } else {
            Vec::new()
        },
    };
    CustomerAnswer {
        told,
        versions: has_model.then(|| Versions {
            current: Arc::new(model),
            previous: None,
        }),
    }
}
