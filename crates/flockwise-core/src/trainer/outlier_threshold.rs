//! How far from a segment its customers lie, so that who is further off can be told.

use flockwise_kmeans::{Points, effective_count};

use super::scaled_space::ScaledSpace;
use crate::model::Segment;

/// Far out is what lies so many times the distance between the quartiles above the upper one: Tukey's outer fence
/// (Exploratory Data Analysis, 1977, section 2D). Of a normal distribution in any number of dimensions that is at
/// most one in three thousand.
const FAR_OUT: f64 = 3.0;
/// Members whose quartiles are taken, at least: of n values of a normal distribution, the fence has a standard error of
/// 5.6 / √n standard deviations, and is known to one of them from here on.
const FEWEST: f64 = 32.0;
/// Outliers are few: the share of customers who are none in any case. Where most are equal, quartiles say nothing of the
/// others.
const USUAL: f64 = 0.99;
/// Quartiles no further apart than this share of them differ by rounding alone.
const ROUNDING: f64 = 1e-9;

/// Gives each segment its reach: the fence of its own members (`labels` says whose a point is), or that of all members of
/// all segments where this is further: next to wide segments nobody is far from a narrow one by a hair. Distances are of
/// customers as they are scored, not tamed. At most one in a hundred of them is beyond; of too few nobody is.
pub(super) fn learn_outlier_thresholds(
    segments: &mut [Segment],
    (points, weights): (&Points, &[f64]),
    labels: &[usize],
    space: &ScaledSpace<'_>,
) {
    let mut distances = vec![Vec::new(); segments.len()];
    for ((index, label), weight) in labels.iter().enumerate().zip(weights) {
        if *weight > 0.0 {
            let squared = space.squared(points.point(index), &segments[*label].centroid);
            distances[*label].push((squared.sqrt(), *weight));
        }
    }
    let all = Distances::new(distances.concat());
    let least = all.fence().map(|fence| fence.max(all.quantile(USUAL)));
    for (segment, own) in segments.iter_mut().zip(distances) {
        let own = Distances::new(own).fence().unwrap_or(0.0);
        let reach = least.map(|least| least.max(own));
        segment.reach = reach.filter(|reach| reach.is_finite());
    }
}

/// Distances with weights, ascending.
struct Distances(Vec<(f64, f64)>);

impl Distances {
    fn new(mut distances: Vec<(f64, f64)>) -> Self {
        distances.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        Self(distances)
    }

    /// Tukey's outer fence; `None` where the quartiles say nothing.
    fn fence(&self) -> Option<f64> {
        let [lower, upper] = [0.25, 0.75].map(|share| self.quantile(share));
        let spread = upper - lower;
        let weights = self.0.iter().map(|(_, weight)| *weight);
        let is_known =
            spread > ROUNDING * upper && effective_count(weights, self.total()) >= FEWEST;
        is_known.then_some(upper + FAR_OUT * spread)
    }

    fn total(&self) -> f64 {
        self.0.iter().map(|(_, weight)| weight).sum()
    }

    /// The least distance that so large a share by weight does not exceed; 0 of none.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = share * self.total();
        for (distance, weight) in &self.0 {
            left -= weight;
            if left <= 0.0 {
                return *distance;
            }
        }
        self.0.last().map_or(0.0, |(distance, _)| *distance)
    }
}
