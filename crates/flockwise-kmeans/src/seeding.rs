//! k-means on a sample held in memory: greedy k-means++ with restarts, then Lloyd's iterations.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::nearest::{Nearest, Scratch};

/// Lloyd's iterations at most; the change in inertia usually ends it much earlier.
const ITERATIONS: usize = 100;
/// Lloyd stops once an iteration gains less than this share of the inertia.
const TOLERANCE: f64 = 1e-5;

/// A clustering of a sample.
#[derive(Clone, Debug)]
pub struct Fit {
    /// `k` × `d`.
    pub centroids: Array2<f64>,
    /// The nearest centroid of each point.
    pub labels: Vec<usize>,
    /// Sum of squared distances to the nearest centroid.
    pub inertia: f64,
}

/// The best of `restarts` runs of k-means on `points` (`n` × `d`, `n` at least 1). Where there are
/// fewer distinct points than `k`, centroids coincide.
///
/// # Panics
/// Without a point or with `k` of zero.
#[must_use]
pub fn fit(points: ArrayView2<'_, f64>, k: usize, restarts: usize, seed: u64) -> Fit {
    assert!(
        points.nrows() > 0 && k > 0,
        "at least one point and one centroid"
    );
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut best = lloyd(points, plus_plus(points, k, &mut random));
    for _ in 1..restarts {
        let run = lloyd(points, plus_plus(points, k, &mut random));
        if run.inertia < best.inertia {
            best = run;
        }
    }
    best
}

/// Greedy k-means++ (Arthur and Vassilvitskii 2007, section 7): each new centroid is the best of
/// 2 + ln k candidates drawn in proportion to the squared distance from those there are.
fn plus_plus(points: ArrayView2<'_, f64>, k: usize, random: &mut impl Rng) -> Array2<f64> {
    let candidates = 2 + (k as f64).ln() as usize;
    let mut centroids = Array2::zeros((k, points.ncols()));
    let first = random.random_range(0..points.nrows());
    centroids.row_mut(0).assign(&points.row(first));
    let mut squared = distances(points, points.row(first));
    for index in 1..k {
        let best = (0..candidates)
            .map(|_| {
                let pick = draw(&squared, random);
                let closer = closer(&squared, &distances(points, points.row(pick)));
                (pick, closer.iter().sum::<f64>(), closer)
            })
            .min_by(|left, right| left.1.total_cmp(&right.1));
        if let Some((pick, _, closer)) = best {
            centroids.row_mut(index).assign(&points.row(pick));
            squared = closer;
        }
    }
    centroids
}

fn distances(points: ArrayView2<'_, f64>, to: ArrayView1<'_, f64>) -> Vec<f64> {
    points
        .rows()
        .into_iter()
        .map(|point| point.iter().zip(to).map(|(a, b)| (a - b) * (a - b)).sum())
        .collect()
}

fn closer(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter()
        .zip(right)
        .map(|(left, right)| left.min(*right))
        .collect()
}

/// An index in proportion to its weight; any where all weights are zero.
fn draw(weights: &[f64], random: &mut impl Rng) -> usize {
    let mut left = random.random::<f64>() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    random.random_range(0..weights.len())
}

fn lloyd(points: ArrayView2<'_, f64>, mut centroids: Array2<f64>) -> Fit {
    let (mut labels, mut inertia) = assign(points, &centroids);
    for _ in 0..ITERATIONS {
        centroids = means(points, &labels, &centroids);
        let (next, gained) = assign(points, &centroids);
        let settled = inertia - gained <= TOLERANCE * inertia;
        (labels, inertia) = (next, gained);
        if settled {
            break;
        }
    }
    Fit {
        centroids,
        labels,
        inertia,
    }
}

fn assign(points: ArrayView2<'_, f64>, centroids: &Array2<f64>) -> (Vec<usize>, f64) {
    let rows: Vec<f64> = centroids.iter().copied().collect();
    let nearest = Nearest::new(&rows, centroids.ncols());
    let mut scratch = Scratch::default();
    let mut inertia = 0.0;
    let mut row = Vec::with_capacity(points.ncols());
    let labels = points
        .rows()
        .into_iter()
        .map(|point| {
            row.clear();
            row.extend(point.iter());
            let hit = nearest.nearest(&row, &mut scratch);
            inertia += hit.squared;
            hit.centroid
        })
        .collect();
    (labels, inertia)
}

/// The mean of each centroid's points; a centroid without points stays where it is.
fn means(points: ArrayView2<'_, f64>, labels: &[usize], old: &Array2<f64>) -> Array2<f64> {
    let mut sums = Array2::<f64>::zeros(old.raw_dim());
    let mut counts = vec![0.0; old.nrows()];
    for (point, label) in points.rows().into_iter().zip(labels) {
        let mut sum = sums.row_mut(*label);
        sum += &point;
        counts[*label] += 1.0;
    }
    for (index, count) in counts.iter().enumerate() {
        if *count > 0.0 {
            sums.row_mut(index).mapv_inplace(|sum| sum / count);
        } else {
            sums.row_mut(index).assign(&old.row(index));
        }
    }
    sums
}
