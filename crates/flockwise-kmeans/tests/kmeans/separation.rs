//! One group or two.

use flockwise_kmeans::{Points, Separation, bisect};
use proptest::prelude::*;

use crate::support::{
    any_sample, is_close, naive_means, normal, repeated, sample, together, whole,
};

/// The indices of the first `first` points, and those of the others.
fn sides(points: &Points, first: usize) -> [Vec<usize>; 2] {
    [(0..first).collect(), (first..points.len()).collect()]
}

fn at(points: &Points, first: usize) -> Option<Separation> {
    let [left, right] = sides(points, first);
    Separation::between(points, &left, &right)
}

/// The separation of the points below a value of the first dimension from the others.
fn below(points: &Points, value: f64) -> Separation {
    let (left, right): (Vec<usize>, Vec<usize>) =
        (0..points.len()).partition(|index| points.point(*index)[0] < value);
    Separation::between(points, &left, &right).unwrap()
}

/// Share and ratio, computed from the places of all points along the unit vector between the means.
fn naive(points: &Points, first: usize) -> Option<(f64, f64)> {
    let labels: Vec<usize> = (0..points.len())
        .map(|index| usize::from(index >= first))
        .collect();
    let means = naive_means(points, &labels, 2).0;
    let (from, to) = (means[0].as_ref()?, means[1].as_ref()?);
    let distance = from
        .iter()
        .zip(to)
        .map(|(from, to)| (to - from).powi(2))
        .sum::<f64>()
        .sqrt();
    let mut line = Points::new(1);
    for (point, weight) in points.iter() {
        let place = point
            .iter()
            .zip(from.iter().zip(to))
            .map(|(x, (from, to))| (x - from) * ((to - from) / distance));
        line.push(&[place.sum()], weight);
    }
    let total: f64 = points.iter().map(|(_, weight)| weight).sum();
    let share = (first..points.len())
        .map(|index| points.weight(index))
        .sum::<f64>()
        / total;
    let within = naive_means(&line, &labels, 2).1 / total;
    Some((share, share * (1.0 - share) * distance * distance / within))
}

fn moved(points: &Points, to: impl Fn(&[f64]) -> Vec<f64>) -> Points {
    let mut moved = Points::new(points.dimensions());
    for (point, weight) in points.iter() {
        moved.push(&to(point), weight);
    }
    moved
}

fn is_alike(left: Option<Separation>, right: Option<Separation>, relative: f64) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            is_close(left.count, right.count, relative)
                && (left.share - right.share).abs() <= relative
                && is_close(left.ratio, right.ratio, relative)
                && is_close(left.penalty(), right.penalty(), relative)
        }
        (left, right) => left == right,
    }
}

/// Two groups of points with weight, whose means are too far apart to coincide by chance.
fn two() -> impl Strategy<Value = (Points, usize)> {
    let point = || prop::collection::vec(-1.0..1.0_f64, 3);
    let rows = || prop::collection::vec((point(), 0.1..10.0_f64), 2..20);
    (rows(), rows()).prop_map(|(left, mut right)| {
        for (point, _) in &mut right {
            point[1] += 2.5;
        }
        let first = left.len();
        (sample(3, &[left, right].concat()), first)
    })
}

