//! Data that is constant, equal, scarce, infinite or broken: never a NaN, and always a model that can be used.

use std::sync::Arc;

use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::segmentation::name_segments;
use flockwise_core::trainer::Trainer;
use flockwise_kmeans::Scratch;
use proptest::prelude::*;

use crate::support::{DAY_MS, Learns, groups, learnt, plan, policy, sample, trainer, version};

/// Uses a model in all ways: finds the nearest segment, winsorises, and checks that names differ.
fn check(parts: &ModelVersion, vectors: &[Vec<f64>]) {
    let dimensions = parts.features.len();
    let model = Model::new(&plan(dimensions), parts.clone()).unwrap();
    let segmentation = model.segmentation();
    let scale = segmentation.scale();
    assert!(scale.iter().all(|scale| scale.is_finite()), "{scale:?}");
    let mut scaled = Vec::new();
    for vector in vectors {
        segmentation.scaled(vector, &mut scaled);
        let (_, distance) = segmentation.score(&scaled, &mut Scratch::default());
        assert!(distance.is_finite(), "{distance} from {vector:?}");
        let columns = vector.iter().enumerate();
        let mut tamed = columns.map(|(index, x)| segmentation.scaler().winsorise(index, *x));
        assert!(tamed.all(f64::is_finite));
    }
    let mut names: Vec<&str> = parts
        .segmentation()
        .segments
        .iter()
        .map(|segment| segment.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        parts.segmentation().segments.len(),
        "names differ"
    );
    assert!(!names.contains(&""));
}

/// Continues to learn from the same customers every day.
fn learn_on(parts: ModelVersion, vectors: &[Vec<f64>], days: i64) -> ModelVersion {
    let (k, since_ms) = (parts.segmentation().segments.len(), parts.trained_ms);
    let plan = plan(parts.features.len());
    let mut trainer = Trainer::new(plan, policy(1, k), Some(parts.clone()));
    let later = |day: i64| sample(since_ms + day * DAY_MS, vectors);
    let versions = (1..=days).filter_map(|day| trainer.learn(later(day), day));
    versions.last().unwrap_or(parts)
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3_i32..3).prop_map(|x| f64::from(x) * 0.1),
        prop::sample::select(&[0.1, 90.3, 1e15, -1e15, 1e-300, -0.0, 5e-324][..]),
        -1e15..1e15_f64,
    ]
}

proptest! {
    #[test]
    fn no_number_is_lost_whatever_the_customers(
        vectors in prop::collection::vec(prop::collection::vec(value(), 3), 1..40),
        later in prop::collection::vec(prop::collection::vec(value(), 3), 1..10),
        k_min in 1..4_usize, more in 0..4_usize,
    ) {
        let first = learnt(3, policy(k_min, k_min + more), &vectors);
        prop_assert!(first.segmentation().segments.len() <= k_min + more);
        check(&first, &vectors);
        check(&first, &later);
        let last = learn_on(first, &later, 5);
        check(&last, &vectors);
    }
}

#[test]
fn customers_who_are_all_equal_are_one_ordinary_segment() {
    for value in [0.0, 0.1, 90.3, 1e15, -1e15] {
        let vectors = vec![vec![value, 0.1]; 1000];
        let parts = learn_on(learnt(2, policy(2, 5), &vectors), &vectors, 50);
        check(&parts, &vectors);
        assert_eq!(parts.segmentation().segments.len(), 1, "{value}");
        assert_eq!(parts.segmentation().segments[0].name, "ordinary", "{value}");
        let model = Model::new(&plan(2), parts).unwrap();
        assert_eq!(model.segmentation().scale(), [0.0, 0.0], "{value}");
    }
}

#[test]
fn one_customer_is_enough_for_a_model() {
    let parts = learnt(2, policy(3, 8), &[vec![1.0, 2.0]]);
    check(&parts, &[vec![1.0, 2.0], vec![1e15, -1e15]]);
    assert_eq!(
        (
            parts.segmentation().segments.len(),
            parts.segmentation().scaler.weight
        ),
        (1, 1.0)
    );
}

