//! All kernels against the exhaustive search.

use flockwise_kmeans::{Kernel, Nearest, Scratch};
use ndarray::{Array2, array, aview1};
use proptest::prelude::*;

use crate::support::{naive_nearest, without};

/// Coordinates of all kinds: ordinary, tiny differences far from zero, exact ties, beyond single precision, and so
/// small that their squares underflow in it.
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

/// A row of coordinates, all of one kind if `alike`. Among ordinary coordinates, tiny ones have no effect.
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

/// Centroids and a point. Up to 150 centroids: several groups of every kernel.
fn case() -> impl Strategy<Value = (Array2<f64>, Vec<f64>)> {
    (
        1_usize..40,
        prop_oneof![1_usize..40, 1_usize..150],
        any::<bool>(),
    )
        .prop_flat_map(|(dimensions, count, alike)| {
            row(alike, dimensions * (count + 1)).prop_map(move |mut centroids| {
                let point = centroids.split_off(dimensions * count);
                let centroids = Array2::from_shape_vec((count, dimensions), centroids).unwrap();
                (centroids, point)
            })
        })
}

/// Runs the test on one kernel, or prints that this processor does not have it.
#[allow(clippy::disallowed_macros, reason = "a skipped test must be visible")]
fn on(kernel: Kernel, test: impl FnOnce()) {
    if Kernel::available().contains(&kernel) {
        test();
    } else {
        eprintln!("skipped: this processor has no {kernel:?}");
    }
}

fn found(kernel: Kernel, centroids: &Array2<f64>, point: &[f64]) -> (usize, f64) {
    let nearest = Nearest::with_kernel(centroids.view(), kernel);
    let hit = nearest.nearest(point, &mut Scratch::default());
    (hit.centroid, hit.squared)
}

fn finds_what_the_exhaustive_search_finds(kernel: Kernel) {
    let config = ProptestConfig::with_cases(2000);
    proptest!(config, |((centroids, point) in case())| {
        let expected = naive_nearest(&centroids, &point);
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

/// Every number of centroids and dimensions around the edges of lanes, groups and chains. Each centroid is the
/// nearest once.
#[test]
fn every_place_is_found_whatever_the_shape() {
    for kernel in Kernel::available() {
        for dimensions in 1..10 {
            for count in [
                1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 129,
            ] {
                let centroids = Array2::from_shape_fn((count, dimensions), |(row, column)| {
                    row as f64 + column as f64 / 7.0
                });
                let nearest = Nearest::with_kernel(centroids.view(), kernel);
                let mut scratch = Scratch::default();
                for (index, centroid) in centroids.rows().into_iter().enumerate() {
                    let hit = nearest.nearest(centroid.as_slice().unwrap(), &mut scratch);
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
            let mut centroids = Array2::from_elem((130, 3), 5.0);
            for index in [first, second] {
                centroids.row_mut(index).assign(&aview1(&[1.0, -1.0, 0.5]));
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

/// A former bug: the limit was zero here and the sum of the nearest above it, as each of its squares rounds to
/// zero or up.
#[test]
fn squares_that_underflow_rule_nothing_out() {
    let mut centroids = Array2::zeros((2, 19));
    centroids.row_mut(0).fill(2.6e-23);
    centroids[(1, 18)] = 3e-23;
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
            let centroids = Array2::from_shape_fn((count, dimensions), |(row, column)| {
                ((row * dimensions + column) * 37 % 101) as f64
            });
            let nearest = Nearest::with_kernel(centroids.view(), kernel);
            let point = vec![40.5; dimensions];
            let hit = nearest.nearest(&point, &mut scratch);
            let expected = naive_nearest(&centroids, &point);
            assert_eq!((hit.centroid, hit.squared), expected, "{kernel:?}");
        }
    }
}

#[test]
fn beyond_double_precision_the_first_is_found_infinitely_far() {
    for kernel in Kernel::available() {
        let hit = found(kernel, &array![[1e300], [2e300], [-1e300]], &[-1.5e308]);
        assert_eq!(hit, (0, f64::INFINITY), "{kernel:?}");
    }
}

proptest! {
    #[test]
    fn the_nearest_but_one_is_the_nearest_of_the_others((centroids, point) in case(), excluded in any::<prop::sample::Index>()) {
        let nearest = Nearest::new(centroids.view());
        let excluded = excluded.index(nearest.len());
        let others = without(&centroids, excluded);
        let expected = (!others.is_empty()).then(|| {
            let (place, squared) = naive_nearest(&others, &point);
            (place + usize::from(place >= excluded), squared)
        });
        let found = nearest.nearest_but(&point, excluded).map(|hit| (hit.centroid, hit.squared));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_distance_to_one_is_that_of_the_search((centroids, point) in case()) {
        let nearest = Nearest::new(centroids.view());
        let (centroid, squared) = naive_nearest(&centroids, &point);
        prop_assert_eq!(nearest.squared_distance(&point, centroid), squared);
    }
}
