//! Fast paths against their naive twins.
#![allow(clippy::unwrap_used)]

use flockwise_kmeans::{Delta, Kernel, Nearest, Scratch, fit, simplified_silhouette};
use ndarray::Array2;
use proptest::prelude::*;

/// The exhaustive search in double precision, in the order of additions that is promised.
fn naive_nearest(centroids: &[f64], dimensions: usize, point: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (index, centroid) in centroids.chunks_exact(dimensions).enumerate() {
        let mut sums = [0.0; 4];
        for (place, (c, x)) in centroid.iter().zip(point).enumerate() {
            sums[place % 4] += (x - c) * (x - c);
        }
        let squared = (sums[0] + sums[2]) + (sums[1] + sums[3]);
        if squared < best.1 {
            best = (index, squared);
        }
    }
    best
}

/// Coordinates as they come: ordinary, tiny differences far off, exact ties, beyond single precision, and so
/// small that squares underflow in it.
fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![
        -10.0..10.0_f64,
        (-3_i32..3).prop_map(f64::from),
        (-3_i32..3).prop_map(|x| 1000.0 + f64::from(x) * 1e-7),
        (-9_i32..9).prop_map(|x| f64::from(x) * 7e-24),
        prop_oneof![
            Just(1e30),
            Just(-1e30),
            Just(3e18),
            Just(1e-30),
            Just(1e-45),
            Just(1e300)
        ],
    ]
}

/// A row of coordinates, all of one kind where `alike`: with ordinary ones among them, tiny ones say nothing.
fn row(alike: bool, length: usize) -> BoxedStrategy<Vec<f64>> {
    let mixed = prop::collection::vec(coordinate(), length);
    if !alike {
        return mixed.boxed();
    }
    let kinds = [1.0, 1e-7, 7e-24, 2e-45, 1e-160, 1e15, 1e30];
    let steps = prop::collection::vec(-9_i32..9, length);
    (prop::sample::select(kinds.to_vec()), steps)
        .prop_map(|(unit, steps)| {
            steps
                .into_iter()
                .map(|step| f64::from(step) * unit)
                .collect()
        })
        .boxed()
}

/// Dimensions, centroids and a point. Up to 150 centroids: several groups of every kernel.
fn case() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f64>)> {
    (
        1_usize..40,
        prop_oneof![1_usize..40, 1_usize..150],
        any::<bool>(),
    )
        .prop_flat_map(|(dimensions, count, alike)| {
            row(alike, dimensions * (count + 1)).prop_map(move |mut centroids| {
                let point = centroids.split_off(dimensions * count);
                (dimensions, centroids, point)
            })
        })
}

/// Runs on one kernel, or says that it cannot.
#[allow(
    clippy::disallowed_macros,
    reason = "a test that is left out should say so"
)]
fn on(kernel: Kernel, test: impl FnOnce()) {
    if Kernel::available().contains(&kernel) {
        test();
    } else {
        eprintln!("skipped: this processor has no {kernel:?}");
    }
}

fn found(kernel: Kernel, centroids: &[f64], point: &[f64]) -> (usize, f64) {
    let nearest = Nearest::with_kernel(centroids, point.len(), kernel);
    let hit = nearest.nearest(point, &mut Scratch::default());
    (hit.centroid, hit.squared)
}

fn finds_what_the_exhaustive_search_finds(kernel: Kernel) {
    let config = ProptestConfig::with_cases(2000);
    proptest!(config, |((dimensions, centroids, point) in case())| {
        let expected = naive_nearest(&centroids, dimensions, &point);
        prop_assert_eq!(found(kernel, &centroids, &point), expected);
    });
}

#[test]
fn portable_finds_what_the_exhaustive_search_finds() {
    on(Kernel::Portable, || {
        finds_what_the_exhaustive_search_finds(Kernel::Portable);
    });
}

#[test]
fn avx2_finds_what_the_exhaustive_search_finds() {
    on(Kernel::Avx2, || {
        finds_what_the_exhaustive_search_finds(Kernel::Avx2);
    });
}

#[test]
fn avx512_finds_what_the_exhaustive_search_finds() {
    on(Kernel::Avx512, || {
        finds_what_the_exhaustive_search_finds(Kernel::Avx512);
    });
}

/// Every number of centroids and dimensions around the edges of lanes, groups and chains, the nearest at every place.
#[test]
fn every_place_is_found_whatever_the_shape() {
    for kernel in Kernel::available() {
        for dimensions in 1..10 {
            for count in [
                1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 129,
            ] {
                let centroids: Vec<f64> = (0..count * dimensions)
                    .map(|place| (place / dimensions) as f64 + (place % dimensions) as f64 / 7.0)
                    .collect();
                let nearest = Nearest::with_kernel(&centroids, dimensions, kernel);
                let mut scratch = Scratch::default();
                for (index, centroid) in centroids.chunks_exact(dimensions).enumerate() {
                    let hit = nearest.nearest(centroid, &mut scratch);
                    assert_eq!((hit.centroid, hit.squared), (index, 0.0), "{kernel:?}");
                }
            }
        }
    }
}

#[test]
fn of_equally_near_ones_the_first_is_found_in_lanes_rows_and_groups() {
    for kernel in Kernel::available() {
        for (first, second) in [
            (0, 1),
            (3, 12),
            (5, 20),
            (15, 16),
            (2, 63),
            (40, 70),
            (7, 129),
        ] {
            let mut centroids = vec![5.0; 130 * 3];
            for index in [first, second] {
                centroids[index * 3..][..3].copy_from_slice(&[1.0, -1.0, 0.5]);
            }
            let expected = (first, 3.0 * 0.25);
            assert_eq!(
                found(kernel, &centroids, &[0.5, -0.5, 1.0]),
                expected,
                "{kernel:?}"
            );
        }
    }
}

/// The limit once was zero here, and the nearest above it: each of its squares rounds to zero or up.
#[test]
fn squares_that_underflow_rule_nothing_out() {
    let mut centroids = vec![2.6e-23; 19];
    centroids.extend([0.0; 18]);
    centroids.push(3e-23);
    for kernel in Kernel::available() {
        let hit = found(kernel, &centroids, &[0.0; 19]);
        assert_eq!(hit, (1, 3e-23 * 3e-23), "{kernel:?}");
    }
}

#[test]
fn a_scratch_serves_models_of_any_shape_in_turn() {
    let mut scratch = Scratch::default();
    for kernel in Kernel::available() {
        for (dimensions, count) in [(3, 130), (7, 20), (1, 1), (2, 200), (5, 70)] {
            let centroids: Vec<f64> = (0..dimensions * count)
                .map(|x| (x * 37 % 101) as f64)
                .collect();
            let nearest = Nearest::with_kernel(&centroids, dimensions, kernel);
            let point = vec![40.5; dimensions];
            let hit = nearest.nearest(&point, &mut scratch);
            let expected = naive_nearest(&centroids, dimensions, &point);
            assert_eq!((hit.centroid, hit.squared), expected, "{kernel:?}");
        }
    }
}

#[test]
fn beyond_double_precision_the_first_is_found_infinitely_far() {
    for kernel in Kernel::available() {
        let hit = found(kernel, &[1e300, 2e300, -1e300], &[-1.5e308]);
        assert_eq!(hit, (0, f64::INFINITY), "{kernel:?}");
    }
}

proptest! {
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
