//! Samples, and naive versions that several modules compare with.

use flockwise_kmeans::Points;
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The exhaustive search in double precision, with the documented order of additions.
pub(crate) fn naive_nearest(centroids: &Array2<f64>, point: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (index, centroid) in centroids.rows().into_iter().enumerate() {
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

/// The weighted mean of each of `k` sides, and the sum of weight times squared distance to the mean of the own
/// side. The mean is `None` if a side has no weight. Computed in the most obvious way.
pub(crate) fn naive_means(
    points: &Points,
    labels: &[usize],
    k: usize,
) -> (Vec<Option<Array1<f64>>>, f64) {
    let means: Vec<Option<Array1<f64>>> = (0..k)
        .map(|side| {
            let own = || (0..points.len()).filter(|index| labels[*index] == side);
            let total: f64 = own().map(|index| points.weight(index)).sum();
            let mean = |dimension: usize| {
                let product = |index| points.weight(index) * points.point(index)[dimension];
                own().map(product).sum::<f64>() / total
            };
            (total > 0.0).then(|| (0..points.dimensions()).map(mean).collect())
        })
        .collect();
    let inertia = (0..points.len())
        .filter_map(|index| {
            let mean = means[labels[index]].as_ref()?;
            let gaps = points.point(index).iter().zip(mean);
            Some(points.weight(index) * gaps.map(|(x, mean)| (x - mean).powi(2)).sum::<f64>())
        })
        .sum();
    (means, inertia)
}

pub(crate) fn sample(dimensions: usize, rows: &[(Vec<f64>, f64)]) -> Points {
    let mut points = Points::new(dimensions);
    for (point, weight) in rows {
        points.push(point, *weight);
    }
    points
}

/// Centroids at some of the points.
pub(crate) fn at_points(points: &Points, picks: &[prop::sample::Index]) -> Array2<f64> {
    let picks: Vec<usize> = picks.iter().map(|pick| pick.index(points.len())).collect();
    points.values().select(Axis(0), &picks)
}

/// All centroids but one.
pub(crate) fn without(centroids: &Array2<f64>, removed: usize) -> Array2<f64> {
    let mut others = centroids.clone();
    others.remove_index(Axis(0), removed);
    others
}

pub(crate) fn all(points: &Points) -> Vec<usize> {
    (0..points.len()).collect()
}

/// Each point repeated as often as its weight says, each time with a weight of one.
pub(crate) fn repeated(points: &Points) -> Points {
    let mut repeated = Points::new(points.dimensions());
    for (point, weight) in points.iter() {
        for _ in 0..weight as usize {
            repeated.push(point, 1.0);
        }
    }
    repeated
}

/// Samples of up to three dimensions with small whole numbers as coordinates and weights: sums are exact in any
/// order.
pub(crate) fn whole() -> impl Strategy<Value = Points> {
    (1_usize..4, 1_usize..25).prop_flat_map(|(dimensions, count)| {
        let point = prop::collection::vec((-20_i32..20).prop_map(f64::from), dimensions);
        let weight = (0_i32..4).prop_map(f64::from);
        prop::collection::vec((point, weight), count)
            .prop_map(move |rows| sample(dimensions, &rows))
    })
}

/// Samples with ordinary, distant, tiny and huge coordinates; some points have no weight.
pub(crate) fn any_sample() -> impl Strategy<Value = Points> {
    let places = vec![
        (0.0, 1.0),
        (1e6, 1.0),
        (-1e8, 1.0),
        (0.0, 1e-9),
        (3e15, 1e15),
        (0.0, 1e30),
    ];
    (1_usize..6, 1_usize..40, prop::sample::select(places)).prop_flat_map(
        |(dimensions, count, (origin, unit))| {
            let x = (-1.0..1.0_f64).prop_map(move |x| origin + unit * x);
            let point = prop::collection::vec(x, dimensions);
            let weight = prop_oneof![1 => Just(0.0), 4 => 0.01..10.0_f64];
            prop::collection::vec((point, weight), count)
                .prop_map(move |rows| sample(dimensions, &rows))
        },
    )
}

/// Points of a standard normal distribution around a centre; its length is the number of dimensions.
pub(crate) fn normal(seed: u64, count: usize, centre: &[f64]) -> Points {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut points = Points::new(centre.len());
    for _ in 0..count {
        let point: Vec<f64> = centre
            .iter()
            .map(|centre| {
                // Box and Muller's transform, with 1 - x, since the logarithm of zero is not finite.
                let (length, angle) = (1.0 - random.random::<f64>(), random.random::<f64>());
                let angle = angle * std::f64::consts::TAU;
                centre + (-2.0 * length.ln()).sqrt() * angle.cos()
            })
            .collect();
        points.push(&point, 1.0);
    }
    points
}

/// The points of `left`, then those of `right`.
pub(crate) fn together(left: &Points, right: &Points) -> Points {
    let mut both = left.clone();
    for (point, weight) in right.iter() {
        both.push(point, weight);
    }
    both
}

/// Whether two numbers are equal apart from rounding.
pub(crate) fn is_close(left: f64, right: f64, relative: f64) -> bool {
    (left - right).abs() <= relative * left.abs().max(right.abs())
}
