//! The best cut of a sample in two.

use flockwise_kmeans::{Bisection, Points, bisect};
use ndarray::array;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::{all, any_sample, is_close, naive_means, normal, sample, together, whole};

fn labels(halves: &Bisection) -> Vec<usize> {
    halves
        .is_second
        .iter()
        .map(|side| usize::from(*side))
        .collect()
}

/// The inertia of the best cut across one dimension at the mean, and the inertia without a cut.
fn naive_cut(points: &Points) -> (f64, f64) {
    let (means, whole) = naive_means(points, &vec![0; points.len()], 1);
    let Some(mean) = &means[0] else {
        return (0.0, 0.0);
    };
    let cut = |dimension: usize| {
        let side = |index| usize::from(points.point(index)[dimension] > mean[dimension]);
        let sides: Vec<usize> = (0..points.len()).map(side).collect();
        naive_means(points, &sides, 2).1
    };
    let best = (0..points.dimensions()).map(cut).fold(whole, f64::min);
    (best, whole)
}

proptest! {
    #[test]
    fn means_and_inertia_are_those_of_the_sides(points in any_sample(), seed in 0_u64..9) {
        let found = bisect(&points, seed);
        prop_assert_eq!(found.is_second.len(), points.len());
        let (means, inertia) = naive_means(&points, &labels(&found), 2);
        let size = points.iter().flat_map(|(point, _)| point).fold(0.0_f64, |size, x| size.max(x.abs()));
        for (centroid, mean) in found.centroids.iter().zip(means) {
            for (x, mean) in centroid.iter().zip(mean.unwrap_or_else(|| centroid.clone())) {
                prop_assert!((x - mean).abs() <= 1e-13 * size, "{x} and {mean}");
            }
        }
let rounding = points.iter().map(|(_, weight)| weight).sum::<f64>() * (1e-14 * size).powi(2);
        prop_assert!((found.inertia - inertia).abs() <= 1e-9 * inertia + rounding, "{} and {inertia}", found.inertia);
    }

    #[test]
    fn what_differs_is_cut(points in any_sample(), seed in 0_u64..9) {
        let with_weight: Vec<usize> = (0..points.len()).filter(|index| points.weight(*index) > 0.0).collect();
        let differs = with_weight.iter().any(|index| points.point(*index) != points.point(with_weight[0]));
        let found = bisect(&points, seed);
        let second = with_weight.iter().filter(|index| found.is_second[**index]).count();
        prop_assert_eq!(differs, second > 0 && second < with_weight.len());
    }

    #[test]
    fn points_without_weight_change_nothing(points in any_sample(), more in prop::collection::vec(-1e3..1e3_f64, 0..9), seed in 0_u64..9) {
        prop_assume!(points.iter().any(|(_, weight)| weight > 0.0));
        let mut others = Points::new(points.dimensions());
        for x in more {
            others.push(&vec![x; points.dimensions()], 0.0);
        }
        let (with, without) = (bisect(&together(&points, &others), seed), bisect(&points, seed));
        prop_assert_eq!(&with.is_second[..points.len()], &without.is_second);
        prop_assert_eq!((&with.centroids, with.inertia), (&without.centroids, without.inertia));
    }

    #[test]
    fn the_unit_makes_no_difference(points in any_sample(), seed in 0_u64..9, power in -20_i32..20) {
        let unit = 2.0_f64.powi(power);
        let mut scaled = Points::new(points.dimensions());
        for (point, weight) in points.iter() {
            scaled.push(&point.iter().map(|x| x * unit).collect::<Vec<f64>>(), weight);
        }
        let (found, scaled) = (bisect(&points, seed), bisect(&scaled, seed));
        prop_assert_eq!(&found.is_second, &scaled.is_second);
        prop_assert_eq!(found.inertia * unit * unit, scaled.inertia);
    }
}

/// 2-means stops when no point changes sides. It rarely misses the best cut, and never by much.
#[test]
fn a_cut_across_a_dimension_is_seldom_better() {
    let mut runner = TestRunner::deterministic();
    let (cases, mut worse, mut most) = (4000, 0, 0.0_f64);
    for _ in 0..cases {
        let points = whole().new_tree(&mut runner).unwrap().current();
        let (best, total) = naive_cut(&points);
        if total > 0.0 {
            let excess = (bisect(&points, 3).inertia - best) / total;
            worse += usize::from(excess > 1e-9);
            most = most.max(excess);
        }
    }
    assert!(worse <= cases / 20, "{worse} of {cases}");
    assert!(most < 0.2, "by {most} of the inertia");
}

