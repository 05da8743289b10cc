//! Changes are encoded byte for byte as serde_json encodes them, whatever their content.
#![allow(clippy::unwrap_used)]

mod reference;

use std::sync::Arc;

use flockwise_codec::change::ChangeEncoder;
use flockwise_core::change::{Change, Driver, Trigger};
use flockwise_core::decide::Cause;
use flockwise_core::feature::Feature;
use flockwise_core::lineage::Step;
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::task::Versions;
use proptest::prelude::*;

/// Names with characters that need an escape and characters that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,12}",
        "[\\x00-\\x22\\\\/a-c\u{7f}é\u{2028}😀]{0,12}",
        "\\PC*"
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-100_000_i32..100_000).prop_map(|x| f64::from(x) / 100.0),
        prop::sample::select(&[0.0, -0.0, 1e15, 1e16, 1e-7, f64::NAN, f64::NEG_INFINITY][..]),
    ]
}

fn driver() -> impl Strategy<Value = Option<Driver>> {
    prop::option::weighted(0.8, (0..3_usize, number(), number(), number())).prop_map(|driver| {
        driver.map(|(feature, value, typical, pull)| Driver {
            feature,
            value,
            typical,
            pull,
        })
    })
}

fn change() -> impl Strategy<Value = Change> {
    let trigger = (0..2_u16, any::<u32>(), any::<i64>());
    let times = prop_oneof![any::<i64>(), 0..4_102_444_800_000_i64];
    (
        (
            any::<u32>(),
            times,
            (any::<u64>(), any::<Option<u64>>()),
            prop::sample::select(&Cause::ALL[..]),
        ),
        (prop::option::of(0..8_u32), prop::option::of(0..8_u32)),
        (
            prop::array::uniform3(prop::option::of(number())),
            any::<bool>(),
        ),
        prop::array::uniform3(driver()),
        prop::option::of(trigger),
    )
        .prop_map(
            |(
                (sequence, occurred_ms, (model_version, model_version_before), cause),
                (from, to),
                (numbers, is_outlier),
                drivers,
                trigger,
            )| {
                let [distance, distance_from, margin] = numbers;
                Change {
                    row: 0,
                    sequence,
                    occurred_ms,
                    from,
                    to,
                    cause,
                    distance,
                    distance_from,
                    margin,
                    is_outlier,
                    drivers,
                    model_version,
                    model_version_before,
                    trigger: trigger.map(|(input, partition, offset)| Trigger {
                        input,
                        partition,
                        offset,
                    }),
                }
            },
        )
}

fn plan(names: &[String]) -> Plan {
    let feature = |name: &String| Feature::count(name.clone());
    Plan::compile(&names.iter().map(feature).collect::<Vec<_>>())
}

fn model(plan: &Plan, names: &[String], first: u32) -> Arc<Model> {
    let segment = |(id, name): (u32, &String)| Segment {
        id,
        name: name.clone(),
        centroid: vec![0.0; plan.len()],
        weight: 1.0,
        is_pinned: false,
        outlier_threshold: None,
    };
    let features = plan.feature_names().map(str::to_owned).collect();
    let scaler = Scaler {
        means: vec![0.0; plan.len()],
        variances: vec![1.0; plan.len()],
        weight: 1.0,
    };
    let segments = (first..).zip(names).map(segment).collect();
    let parts = ModelVersion {
        version: 1,
        trained_ms: 0,
        lineage: vec![
            Step::Born { segment: 3 },
            Step::Merged {
                segment: 1,
                into: 4,
            },
            Step::Split {
                segment: 3,
                into: 5,
            },
            Step::Retired { segment: 6 },
        ],
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments))
    };
    Arc::new(Model::new(plan, parts).unwrap())
}

proptest! {
    #[test]
    fn changes_are_as_serde_writes_them(
        [app, first, second, customer] in prop::array::uniform4(text()),
        features in prop::collection::vec(text(), 3),
        segments in prop::collection::vec(text(), 4),
        changes in prop::collection::vec((change(), 0..3_u32, any::<bool>()), 1..6),
    ) {
        let plan = plan(&features);
        let topics = [first, second];
        let mut encoder = ChangeEncoder::new(&app, &topics, &plan);
        let mut out = b"what was there".to_vec();
        for (change, shift, has_previous) in changes {
            // The two versions share some segments, under other names.
            let versions = Versions {
                current: model(&plan, &segments, shift),
                previous: has_previous.then(|| model(&plan, &segments, shift + 2)),
            };
            for _ in 0..2 {
                out.truncate(14);
                encoder.encode(&versions, &customer, &change, &mut out);
                let expected = reference::encode((&app, &topics, &plan), &versions, &customer, &change);
                prop_assert_eq!(str::from_utf8(&out[14..]).unwrap(), expected);
            }
        }
    }
}
