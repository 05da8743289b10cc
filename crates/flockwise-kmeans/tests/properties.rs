//! Fast paths against their naive twins.
#![allow(clippy::unwrap_used)]

use flockwise_kmeans::{Delta, Kernel, Nearest, Scratch, fit, simplified_silhouette};
use ndarray::Array2;
use proptest::prelude::*;

/// The exhaustive search in double precision.
fn naive_nearest(centroids: &[f64], dimensions: usize, point: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (index, centroid) in centroids.chunks_exact(dimensions).enumerate() {
        let squared: f64 = centroid
            .iter()
            .zip(point)
            .map(|(c, x)| (x - c) * (x - c))
            .sum();
        if squared < best.1 {
            best = (index, squared);
        }
    }
    best
}

/// Coordinates as they come: ordinary, far off, tiny differences, exact ties.
fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![
        -10.0..10.0_f64,
        (-3_i32..3).prop_map(f64::from),
        (-3_i32..3).prop_map(|x| 1000.0 + f64::from(x) * 1e-7),
        prop_oneof![Just(1e30), Just(-1e30), Just(1e-30), Just(1e300)],
    ]
}

fn case() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f64>)> {
    (1_usize..20, 1_usize..40).prop_flat_map(|(dimensions, count)| {
        (
            Just(dimensions),
            prop::collection::vec(coordinate(), dimensions * count),
            prop::collection::vec(coordinate(), dimensions),
        )
    })
}

proptest! {
    #[test]
    fn every_kernel_finds_what_the_exhaustive_search_finds((dimensions, centroids, point) in case()) {
        let expected = naive_nearest(&centroids, dimensions, &point);
        for kernel in Kernel::available() {
            let nearest = Nearest::with_kernel(&centroids, dimensions, kernel);
            let hit = nearest.nearest(&point, &mut Scratch::default());
            prop_assert_eq!((hit.centroid, hit.squared), expected, "{:?}", kernel);
        }
    }

    #[test]
    fn merging_deltas_is_adding_their_points(points in prop::collection::vec((0_usize..3, -5.0..5.0_f64, -5.0..5.0_f64), 0..40), cut in 0_usize..40) {
        let cut = cut.min(points.len());
        let add = |points: &[(usize, f64, f64)]| {
            let mut delta = Delta::new(3, 2);
            for (centroid, x, y) in points {
                delta.add(*centroid, &[*x, *y]);
            }
            delta
        };
        let whole = add(&points);
        let mut parts = add(&points[..cut]);
        parts.merge(&add(&points[cut..]));
        prop_assert_eq!(&whole.counts, &parts.counts);
        for (left, right) in whole.sums.iter().zip(&parts.sums) {
            prop_assert!((left - right).abs() < 1e-9);
        }
    }

    #[test]
    fn a_moved_centroid_is_the_mean_of_all_it_stands_for(old in prop::collection::vec(-5.0..5.0_f64, 1..20), new in prop::collection::vec(-5.0..5.0_f64, 1..20)) {
        let mean = |xs: &[f64]| xs.iter().sum::<f64>() / xs.len() as f64;
        let mut centroid = [mean(&old)];
        let mut delta = Delta::new(1, 1);
        for x in &new {
            delta.add(0, &[*x]);
        }
        let weight = delta.move_centroid(0, old.len() as f64, &mut centroid);
        let all: Vec<f64> = old.iter().chain(&new).copied().collect();
        prop_assert!((centroid[0] - mean(&all)).abs() < 1e-9);
        prop_assert_eq!(weight, all.len() as f64);
    }
}

/// Four tight groups at the corners of a square.
fn square() -> Array2<f64> {
    let mut points = Vec::new();
    for index in 0..80 {
        let (corner, step) = (index % 4, f64::from(index / 4) * 0.01);
        points.extend([
            f64::from(corner % 2) * 10.0 + step,
            f64::from(corner / 2) * 10.0 - step,
        ]);
    }
    Array2::from_shape_vec((80, 2), points).unwrap()
}

#[test]
fn groups_are_found_and_the_seed_alone_decides() {
    let points = square();
    let found = fit(points.view(), 4, 5, 7);
    assert!(found.inertia < 1.5, "inertia {}", found.inertia);
    for index in 0..80 {
        assert_eq!(found.labels[index], found.labels[index % 4]);
    }
    assert_eq!(found.centroids, fit(points.view(), 4, 5, 7).centroids);
}

#[test]
fn the_silhouette_peaks_at_the_number_of_groups() {
    let points = square();
    let score = |k| simplified_silhouette(points.view(), &fit(points.view(), k, 5, 1));
    let best = (2..8).max_by(|left, right| score(*left).total_cmp(&score(*right)));
    assert_eq!(best, Some(4));
}

#[test]
fn fewer_distinct_points_than_centroids_are_no_trouble() {
    let points = Array2::from_elem((5, 3), 2.5);
    let found = fit(points.view(), 4, 3, 1);
    assert_eq!(found.inertia, 0.0);
    assert!(found.centroids.iter().all(|x| *x == 2.5));
}
