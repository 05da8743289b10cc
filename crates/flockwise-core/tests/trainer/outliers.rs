//! Outliers: a few customers far from all others distort nothing, and each segment learns how far away its members
//! are.

use flockwise_core::model::{Model, ModelVersion};
use flockwise_kmeans::Scratch;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{DAY_MS, Learns, learnt, plan, policy, sample, trainer};

const FEATURES: usize = 6;
const GROUPS: usize = 5;
const CUSTOMERS: usize = 1000;

/// Customers with a normal distribution, of deviation one, around five places fourteen apart, in six features. The
/// last feature is the same for all groups.
fn usual(seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let place = |group: usize, feature: usize| 10.0 * f64::from(u8::from(group == feature));
    let customers = 0..CUSTOMERS;
    customers
        .map(|customer| {
            let features = 0..FEATURES;
            features
                .map(|feature| place(customer % GROUPS, feature) + normal())
                .collect()
        })
        .collect()
}

/// The first version, and the one after forty days. On each day a tenth of all customers is sampled.
fn lived((k_min, k_max): (usize, usize), spoil: fn(&mut [Vec<f64>])) -> [ModelVersion; 2] {
    let day = |number: i64| {
        let mut vectors = usual(number as u64);
        spoil(&mut vectors);
        sample(number * DAY_MS, &vectors)
    };
    let mut trainer = trainer(FEATURES, policy(k_min, k_max));
    let first = trainer.learn(day(0), 0).unwrap();
    let mut last = first.clone();
    for number in 1..=40 {
        let mut batch = day(number);
        let mut index = 0;
        batch.sample.retain(|_| {
            index += 1;
            (index - 1) / GROUPS as i64 % 10 == number % 10
        });
        last = trainer.learn(batch, number).unwrap_or(last);
    }
    [first, last]
}

/// The largest distance from a centroid of one model to the nearest of another, in standard deviations, in the
/// feature in which it is largest.
fn moved(from: &ModelVersion, to: &ModelVersion) -> f64 {
    let off = |left: &[f64], right: &[f64]| {
        let gaps = left.iter().zip(right).enumerate();
        gaps.map(|(index, (a, b))| (a - b).abs() / from.segmentation().scaler.deviation(index))
            .fold(0.0, f64::max)
    };
    let nearest = |centroid: &[f64]| {
        let others = to.segmentation().segments.iter();
        others
            .map(|other| off(centroid, &other.centroid))
            .fold(f64::INFINITY, f64::min)
    };
    let segments = from.segmentation().segments.iter();
    segments
        .map(|segment| nearest(&segment.centroid))
        .fold(0.0, f64::max)
}

/// Fixed and free numbers of segments. Both include the number of groups.
const BOUNDS: [(usize, usize); 2] = [(GROUPS, GROUPS), (2, 12)];

/// Spoilt customers move no centroid by `most` standard deviations, widen no feature's standard deviation by the
/// share `wider`, and are no segment.
fn check(most: f64, wider: f64, spoil: fn(&mut [Vec<f64>])) {
    for bounds in BOUNDS {
        let clean = lived(bounds, |_| {});
        let spoilt = lived(bounds, spoil);
        for (clean, spoilt) in clean.iter().zip(&spoilt) {
            assert_eq!(spoilt.segmentation().segments.len(), GROUPS, "{bounds:?}");
            let moved = moved(clean, spoilt);
            assert!(moved < most, "{moved} with {bounds:?}");
            for index in 0..FEATURES {
                let ratio = spoilt.segmentation().scaler.deviation(index)
                    / clean.segmentation().scaler.deviation(index);
                assert!((ratio - 1.0).abs() < wider, "{ratio} with {bounds:?}");
            }
        }
    }
}

#[test]
fn one_in_a_hundred_at_the_end_of_the_world_moves_no_centroid() {
    check(0.03, 0.02, |vectors| {
        let hundredths = vectors.iter_mut().step_by(100);
        hundredths.for_each(|vector| vector[0] = 1e30);
    });
    check(0.03, 0.02, |vectors| {
        let hundredths = vectors.iter_mut().step_by(100).enumerate();
        hundredths.for_each(|(index, vector)| vector[index % FEATURES] = -1e30);
    });
    check(0.03, 0.02, |vectors| {
        let hundredths = vectors.iter_mut().step_by(100);
        hundredths.for_each(|vector| *vector = vec![1e200; FEATURES]);
    });
}

/// From just outside the groups to extremely far away.
#[test]
fn one_customer_far_off_in_all_features_is_no_segment_and_moves_none() {
    check(0.05, 0.15, |vectors| vectors[7] = vec![30.0; FEATURES]);
    check(0.05, 0.15, |vectors| vectors[7] = vec![100.0; FEATURES]);
    check(0.01, 0.01, |vectors| vectors[7] = vec![1e4; FEATURES]);
    check(0.01, 0.01, |vectors| vectors[7] = vec![1e30; FEATURES]);
}

/// Three customers, each sampled again and again, are no segment: that takes seven.
#[test]
fn a_few_far_off_in_all_directions_are_no_segment() {
    for version in lived((6, 6), |vectors| {
        vectors[0] = vec![40.0; FEATURES];
        vectors[1] = vec![-40.0; FEATURES];
        vectors[2] = vec![40.0; FEATURES];
    }) {
        let mut weights = version
            .segmentation()
            .segments
            .iter()
            .map(|segment| segment.weight);
        assert!(
            weights.all(|weight| weight > 50.0),
            "{:?}",
            version.segmentation().segments
        );
    }
}