#[test]
fn a_small_remote_group_is_found() {
    for dimensions in [1, 2, 5, 10] {
        let mut centre = vec![0.0; dimensions];
        let bulk = normal(1, 400, &centre);
        centre[dimensions / 2] = 15.0;
        let points = together(&bulk, &normal(2, 8, &centre));
        for seed in 0..10 {
            let found = bisect(&points, seed);
            let is_remote = |index: usize| found.is_second[index] != found.is_second[0];
            let remote: Vec<usize> = (0..points.len())
                .filter(|index| is_remote(*index))
                .collect();
            assert_eq!(
                remote,
                (400..408).collect::<Vec<usize>>(),
                "{dimensions}, seed {seed}"
            );
        }
    }
}

#[test]
fn two_groups_are_cut_apart_whatever_their_direction() {
    for (seed, towards) in [[6.0, 0.0, 0.0], [4.0, -4.0, 2.0], [-3.5, -3.5, -3.5]]
        .iter()
        .enumerate()
    {
        let far_off = |x: &f64| 1e7 + x;
        let left = normal(seed as u64, 150, &[1e7; 3]);
        let right = normal(9, 50, &towards.iter().map(far_off).collect::<Vec<f64>>());
        let found = bisect(&together(&left, &right), 5);
        let wrong = (0..200)
            .filter(|index| found.is_second[*index] != (*index >= 150))
            .count();
        let wrong = wrong.min(200 - wrong);
        assert!(wrong <= 2, "{towards:?}: {wrong}");
    }
}

/// Relative to their mean, the other points are 1e28 away and have lost their digits.
#[test]
fn beside_one_endlessly_far_the_others_keep_their_digits() {
    let rest = normal(4, 99, &[0.0, 0.0]);
    let found = bisect(&together(&sample(2, &[(vec![1e30, -1e30], 1.0)]), &rest), 1);
    let rest_side = usize::from(found.is_second[1]);
    assert!(
        found.is_second[1..]
            .iter()
            .all(|side| usize::from(*side) == rest_side)
    );
    assert_eq!(found.centroids[rest_side], rest.mean(&all(&rest)));
    assert_eq!(found.centroids[1 - rest_side], array![1e30, -1e30]);
    let (_, inertia) = naive_means(&rest, &[0; 99], 1);
    assert!(is_close(found.inertia, inertia, 1e-12), "{}", found.inertia);
}

#[test]
fn equal_points_are_all_on_one_side() {
    for x in [0.0, 0.1, -1e15 / 3.0, 1e30, 1e-200] {
        let rows: Vec<(Vec<f64>, f64)> = (1..50)
            .map(|index| (vec![x, 0.7], f64::from(index) / 7.0))
            .collect();
        let found = bisect(&sample(2, &rows), 1);
        assert_eq!(found.centroids, [array![x, 0.7], array![x, 0.7]]);
        assert_eq!((found.inertia, found.is_second), (0.0, vec![false; 49]));
    }
}

#[test]
fn a_single_point_is_its_own_mean() {
    let found = bisect(&sample(2, &[(vec![0.3, 1e15], 0.2)]), 1);
    assert_eq!(found.centroids, [array![0.3, 1e15], array![0.3, 1e15]]);
    assert_eq!((found.inertia, found.is_second), (0.0, vec![false]));
}

#[test]
fn where_nothing_weighs_anything_all_is_finite() {
    let found = bisect(&sample(1, &[(vec![0.3], 0.0), (vec![1e30], 0.0)]), 1);
    assert!(
        found
            .centroids
            .iter()
            .all(|centroid| centroid[0].is_finite())
    );
    assert_eq!(found.inertia, 0.0);
}

#[test]
fn what_has_no_finite_squares_still_has_finite_means() {
    let rows = [
        (vec![1e200, 1.0], 1.0),
        (vec![-1e200, 0.0], 1.0),
        (vec![3.0, 2.0], 1.0),
    ];
    let found = bisect(&sample(2, &rows), 1);
    assert!(
        found.centroids.iter().flatten().all(|x| x.is_finite()),
        "{found:?}"
    );
    assert_eq!(found.inertia, f64::INFINITY);
}