#[test]
fn there_are_no_more_segments_than_distinct_customers() {
    let vectors: Vec<Vec<f64>> = (0..300)
        .map(|i| vec![f64::from(i % 3), f64::from(i % 3) * 2.0])
        .collect();
    for (k_min, k_max) in [(2, 8), (8, 8), (5, 20)] {
        let parts = learnt(2, policy(k_min, k_max), &vectors);
        check(&parts, &vectors);
        assert_eq!(parts.segmentation().segments.len(), 3, "{k_min} to {k_max}");
    }
}

/// Rounding must not count as spread: a constant feature has no weight, however often it is averaged, until a
/// customer differs.
#[test]
fn a_constant_feature_has_no_say_until_somebody_differs() {
    for value in [0.1, 90.3, 1e6 + 0.1, 1e15] {
        let mut vectors = groups(&[&[0.0, 0.0], &[5.0, 5.0]], 500);
        vectors.iter_mut().for_each(|vector| vector[1] = value);
        let first = learnt(2, policy(2, 4), &vectors);
        assert_eq!(first.segmentation().segments.len(), 2, "{value}");
        let parts = learn_on(first, &vectors, 200);
        check(&parts, &vectors);
        let model = Model::new(&plan(2), parts.clone()).unwrap();
        assert_eq!(
            model.segmentation().scale()[1],
            0.0,
            "{value} {:?}",
            parts.segmentation().scaler
        );
        assert!(
            parts
                .segmentation()
                .segments
                .iter()
                .all(|segment| !segment.name.contains("f1"))
        );
        for vector in vectors.iter_mut().step_by(3) {
            vector[1] = value * 1.5;
        }
        let parts = learn_on(parts, &vectors, 20);
        let model = Model::new(&plan(2), parts).unwrap();
        assert!(model.segmentation().scale()[1] > 0.0, "{value}");
    }
}

#[test]
fn a_few_extremes_drag_no_centroid_away() {
    let mut vectors = groups(&[&[0.0, 0.0], &[5.0, 5.0]], 500);
    vectors[7] = vec![1e4, 0.0];
    let parts = learnt(2, policy(3, 3), &vectors);
    check(&parts, &vectors);
    let bound =
        parts.segmentation().scaler.means[0] + 5.0 * parts.segmentation().scaler.deviation(0);
    for segment in &parts.segmentation().segments {
        assert!(
            segment.centroid[0] <= bound * 1.01,
            "{:?} beyond {bound}",
            segment.centroid
        );
    }
}

#[test]
fn vectors_of_another_plan_or_with_no_numbers_are_left_out() {
    let mut vectors = groups(&[&[0.0, 0.0], &[5.0, 5.0]], 50);
    let clean = learnt(2, policy(2, 2), &vectors);
    vectors.extend([
        vec![1.0],
        vec![1.0; 3],
        vec![f64::NAN, 0.0],
        vec![0.0, f64::INFINITY],
        vec![],
    ]);
    assert_eq!(learnt(2, policy(2, 2), &vectors), clean);
    assert_eq!(
        trainer(2, policy(2, 2)).learn(sample(0, &vectors[100..]), 0),
        None
    );
}

#[test]
fn a_version_of_no_weight_learns_from_the_first_lesson_on() {
    let mut parts = version(0, &[&[0.0, 0.0], &[5.0, 5.0]], &[0.0, 0.0]);
    let segmentation = Arc::make_mut(&mut parts.artefacts.segmentation);
    name_segments(&plan(2), &segmentation.scaler, &mut segmentation.segments);
    let vectors = groups(&[&[1.0, 1.0]], 10);
    let parts = learn_on(parts, &vectors, 3);
    check(&parts, &vectors);
    assert!((parts.segmentation().segments[0].centroid[0] - 1.0).abs() < 0.2);
    assert_eq!(
        parts.segmentation().segments.len(),
        1,
        "no customer came to the other"
    );
}
