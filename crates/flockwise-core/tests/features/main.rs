//! Rolling features against a naive version, over random plans and events in any order.
#![allow(clippy::unwrap_used)]

mod document;
mod naive;
mod random;

use flockwise_core::aggregate::{NEVER_MS, empty, evaluate, observe};
use flockwise_core::feature::{Aggregate, Feature};
use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_core::orders::OrderEntries;
use flockwise_core::plan::Plan;
use proptest::prelude::*;

use document::{Document, Value, event};
use random::{DAY_MS, HOUR_MS, documents, feature, plain};

/// A row that has seen documents in some order.
struct Seen {
    columns: Vec<f64>,
    reference_ms: i64,
    inputs: FeatureInputs,
}

/// Passes documents, in the order of `order`, to a new row.
fn observe_all(plan: &Plan, documents: &[Document], order: &[usize]) -> Seen {
    let (mut columns, mut reference_ms) = (empty(plan), NEVER_MS);
    let mut inputs = FeatureInputs::default();
    for index in order {
        observe(
            plan,
            &mut columns,
            &mut reference_ms,
            &event(plan, &documents[*index]),
            &mut inputs,
            &mut OrderEntries::default(),
        );
    }
    Seen {
        columns,
        reference_ms,
        inputs,
    }
}

fn features_at(plan: &Plan, seen: &Seen, at_ms: i64) -> (Vec<f64>, Vec<f64>) {
    let (mut raw, mut vector) = (vec![f64::NAN; plan.len()], vec![f64::NAN; plan.len()]);
    evaluate(
        plan,
        &seen.columns,
        seen.reference_ms,
        at_ms,
        &mut raw,
        &mut vector,
    );
    (raw, vector)
}

/// Times not before the last event: at it, just after it, on edges of buckets, and much later.
fn times(last_ms: i64, later: &[i64]) -> Vec<i64> {
    let edge = |width_ms: i64| (last_ms.div_euclid(width_ms) + 1) * width_ms;
    let mut times = vec![
        last_ms,
        last_ms + 1,
        edge(HOUR_MS),
        edge(DAY_MS),
        edge(DAY_MS) + 1,
    ];
    times.extend(later.iter().map(|later| last_ms + later));
    times
}

fn compare(
    features: &[Feature],
    documents: &[Document],
    order: &[usize],
    later: &[i64],
) -> Result<(), TestCaseError> {
    let plan = Plan::compile(features);
    let seen = observe_all(&plan, documents, order);
    let arrived: Vec<&Document> = order.iter().map(|index| &documents[*index]).collect();
    for (index, feature) in features.iter().enumerate() {
        let counts = seen.inputs.counts().get(index).copied();
        prop_assert_eq!(counts.unwrap_or_default(), naive::inputs(feature, &arrived));
    }
    for at_ms in times(seen.reference_ms, later) {
        let (raw, vector) = features_at(&plan, &seen, at_ms);
        for (index, feature) in features.iter().enumerate() {
            let expected = naive::value(feature, &arrived, at_ms);
            prop_assert!(
                expected.is_like(raw[index]),
                "{} found, {:?} expected at {} of {:?} after {:?}",
                raw[index],
                expected,
                at_ms,
                feature,
                arrived
            );
            // The logarithm of the standard library may differ in the last two places.
            let expected = naive::transformed(feature, raw[index]);
            let slack = 4.0 * f64::EPSILON * expected.abs();
            prop_assert!(
                (vector[index] - expected).abs() <= slack,
                "{} {expected}",
                vector[index]
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn features_are_what_the_table_says(
        features in prop::collection::vec(feature(), 1..6),
        (documents, order) in documents(),
        later in prop::collection::vec(0..100 * DAY_MS, 3),
    ) {
        compare(&features, &documents, &order, &later)?;
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        features in prop::collection::vec(feature(), 1..6),
        (documents, order) in documents(),
        later in 0..100 * DAY_MS,
    ) {
        let plan = Plan::compile(&features);
        let mut sorted = order.clone();
        sorted.sort_by_key(|index| documents[*index].time_ms);
        let (left, right) = (observe_all(&plan, &documents, &order), observe_all(&plan, &documents, &sorted));
        let at_ms = left.reference_ms + later;
        let arrived: Vec<&Document> = sorted.iter().map(|index| &documents[*index]).collect();
        let (left, right) = (features_at(&plan, &left, at_ms).0, features_at(&plan, &right, at_ms).0);
        for (index, feature) in features.iter().enumerate() {
            let slack = naive::value(feature, &arrived, at_ms).slack();
            prop_assert!((left[index] - right[index]).abs() <= 2.0 * slack, "{left:?} {right:?} {feature:?}");
        }
    }
}

#[test]
fn a_long_silence_leaves_numbers_and_no_customer_without_one() {
    let features = plain();
    let plan = Plan::compile(&features);
    let documents = [Document::at(5), Document::at(5 + HOUR_MS)];
    let seen = observe_all(&plan, &documents, &[0, 1]);
    for at_ms in [seen.reference_ms, 1 << 40, 1 << 50, i64::MAX] {
        let (raw, vector) = features_at(&plan, &seen, at_ms);
        assert!(raw.iter().chain(&vector).all(|x| x.is_finite()), "{raw:?}");
    }
    let nobody = Seen {
        columns: empty(&plan),
        reference_ms: NEVER_MS,
        inputs: FeatureInputs::default(),
    };
    for at_ms in [0, 1 << 50, i64::MAX] {
        let (raw, _) = features_at(&plan, &nobody, at_ms);
        for (value, feature) in raw.iter().zip(&features) {
            let expected = if naive::is_sum(feature) {
                0.0
            } else {
                feature.default
            };
            assert_eq!(*value, expected, "{feature:?}");
        }
    }
}

/// Columns are written to the changelog, so an event that a feature does not count must not change them.
#[test]
fn an_event_without_numbers_leaves_the_sums_as_they_are() {
    let is_of_numbers =
        |feature: &Feature| matches!(feature.aggregate, Aggregate::Sum | Aggregate::Mean);
    let features: Vec<Feature> = plain().into_iter().filter(is_of_numbers).collect();
    let plan = Plan::compile(&features);
    let silent = Document {
        x: Value::Absent,
        ..Document::at(DAY_MS)
    };
    let seen = observe_all(&plan, &[silent], &[0]);
    assert_eq!(seen.columns, empty(&plan));
}
