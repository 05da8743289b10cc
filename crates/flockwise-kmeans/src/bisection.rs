//! Bisection: the best cut of one group of points into two.

use std::iter::zip;

use ndarray::{Array1, ArrayView1, aview1};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::points::{Points, slice, squared};
use crate::seeding::draw;

/// Steps of the power iteration. A rough axis is enough, since 2-means refines the cut.
const POWER: usize = 6;
/// Random starts, in addition to the start along the longest axis.
const STARTS: usize = 2;
/// Maximum number of iterations of 2-means.
const ITERATIONS: usize = 24;
/// 2-means stops once an iteration gains less than this share of the inertia.
const TOLERANCE: f64 = 1e-3;

/// A sample cut in two.
#[derive(Clone, Debug, PartialEq)]
pub struct Bisection {
    /// The two means.
    pub centroids: [Array1<f64>; 2],
    /// Whether each point belongs to the second side.
    pub is_second: Vec<bool>,
    /// Sum of weight times squared distance to the mean of the own side.
    pub inertia: f64,
}

/// Cuts a sample (at least one point) in two by 2-means and keeps the best of several starts. One start lies along
/// the longest axis of the group. The others begin at a point far from the mean, which finds a small remote group.
/// If the two sides cannot be told apart, the second is empty. An empty side keeps the centroid of its last
/// iteration.
#[must_use]
pub fn bisect(points: &Points, seed: u64) -> Bisection {
    let all: Vec<usize> = (0..points.len()).collect();
    let mean = points.mean(&all);
    let (around, unit) = around(points, &mean);
    let origin = Array1::zeros(mean.len());
    let costs: Vec<f64> = around
        .iter()
        .map(|(point, weight)| weight * squared(point, &origin))
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut best = two_means(&around, ends(&around));
    for _ in 0..STARTS {
        let far = around.values().row(draw(&costs, &mut random)).to_owned();
        let run = two_means(&around, [origin.clone(), far]);
        if run.inertia < best.inertia {
            best = run;
        }
    }
    for centroid in &mut best.centroids {
        *centroid *= unit;
        *centroid += &mean;
    }
    measured(points, best)
}

/// The sample relative to its mean, in units of its largest coordinate, and that unit. Far from the origin,
/// differences of squares would lose the digits in which points differ. In these units no square over- or
/// underflows.
fn around(points: &Points, mean: &Array1<f64>) -> (Points, f64) {
    let gaps = &points.values() - mean;
    let largest = zip(gaps.rows(), points.weights())
        .filter(|(_, weight)| **weight > 0.0)
        .flat_map(|(gaps, _)| gaps)
        .fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let around = Points::with_weights(gaps / unit, points.weights().to_vec());
    (around, unit)
}

/// Computes the means and the inertia of a cut from the original points. If one point is very far off, the
/// coordinates of the others relative to the mean have lost their digits.
fn measured(points: &Points, cut: Bisection) -> Bisection {
    let mut centroids = cut.centroids;
    for (side, centroid) in centroids.iter_mut().enumerate() {
        let members: Vec<usize> = (0..points.len())
            .filter(|index| usize::from(cut.is_second[*index]) == side)
            .collect();
        if members.iter().any(|member| points.weight(*member) > 0.0) {
            *centroid = points.mean(&members);
        }
    }
    let costs = points
        .iter()
        .zip(&cut.is_second)
        .map(|((point, weight), side)| weight * squared(point, &centroids[usize::from(*side)]));
    Bisection {
        inertia: costs.sum(),
        is_second: cut.is_second,
        centroids,
    }
}

/// Lloyd's iterations for two centroids: a point belongs to the second if it lies beyond the midpoint.
fn two_means(points: &Points, mut centroids: [Array1<f64>; 2]) -> Bisection {
    let mut is_second = vec![false; points.len()];
    let mut inertia = f64::INFINITY;
    for _ in 0..ITERATIONS {
        cut(points, &centroids, &mut is_second);
        let (next, after) = means(points, &is_second, &centroids);
        centroids = next;
        let is_settled = inertia - after <= TOLERANCE * after;
        inertia = after;
        if is_settled {
            break;
        }
    }
    Bisection {
        centroids,
        is_second,
        inertia,
    }
}

fn cut(points: &Points, [first, second]: &[Array1<f64>; 2], is_second: &mut [bool]) {
    let line = second - first;
    let middle = 0.5 * (dot(&line, first) + dot(&line, second));
    for (side, (point, _)) in zip(is_second, points.iter()) {
        *side = dot(&line, point) > middle;
    }
}

/// The means of both sides and the inertia. An empty side keeps its centroid.
fn means(
    points: &Points,
    is_second: &[bool],
    before: &[Array1<f64>; 2],
) -> ([Array1<f64>; 2], f64) {
    let mut sums = [(); 2].map(|()| Array1::zeros(points.dimensions()));
    let (mut weights, mut squares) = ([0.0; 2], 0.0);
    for ((point, weight), side) in points.iter().zip(is_second) {
        let side = usize::from(*side);
        sums[side].scaled_add(weight, &aview1(point));
        weights[side] += weight;
        squares += weight * dot(point, point);
    }
    for side in 0..2 {
        if weights[side] > 0.0 {
            squares -= dot(&sums[side], &sums[side]) / weights[side];
            sums[side] /= weights[side];
        } else {
            sums[side].assign(&before[side]);
        }
    }
    (sums, squares.max(0.0))
}

/// Two points on the axis of largest variance, one standard deviation to either side of the mean (the origin).
fn ends(points: &Points) -> [Array1<f64>; 2] {
    let mut axis = widest(points);
    let mut variance = 0.0;
    let total: f64 = points.weights().iter().sum();
    for _ in 0..POWER {
        let mut next = Array1::zeros(axis.len());
        variance = 0.0;
        for (point, weight) in points.iter() {
            let place = dot(point, &axis);
            next.scaled_add(weight * place, &aview1(point));
            variance += weight * place * place;
        }
        let length = dot(&next, &next).sqrt();
        if length <= 0.0 {
            break;
        }
        axis = next / length;
    }
    let reach = (variance / total.max(f64::MIN_POSITIVE)).sqrt();
    [-reach, reach].map(|reach| reach * &axis)
}

/// The unit vector of the dimension with the largest variance around the origin.
fn widest(points: &Points) -> Array1<f64> {
    let mut variances = Array1::<f64>::zeros(points.dimensions());
    for (point, weight) in points.iter() {
        for (variance, x) in variances.iter_mut().zip(point) {
            *variance += weight * x * x;
        }
    }
    let widest = (0..variances.len()).max_by(|a, b| variances[*a].total_cmp(&variances[*b]));
    let mut axis = Array1::zeros(variances.len());
    axis[widest.unwrap_or(0)] = 1.0;
    axis
}

/// The scalar product, added up in the order of the dimensions. `ndarray`'s adds up in another order.
fn dot<'a>(left: impl Into<ArrayView1<'a, f64>>, right: impl Into<ArrayView1<'a, f64>>) -> f64 {
    let columns = zip(slice(left.into()), slice(right.into()));
    columns.map(|(a, b)| a * b).sum()
}