/// If there are more segments than groups, a spare segment is the first to go to a customer who is far off.
#[test]
fn a_segment_to_spare_is_not_taken_up_by_one_customer() {
    for k in [6, 8] {
        for spoil in [
            |vectors: &mut [Vec<f64>]| vectors[7] = vec![100.0; FEATURES],
            |vectors: &mut [Vec<f64>]| vectors[7] = vec![1e30; FEATURES],
        ] {
            for version in lived((k, k), spoil) {
                let weights: Vec<f64> = version
                    .segmentation()
                    .segments
                    .iter()
                    .map(|s| s.weight)
                    .collect();
                let is_fit = weights.iter().all(|weight| *weight > 50.0);
                assert!(is_fit && weights.len() == k, "{weights:?}");
            }
        }
    }
}

/// Twelve customers who are alike are a segment, however far off: that many are no accident.
#[test]
fn a_group_far_off_is_a_segment() {
    let far: fn(&mut [Vec<f64>]) = |vectors| {
        let own = vectors.iter_mut().step_by(80);
        own.for_each(|vector| vector.iter_mut().for_each(|x| *x += 40.0));
    };
    let [first, last] = lived((2, 12), far);
    assert!(
        first.segmentation().segments.len() > GROUPS || last.segmentation().segments.len() > GROUPS
    );
}

/// A tail is no outlier: without a logarithm, too, the largest revenue counts.
#[test]
fn a_long_tail_is_learnt_from() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let vectors: Vec<Vec<f64>> = (0..2000).map(|_| vec![(2.0 * normal()).exp()]).collect();
    let parts = learnt(1, policy(1, 1), &vectors);
    assert_eq!(parts.segmentation().segments[0].weight, 2000.0);
    let most = vectors.iter().map(|vector| vector[0]).fold(0.0, f64::max);
    assert!(most > 500.0, "{most}");
}

/// Whether a customer is an outlier of a model.
fn is_outlier(model: &Model, vector: &[f64]) -> bool {
    let mut scaled = Vec::new();
    model.segmentation().scaled(vector, &mut scaled);
    let (index, distance) = model.segmentation().score(&scaled, &mut Scratch::default());
    model.segmentation().is_outlier(&scaled, index, distance)
}

#[test]
fn who_is_beyond_the_fence_of_every_segment_is_an_outlier() {
    for parts in lived((GROUPS, GROUPS), |_| {}) {
        let model = Model::new(&plan(FEATURES), parts).unwrap();
        let marked = usual(99)
            .iter()
            .filter(|vector| is_outlier(&model, vector))
            .count();
        assert!(
            marked <= 3,
            "{marked} of a thousand customers like those it has learnt from"
        );
        assert!(is_outlier(&model, &[20.0; FEATURES]));
        assert!(is_outlier(&model, &[1e30; FEATURES]));
        assert!(is_outlier(&model, &[-1e200; FEATURES]));
    }
}

/// Nine in ten customers of one segment are equal, and those of the other differ only slightly. A slight
/// difference makes no outlier.
#[test]
fn equal_customers_make_nobody_an_outlier() {
    let mut vectors = vec![vec![0.0, 0.0]; 300];
    vectors.extend((0..300).map(|i| vec![50.0 + 1e-7 * f64::from(i % 7), 50.0]));
    (0..30).for_each(|i| vectors[10 * i][0] = 1.0);
    let parts = learnt(2, policy(2, 2), &vectors);
    let model = Model::new(&plan(2), parts.clone()).unwrap();
    let marked = vectors.iter().filter(|vector| is_outlier(&model, vector));
    assert_eq!(marked.count(), 0, "{:?}", parts.segmentation().segments);
    let all_equal = learnt(2, policy(2, 2), &vec![vec![3.0, 4.0]; 500]);
    assert!(
        all_equal
            .segmentation()
            .segments
            .iter()
            .all(|s| s.outlier_threshold.is_none())
    );
}

#[test]
fn of_fewer_than_32_customers_nobody_is_an_outlier() {
    let some = |count: usize| learnt(FEATURES, policy(2, 2), &usual(0)[..count]);
    let thresholds = |count| {
        some(count)
            .segmentation()
            .segments
            .iter()
            .filter(|s| s.outlier_threshold.is_some())
            .count()
    };
    assert_eq!((thresholds(31), thresholds(32)), (0, 2));
}

/// Tukey's outer fence, computed the plain way.
fn fence(mut distances: Vec<f64>) -> f64 {
    distances.sort_by(f64::total_cmp);
    let at = |share: f64| distances[(share * distances.len() as f64).ceil() as usize - 1];
    at(0.75) + 3.0 * (at(0.75) - at(0.25))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_threshold_is_the_fence_of_all_or_of_the_own_members(
        vectors in prop::collection::vec(prop::collection::vec(-3.0..3.0_f64, 2), 100..200),
    ) {
        let parts = learnt(2, policy(2, 2), &vectors);
        let model = Model::new(&plan(2), parts.clone()).unwrap();
        let mut own = vec![Vec::new(); parts.segmentation().segments.len()];
        let mut scaled = Vec::new();
        for vector in &vectors {
            model.segmentation().scaled(vector, &mut scaled);
            let (index, distance) = model.segmentation().score(&scaled, &mut Scratch::default());
            own[index].push(distance);
        }
        let all = fence(own.concat());
        for (segment, own) in parts.segmentation().segments.iter().zip(own) {
            // A customer at the border between two segments may have been counted with the other.
            let expected = if own.len() >= 34 { all.max(fence(own)) } else { all };
            let threshold = segment.outlier_threshold.unwrap();
            prop_assert!((threshold / expected - 1.0).abs() < 0.15, "{threshold} {expected}");
        }
    }
}
