//! Starting centroids for k-means: greedy k-means++, and the best of several starts.

use ndarray::{Array2, Axis};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::lloyd::{Fit, lloyd};
use crate::points::{Points, squared};

/// The best of `restarts` runs of k-means on `points` (at least one). If there are fewer distinct points than `k`,
/// some centroids coincide.
///
/// # Panics
/// If there is no point or `k` is zero.
#[must_use]
pub fn fit(points: &Points, k: usize, restarts: usize, seed: u64) -> Fit {
    assert!(
        !points.is_empty() && k > 0,
        "expected at least one point and one centroid"
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

/// Greedy k-means++ (Arthur and Vassilvitskii 2007, section 7). The first centroid is drawn in proportion to
/// weight. Each further one is the best of 2 + ln k candidates, drawn in proportion to weight times squared
/// distance from the centroids so far.
fn plus_plus(points: &Points, k: usize, random: &mut impl Rng) -> Array2<f64> {
    let candidates = 2 + (k as f64).ln() as usize;
    let first = draw(points.weights(), random);
    let mut picks = vec![first];
    let mut costs = costs_to(points, first, None);
    for _ in 1..k {
        let best = (0..candidates)
            .map(|_| {
                let pick = draw(&costs, random);
                let closer = costs_to(points, pick, Some(&costs));
                (pick, closer.iter().sum::<f64>(), closer)
            })
            .min_by(|left, right| left.1.total_cmp(&right.1));
        if let Some((pick, _, closer)) = best {
            picks.push(pick);
            costs = closer;
        }
    }
    points.values().select(Axis(0), &picks)
}

/// Weight times squared distance of each point to a new centroid; the previous cost if that is lower.
fn costs_to(points: &Points, pick: usize, before: Option<&[f64]>) -> Vec<f64> {
    let centroid = points.point(pick);
    let new = points
        .iter()
        .map(|(point, weight)| weight * squared(point, centroid));
    match before {
        Some(before) => new
            .zip(before)
            .map(|(new, before)| new.min(*before))
            .collect(),
        None => new.collect(),
    }
}

/// Draws an index in proportion to its weight; any index if all weights are zero.
pub(crate) fn draw(weights: &[f64], random: &mut impl Rng) -> usize {
    let mut left = random.random::<f64>() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    random.random_range(0..weights.len())
}
