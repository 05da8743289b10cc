//! Outlier thresholds: how far from a segment its customers usually are.

use flockwise_kmeans::{Points, effective_count};

use super::scaled_space::ScaledSpace;
use crate::segmentation::Segment;

/// Tukey's outer fence (Exploratory Data Analysis, 1977, section 2D) lies this many times the interquartile range
/// above the upper quartile. In a normal distribution of any number of dimensions, at most one in three thousand
/// is beyond.
const FAR_OUT: f64 = 3.0;
/// Minimum number of members for quartiles. For n values of a normal distribution, the fence has a standard error
/// of 5.6 / √n standard deviations, so from here on it is known to within one.
const FEWEST: f64 = 32.0;
/// Share of customers who are never outliers, because outliers are few. If most customers are equal, quartiles say
/// nothing about the others.
const USUAL: f64 = 0.99;
/// Quartiles no further apart than this share of the upper one differ only by rounding.
const ROUNDING: f64 = 1e-9;

/// Sets the outlier threshold of each segment: the fence of its own members (`labels` has the segment of each
/// point), or that of the members of all segments if it is further. Next to wide segments, a customer slightly
/// outside a narrow one is thus no outlier. Distances are those of scored vectors, which are not winsorised. At
/// most one in a hundred customers is beyond. With too few customers no segment has a threshold.
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
        segment.outlier_threshold = reach.filter(|reach| reach.is_finite());
    }
}

/// Distances with weights, ascending.
struct Distances(Vec<(f64, f64)>);

impl Distances {
    fn new(mut distances: Vec<(f64, f64)>) -> Self {
        distances.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        Self(distances)
    }

    /// Tukey's outer fence; `None` if there are too few distances, or the quartiles differ only by rounding.
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

    /// The least distance that a share of the weight does not exceed; 0 if there is none.
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
