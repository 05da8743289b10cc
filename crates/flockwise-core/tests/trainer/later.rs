//! Later versions against a naive twin: every customer ever seen, weighed by age.

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::model::ModelParts;
use flockwise_core::trainer::{Lesson, MiniBatch, Trainer};
use flockwise_kmeans::Delta;
use proptest::prelude::*;

use crate::school::{DAY_MS, groups, learnt, plan, policy, version};

const HALF_LIFE_MS: f64 = 10.0 * DAY_MS as f64;

fn delta(at_ms: i64, k: usize, points: &[(usize, Vec<f64>)]) -> MiniBatch {
    let mut delta = Delta::new(k, points.first().map_or(2, |(_, point)| point.len()));
    for (centroid, point) in points {
        delta.add(*centroid, point);
    }
    MiniBatch {
        at_ms,
        lesson: Lesson::Delta { version: 1, delta },
    }
}

/// Mean and variance of one column of points with weights.
fn moments<'p>(
    points: impl Iterator<Item = (f64, &'p [f64])> + Clone,
    column: usize,
) -> (f64, f64, f64) {
    let total: f64 = points.clone().map(|(weight, _)| weight).sum();
    let mean = points
        .clone()
        .map(|(weight, point)| weight * point[column])
        .sum::<f64>()
        / total;
    let variance = points
        .map(|(weight, point)| weight * (point[column] - mean).powi(2))
        .sum::<f64>()
        / total;
    (total, mean, variance)
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + right.abs())
}

type Points = Vec<(usize, Vec<f64>)>;

fn batches() -> impl Strategy<Value = Vec<(i64, Points)>> {
    let point = (0..2_usize, prop::collection::vec(-5.0..5.0_f64, 2));
    // Within a half-life: a longer gap counts as one.
    let batch = (-DAY_MS..10 * DAY_MS, prop::collection::vec(point, 1..10));
    prop::collection::vec(batch, 1..12)
}

proptest! {
    #[test]
    fn centroids_and_scaler_are_weighted_means_of_all_that_was_seen(batches in batches()) {
        let start = version(0, &[&[1.0, -1.0], &[-2.0, 3.0]], &[20.0, 5.0]);
        let mut trainer = Trainer::new(plan(2), policy(2, 2), 0, Some(start.clone()));
        // The version stands for customers at its centroids, and spread as its scaler says.
        let (mut now_ms, mut seen) = (0, Vec::new());
        let mut model = start.clone();
        for (ahead_ms, points) in batches {
            // A batch that is late counts as of now.
            let at_ms = now_ms + ahead_ms;
            now_ms = now_ms.max(at_ms);
            seen.extend(points.iter().map(|(centroid, point)| (now_ms, *centroid, point.clone())));
            model = trainer.fold(delta(at_ms, 2, &points)).unwrap();
        }
        let weight = |time_ms: i64| (-((now_ms - time_ms) as f64) / HALF_LIFE_MS).exp2();
        for (index, segment) in model.segments.iter().enumerate() {
            let first = (start.segments[index].weight * weight(0), start.segments[index].centroid.as_slice());
            let own = seen.iter().filter(|(_, centroid, _)| *centroid == index);
            let points = own.map(|(time_ms, _, point)| (weight(*time_ms), point.as_slice()));
            let points = std::iter::once(first).chain(points);
            for column in 0..2 {
                let (total, mean, _) = moments(points.clone(), column);
                prop_assert!(near(segment.centroid[column], mean), "{} {mean}", segment.centroid[column]);
                prop_assert!(near(segment.weight, total));
            }
        }
        for column in 0..2 {
            let (low, high) = ([-1.5, -1.5], [2.5, 2.5]);
            let half = start.scaler.weight * weight(0) / 2.0;
            let first = [(half, low.as_slice()), (half, high.as_slice())];
            let points = seen.iter().map(|(time_ms, _, point)| (weight(*time_ms), point.as_slice()));
            let (total, mean, variance) = moments(first.into_iter().chain(points), column);
            prop_assert!(near(model.scaler.means[column], mean));
            prop_assert!(near(model.scaler.variances[column], variance));
            prop_assert!(near(model.scaler.weight, total));
        }
    }
}

#[test]
fn after_years_without_customers_the_first_few_do_not_count_for_everybody() {
    let start = version(0, &[&[0.0, 0.0], &[4.0, 4.0]], &[500.0, 500.0]);
    let mut trainer = Trainer::new(plan(2), policy(2, 2), 0, Some(start));
    let points: Points = vec![(0, vec![3.0, 3.0])];
    let model = trainer.fold(delta(1000 * DAY_MS, 2, &points)).unwrap();
    assert!(model.segments[0].centroid[0] < 0.02, "{:?}", model.segments);
    assert!(model.scaler.weight > 400.0);
}