proptest! {
    #[test]
    fn share_and_ratio_are_those_along_the_line((points, first) in two()) {
        let found = at(&points, first).unwrap();
        let (share, ratio) = naive(&points, first).unwrap();
        prop_assert!(is_close(found.share, share, 1e-12));
        prop_assert!(is_close(found.ratio, ratio, 1e-9), "{} and {ratio}", found.ratio);
        let entropy = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
        prop_assert!((found.gain() - (0.5 * (1.0 + ratio).ln() - entropy)).abs() < 1e-9);
    }

    #[test]
    fn the_count_is_kishs((points, first) in two()) {
        let weights: Vec<f64> = points.iter().map(|(_, weight)| weight).collect();
        let kish = weights.iter().sum::<f64>().powi(2) / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let found = at(&points, first).unwrap();
        prop_assert!(is_close(found.count, kish, 1e-12));
        prop_assert!(is_close(found.penalty(), 4.0 * kish.ln() / (2.0 * kish), 1e-12));
    }

    #[test]
    fn neither_scale_nor_place_make_a_difference((points, first) in two(), power in -250_i32..250, offset in -100.0..100.0_f64) {
        let found = at(&points, first);
        let scaled = moved(&points, |point| point.iter().map(|x| x * 10.0_f64.powi(power)).collect());
        prop_assert!(is_alike(found, at(&scaled, first), 1e-9));
        let shifted = moved(&points, |point| point.iter().map(|x| x + offset).collect());
        prop_assert!(is_alike(found, at(&shifted, first), 1e-9));
    }

    #[test]
    fn neither_the_order_of_dimensions_nor_a_rotation_make_a_difference((points, first) in two(), angle in 0.0..std::f64::consts::TAU) {
        let found = at(&points, first);
        let reordered = moved(&points, |point| vec![point[2], point[0], point[1]]);
        prop_assert!(is_alike(found, at(&reordered, first), 1e-9));
        let (sin, cos) = angle.sin_cos();
        let rotated = moved(&points, |point| vec![point[0], cos * point[1] - sin * point[2], sin * point[1] + cos * point[2]]);
        prop_assert!(is_alike(found, at(&rotated, first), 1e-9));
    }

    #[test]
    fn the_unit_of_weights_makes_no_difference((points, first) in two(), power in -300_i32..150) {
        let mut decayed = Points::new(points.dimensions());
        for (point, weight) in points.iter() {
            decayed.push(point, weight * 10.0_f64.powi(power));
        }
        prop_assert!(is_alike(at(&points, first), at(&decayed, first), 1e-9));
    }

    #[test]
    fn left_and_right_make_no_difference((points, first) in two()) {
        let [left, right] = sides(&points, first);
        let found = Separation::between(&points, &left, &right).unwrap();
        let mirrored = Separation::between(&points, &right, &left).unwrap();
        prop_assert!(is_close(found.ratio, mirrored.ratio, 1e-12));
        prop_assert!((found.share - (1.0 - mirrored.share)).abs() < 1e-12);
        prop_assert!((found.gain() - mirrored.gain()).abs() < 1e-12);
    }

    #[test]
    fn a_weight_stands_for_so_many_points_but_not_for_their_certainty(points in whole(), cut in any::<prop::sample::Index>()) {
        let first = cut.index(points.len());
        let counted_first = points.iter().take(first).map(|(_, weight)| weight as usize).sum();
        let counted = repeated(&points);
        match (at(&points, first), at(&counted, counted_first)) {
            (Some(weighted), Some(counted)) => {
                prop_assert!(is_close(weighted.share, counted.share, 1e-12));
                let alike = is_close(1.0 / weighted.ratio, 1.0 / counted.ratio, 1e-9);
                // Means that coincide may differ by a rounding, and so may places.
                let is_nothing = weighted.ratio.max(counted.ratio) < 1e-20;
                let is_endless = weighted.ratio.min(counted.ratio) > 1e20;
                prop_assert!(alike || is_nothing || is_endless, "{weighted:?} and {counted:?}");
                prop_assert!(weighted.count <= counted.count * (1.0 + 1e-12));
            }
            (weighted, counted) => {
                let found = weighted.or(counted);
                prop_assert!(found.is_none_or(|found| found.ratio < 1e-20), "{found:?}");
            }
        }
    }

    #[test]
    fn nothing_is_both_one_and_two(points in any_sample(), cut in any::<prop::sample::Index>()) {
        if let Some(found) = at(&points, cut.index(points.len())) {
            prop_assert!(!(found.is_one() && found.is_two()), "{found:?}");
            prop_assert!(found.is_one() || !found.gain().is_nan(), "{found:?}");
            prop_assert!((0.0..=1.0).contains(&found.share) && found.count >= 1.0 - 1e-12);
        }
    }
}

