//! The simplified silhouette.

use flockwise_kmeans::{Points, assign, fit, simplified_silhouette};
use ndarray::{Array2, array};
use proptest::prelude::*;

use crate::seeding::square;
use crate::support::{
    any_sample, at_points, is_close, naive_nearest, repeated, sample, whole, without,
};

/// The silhouette computed point by point from the definition.
fn naive_silhouette(points: &Points, centroids: &Array2<f64>) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (point, weight) in points.iter() {
        let (own, a) = naive_nearest(centroids, point);
        let others = without(centroids, own);
        let (a, b) = (a.sqrt(), naive_nearest(&others, point).1.sqrt());
        sum += weight * if b > 0.0 { (b - a) / a.max(b) } else { 0.0 };
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

fn picks() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 2..6)
}

proptest! {
    #[test]
    fn it_is_the_mean_of_that_of_each_point(points in any_sample(), picks in picks()) {
        let centroids = at_points(&points, &picks);
        let naive = naive_silhouette(&points, &centroids);
        let found = simplified_silhouette(&points, &assign(&points, centroids));
        prop_assert!((found - naive).abs() < 1e-12, "{found} and {naive}");
        prop_assert!((0.0..=1.0).contains(&found), "each point is with its nearest: {found}");
    }

    #[test]
    fn a_weight_stands_for_so_many_points(points in whole(), picks in picks()) {
        let centroids = at_points(&points, &picks);
        let counted = repeated(&points);
        let counted = simplified_silhouette(&counted, &assign(&counted, centroids.clone()));
        let weighted = simplified_silhouette(&points, &assign(&points, centroids));
        prop_assert!(is_close(weighted, counted, 1e-12), "{weighted} and {counted}");
    }
}

#[test]
fn it_peaks_at_the_number_of_groups() {
    let points = square();
    let score = |k| simplified_silhouette(&points, &fit(&points, k, 5, 1));
    let best = (2..8).max_by(|left, right| score(*left).total_cmp(&score(*right)));
    assert_eq!(best, Some(4));
}

#[test]
fn a_point_with_the_wrong_centroid_counts_against_it() {
    let points = sample(1, &[(vec![1.0], 1.0), (vec![10.0], 3.0)]);
    let mut fit = assign(&points, array![[0.0], [10.0]]);
    assert_eq!(fit.labels, [0, 1]);
    assert!(is_close(
        simplified_silhouette(&points, &fit),
        (8.0 / 9.0 + 3.0) / 4.0,
        1e-15
    ));
    fit.labels = vec![1, 0];
    assert!(is_close(
        simplified_silhouette(&points, &fit),
        (-8.0 / 9.0 - 3.0) / 4.0,
        1e-15
    ));
}

#[test]
fn one_centroid_and_points_without_weight_have_none() {
    let points = square();
    assert_eq!(simplified_silhouette(&points, &fit(&points, 1, 1, 1)), 0.0);
    let weightless = sample(1, &[(vec![1.0], 0.0), (vec![2.0], 0.0)]);
    let fit = assign(&weightless, array![[1.0], [2.0]]);
    assert_eq!(simplified_silhouette(&weightless, &fit), 0.0);
}

#[test]
fn a_centroid_beyond_all_distances_is_just_far() {
    let points = sample(1, &[(vec![1.0], 1.0)]);
    let score = |centroids| simplified_silhouette(&points, &assign(&points, centroids));
    assert_eq!(score(array![[0.0], [1e200]]), 1.0);
    assert_eq!(score(array![[1e200], [-1e200]]), 0.0);
}