#[test]
fn a_model_that_says_no_weights_counts_as_a_warm_up() {
    let mut start = version(0, &[&[0.0, 0.0], &[4.0, 4.0]], &[0.0, 0.0]);
    start.scaler.weight = 0.0;
    let policy = policy(2, 2);
    let customers = policy.warm_up_customers as f64;
    let mut trainer = Trainer::new(plan(2), policy, 0, Some(start));
    let model = trainer.fold(delta(1, 2, &[(0, vec![3.0, 3.0])])).unwrap();
    let expected = 3.0 / (customers / 2.0 + 1.0);
    assert!(
        (model.segments[0].centroid[0] - expected).abs() < 1e-6,
        "{:?}",
        model.segments
    );
}

#[test]
fn after_a_half_life_as_many_new_customers_weigh_twice_as_much() {
    let start = version(0, &[&[0.0, 0.0]], &[10.0]);
    let mut trainer = Trainer::new(plan(2), policy(1, 1), 0, Some(start));
    let points: Points = (0..10).map(|_| (0, vec![3.0, 6.0])).collect();
    let model = trainer.fold(delta(10 * DAY_MS, 1, &points)).unwrap();
    assert!(
        near(model.segments[0].centroid[0], 2.0),
        "{:?}",
        model.segments
    );
    assert!(near(model.segments[0].centroid[1], 4.0));
}

#[test]
fn a_version_is_published_once_in_a_while_and_who_goes_on_from_it_is_level() {
    let start = learnt(2, policy(2, 2), &groups(&[&[0.0, 0.0], &[3.0, 5.0]], 20));
    let mut trainer = Trainer::new(plan(2), policy(2, 2), DAY_MS, Some(start.clone()));
    let batch = |hour: i64| {
        delta(
            hour * DAY_MS / 24,
            2,
            &[(0, vec![0.3 * hour as f64, 1.0]), (1, vec![2.0, 0.1])],
        )
    };
    let mut published: Vec<ModelParts> = (1..=100)
        .filter_map(|hour| trainer.fold(batch(hour)))
        .collect();
    let versions: Vec<(u64, i64)> = published
        .iter()
        .map(|model| (model.version, model.trained_ms))
        .collect();
    assert_eq!(
        versions,
        [
            (2, DAY_MS),
            (3, 2 * DAY_MS),
            (4, 3 * DAY_MS),
            (5, 4 * DAY_MS)
        ]
    );
    let mut heir = Trainer::new(plan(2), policy(2, 2), DAY_MS, Some(published.remove(1)));
    let inherited: Vec<ModelParts> = (49..=100)
        .filter_map(|hour| heir.fold(batch(hour)))
        .collect();
    assert_eq!(inherited, published[1..]);
}

#[test]
fn a_version_without_a_time_keeps_its_weight_until_the_first_lesson() {
    let start = version(NEVER_MS, &[&[0.0, 0.0]], &[10.0]);
    let mut trainer = Trainer::new(plan(2), policy(1, 1), DAY_MS, Some(start));
    let points: Points = (0..10).map(|_| (0, vec![3.0, 6.0])).collect();
    let model = trainer.fold(delta(20_000 * DAY_MS, 1, &points)).unwrap();
    assert!(
        near(model.segments[0].centroid[0], 1.5),
        "{:?}",
        model.segments
    );
    assert_eq!(model.segments[0].weight, 20.0);
    assert_eq!(model.trained_ms, 20_000 * DAY_MS);
}

#[test]
fn lessons_of_another_shape_teach_nothing() {
    let start = version(0, &[&[0.0, 0.0]], &[10.0]);
    let mut trainer = Trainer::new(plan(2), policy(1, 1), 0, Some(start));
    assert_eq!(
        trainer.fold(delta(0, 2, &[(1, vec![1.0, 1.0])])),
        None,
        "another k"
    );
    assert_eq!(
        trainer.fold(delta(0, 1, &[(0, vec![1.0, 1.0, 1.0])])),
        None,
        "another plan"
    );
    let model = trainer.fold(delta(0, 1, &[])).unwrap();
    assert_eq!(
        (&model.segments[0].centroid[..], model.segments[0].weight),
        (&[0.0, 0.0][..], 10.0)
    );
}