#[test]
fn a_normal_distribution_cut_in_two_is_one() {
    for dimensions in [1, 2, 5, 10] {
        let points = normal(7, 2000, &vec![0.0; dimensions]);
        for value in [-2.0, -1.0, -0.3, 0.0, 0.6, 1.5, 2.5] {
            let found = below(&points, value);
            // A tail alone has too few points to decide.
            let is_said = found.is_one() || value.abs() > 1.0;
            assert!(
                is_said && !found.is_two(),
                "{dimensions}, {value}: {found:?}"
            );
        }
    }
}

/// The same holds for the best cut in any direction.
#[test]
fn a_normal_distribution_cut_at_its_best_is_one() {
    for (dimensions, count) in [(1, 500), (2, 1000), (5, 2000), (10, 4000)] {
        let points = normal(8, count, &vec![0.0; dimensions]);
        for seed in 0..5 {
            let cut = bisect(&points, seed);
            let (right, left): (Vec<usize>, Vec<usize>) =
                (0..count).partition(|index| cut.is_second[*index]);
            let found = Separation::between(&points, &left, &right).unwrap();
            assert!(
                found.is_one() && !found.is_two(),
                "{dimensions}, {count}: {found:?}"
            );
        }
    }
}

#[test]
fn groups_six_deviations_apart_are_two() {
    for dimensions in [1, 3, 8] {
        for (left, right) in [(500, 500), (100, 50), (1000, 40), (60, 60)] {
            let mut centre = vec![0.0; dimensions];
            let bulk = normal(5, left, &centre);
            centre[dimensions - 1] = 6.0;
            let found = at(&together(&bulk, &normal(6, right, &centre)), left).unwrap();
            assert!(
                found.is_two() && !found.is_one(),
                "{dimensions}, {left} and {right}: {found:?}"
            );
        }
    }
}

/// A uniform distribution cut in the middle neither gains nor loses.
#[test]
fn a_uniform_distribution_cut_in_two_is_neither() {
    for count in [500, 5000] {
        let rows: Vec<(Vec<f64>, f64)> = (0..count)
            .map(|index| (vec![f64::from(index)], 1.0))
            .collect();
        let found = below(&sample(1, &rows), f64::from(count) / 2.0);
        assert!(found.gain().abs() < 1e-5, "{}", found.gain());
        assert!(!found.is_one() && !found.is_two(), "{found:?}");
    }
}

#[test]
fn what_cannot_be_told_apart_has_no_separation() {
    let alike = sample(2, &vec![(vec![0.1, 1e9 / 7.0], 0.3); 100]);
    for first in [0, 1, 3, 50, 97, 100] {
        assert_eq!(at(&alike, first), None, "{first}");
    }
    let weightless = sample(1, &[(vec![0.0], 1.0), (vec![1.0], 0.0), (vec![2.0], 0.0)]);
    assert_eq!(at(&weightless, 1), None);
    let around = sample(1, &[(vec![-1.0], 1.0), (vec![1.0], 1.0), (vec![0.0], 1.0)]);
    assert_eq!(at(&around, 2), None);
}

/// Few points, and groups that have almost decayed, are neither one nor two.
#[test]
fn of_few_neither_is_said() {
    for count in [10, 30, 100] {
        let found = below(&normal(9, count, &[0.0]), 0.0);
        assert!(!found.is_one() && !found.is_two(), "{count}: {found:?}");
    }
    for weight in [1e-5, 1e-12, 1e-200] {
        let mut points = normal(3, 200, &[0.0]);
        for index in 0..20 {
            points.push(&[2.0 + 0.05 * f64::from(index)], weight);
        }
        let found = at(&points, 200).unwrap();
        assert!(!found.is_one() && !found.is_two(), "{weight}: {found:?}");
    }
}
