//! Lloyd's iterations.

use flockwise_kmeans::{Fit, Points, assign, lloyd};
use ndarray::{Array2, array};
use proptest::prelude::*;

use crate::support::{
    any_sample, at_points, is_close, naive_means, naive_nearest, repeated, sample, whole,
};

fn naive_assign(points: &Points, centroids: &Array2<f64>) -> (Vec<usize>, f64) {
    let hits = points
        .iter()
        .map(|(point, weight)| (naive_nearest(centroids, point), weight));
    let hits: Vec<((usize, f64), f64)> = hits.collect();
    let labels = hits.iter().map(|((label, _), _)| *label).collect();
    let inertia = hits.iter().map(|((_, squared), weight)| weight * squared);
    (labels, inertia.sum())
}

fn naive_lloyd(points: &Points, mut centroids: Array2<f64>) -> (Array2<f64>, Vec<usize>, f64) {
    let (mut labels, mut inertia) = naive_assign(points, &centroids);
    for _ in 0..100 {
        let (means, _) = naive_means(points, &labels, centroids.nrows());
        for (mut centroid, mean) in centroids.rows_mut().into_iter().zip(means) {
            if let Some(mean) = mean {
                centroid.assign(&mean);
            }
        }
        let before = inertia;
        (labels, inertia) = naive_assign(points, &centroids);
        if before - inertia <= 1e-5 * before {
            break;
        }
    }
    (centroids, labels, inertia)
}

/// A sample and starting centroids: some of its points, which may coincide, and perhaps one far from all points.
fn start(sample: impl Strategy<Value = Points>) -> impl Strategy<Value = (Points, Array2<f64>)> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..6);
    (sample, picks, any::<bool>()).prop_map(|(points, picks, is_one_far)| {
        let mut centroids = at_points(&points, &picks);
        if is_one_far {
            let far = vec![1000.0; points.dimensions()];
            centroids.push_row((&far).into()).unwrap();
        }
        (points, centroids)
    })
}

fn weights(points: &Points, fit: &Fit, label: usize) -> f64 {
    let own = points.iter().zip(&fit.labels);
    own.filter(|(_, of)| **of == label)
        .map(|((_, weight), _)| weight)
        .sum()
}

proptest! {
    #[test]
    fn each_point_goes_to_the_nearest_and_counts_by_weight((points, centroids) in start(any_sample())) {
        let fit = assign(&points, centroids.clone());
        let (labels, inertia) = naive_assign(&points, &centroids);
        prop_assert_eq!(&fit.centroids, &centroids);
        prop_assert_eq!(&fit.labels, &labels);
        prop_assert!(is_close(fit.inertia, inertia, 1e-12), "{} and {inertia}", fit.inertia);
        prop_assert_eq!(fit.k(), centroids.nrows());
        for label in 0..fit.k() {
            prop_assert!(is_close(fit.weights[label], weights(&points, &fit, label), 1e-12));
        }
    }

    #[test]
    fn centroids_move_to_the_means((points, centroids) in start(whole())) {
        let fit = lloyd(&points, centroids.clone());
        let (centroids, labels, inertia) = naive_lloyd(&points, centroids);
        prop_assert_eq!(&fit.labels, &labels);
        prop_assert_eq!(&fit.centroids, &centroids);
        prop_assert!(is_close(fit.inertia, inertia, 1e-12), "{} and {inertia}", fit.inertia);
    }

    #[test]
    fn a_weight_stands_for_so_many_points((points, centroids) in start(whole())) {
        let weighted = lloyd(&points, centroids.clone());
        let counted = lloyd(&repeated(&points), centroids);
        prop_assert_eq!(&weighted.centroids, &counted.centroids);
        prop_assert_eq!(&weighted.weights, &counted.weights);
        prop_assert!(is_close(weighted.inertia, counted.inertia, 1e-12));
    }

    #[test]
    fn inertia_never_rises_and_labels_are_the_nearest((points, centroids) in start(any_sample())) {
        let before = assign(&points, centroids.clone());
        let after = lloyd(&points, centroids);
        prop_assert!(after.inertia <= before.inertia, "{} to {}", before.inertia, after.inertia);
        prop_assert_eq!(&assign(&points, after.centroids.clone()), &after);
    }

    #[test]
    fn members_are_all_points_by_label((points, centroids) in start(whole())) {
        let fit = assign(&points, centroids.clone());
        let members = fit.members();
        prop_assert_eq!(members.len(), fit.k());
        prop_assert_eq!(members.iter().map(Vec::len).sum::<usize>(), points.len());
        for (label, members) in members.iter().enumerate() {
            prop_assert!(members.is_sorted());
            prop_assert!(members.iter().all(|member| fit.labels[*member] == label));
            prop_assert_eq!(fit.centroids.row(label), centroids.row(label));
        }
    }
}

#[test]
fn a_centroid_without_weight_stays_where_it_is() {
    let rows = [(vec![0.0], 1.0), (vec![1.0], 1.0), (vec![9.0], 0.0)];
    let fit = lloyd(&sample(1, &rows), array![[0.0], [8.0], [100.0]]);
    assert_eq!(fit.centroids, array![[0.5], [8.0], [100.0]]);
    assert_eq!(fit.weights, [2.0, 0.0, 0.0]);
    assert_eq!((fit.labels, fit.inertia), (vec![0, 0, 1], 0.5));
}

#[test]
fn where_nothing_weighs_anything_nothing_moves() {
    let rows = [(vec![0.1, 1.0], 0.0), (vec![1.0, 1e30], 0.0)];
    let fit = lloyd(&sample(2, &rows), array![[0.0, 3.0], [0.7, 0.7]]);
    assert_eq!(fit.centroids, array![[0.0, 3.0], [0.7, 0.7]]);
    assert_eq!((fit.weights, fit.inertia), (vec![0.0, 0.0], 0.0));
}

/// The mean of many points has a rounding error. Equal points would then no longer be at distance zero.
#[test]
fn equal_points_stay_at_no_distance() {
    let fit = lloyd(&sample(1, &vec![(vec![0.1], 0.3); 1000]), array![[0.1]]);
    assert_eq!((fit.centroids, fit.inertia), (array![[0.1]], 0.0));
}
