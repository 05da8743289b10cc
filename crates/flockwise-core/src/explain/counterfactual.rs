//! Counterfactuals: the smallest change of one feature alone that moves a customer to another segment.
//!
//! Let feature i with the scale s move by v, in the feature vector's units. The squared distance to centroid c
//! becomes D + s²(v² - 2v(c-x)). The v² is the same for all segments, so "nearer than another one" is linear in v.
//! "Nearer than the own one by a margin m", D_to < (1-m)² D_own, is quadratic and holds between its two roots. All
//! of these conditions together hold in an interval, and the point nearest to 0 in it is the answer. The interval
//! is limited to values that customers have: far out on a line nearly every segment is the nearest somewhere, but
//! no customer is there.

use flockwise_kmeans::Scratch;

use super::interval::Interval;
use super::ranges::Ranges;
use crate::feature::{Aggregate, Feature};
use crate::plan::Plan;
use crate::segmentation::SegmentScorer;

/// How a customer could move to another segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counterfactual {
    /// Index of the other segment.
    pub segment: usize,
    /// What the move requires.
    pub requirement: Requirement,
}

/// What a move to a segment requires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Requirement {
    /// No change: the segment is near enough already. The next scoring, patience, dwell and cooldown decide.
    Already,
    /// A change of one feature.
    By(FeatureChange),
    /// More than one feature: within the values that customers have, no change of a single one is enough.
    NotByOne,
}

/// A change of one feature, with all others unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureChange {
    /// Index of the feature.
    pub feature: usize,
    /// The value that the feature would need, in its own units.
    pub needed: f64,
    /// Length of the change in the scaled space, where distances are taken.
    pub length: f64,
}

/// How far the answer lies beyond the border, as a share of the numbers involved. The first of these that survives
/// rounding, through the transform and back, is used.
const BEYOND: [f64; 4] = [1e-10, 1e-8, 1e-6, 1e-4];

/// The counterfactuals for all segments except the own one.
pub(super) fn counterfactuals(
    plan: &Plan,
    segmentation: &SegmentScorer,
    margin: f64,
    own: usize,
    vector: &[f64],
    seen: &Ranges,
) -> Vec<Counterfactual> {
    let mut scaled = Vec::new();
    segmentation.scaled(vector, &mut scaled);
    let segments = 0..segmentation.segments().len();
    let squared = |segment| segmentation.nearest().squared_distance(&scaled, segment);
    let mut start = CounterfactualSearch {
        plan,
        segmentation,
        margin,
        own,
        vector,
        seen,
        squared: segments.clone().map(squared).collect(),
        scaled,
        scratch: Scratch::default(),
    };
    let others = segments.filter(|segment| *segment != own);
    let counterfactual = |segment| Counterfactual {
        segment,
        requirement: start.requirement(segment),
    };
    others.map(counterfactual).collect()
}

/// The customer for whom counterfactuals are searched.
struct CounterfactualSearch<'a> {
    plan: &'a Plan,
    segmentation: &'a SegmentScorer,
    margin: f64,
    own: usize,
    vector: &'a [f64],
    seen: &'a Ranges,
    /// The squared distance to each segment.
    squared: Vec<f64>,
    scaled: Vec<f64>,
    scratch: Scratch,
}

impl CounterfactualSearch<'_> {
    fn requirement(&mut self, to: usize) -> Requirement {
        if self.is_moved(to) {
            return Requirement::Already;
        }
        let mut counterfactuals: Vec<(f64, usize, Interval)> = (0..self.plan.len())
            .filter_map(|feature| {
                let interval = self.interval(to, feature)?;
                let length =
                    interval.nearest_to_zero(0.0).abs() * self.segmentation.scale()[feature];
                Some((length, feature, interval))
            })
            .collect();
        counterfactuals.sort_by(|left, right| left.0.total_cmp(&right.0));
        let by = |(_, feature, interval)| self.try_change(to, feature, interval);
        counterfactuals
            .into_iter()
            .find_map(by)
            .map_or(Requirement::NotByOne, Requirement::By)
    }

    /// The moves along a feature that lead to a segment, within the values that customers have; `None` if there
    /// are none.
    fn interval(&self, to: usize, feature: usize) -> Option<Interval> {
        let square = self.segmentation.scale()[feature].powi(2);
        if square == 0.0 {
            return None;
        }
        let x = self.vector[feature];
        let gap = |segment: usize| self.segmentation.segments()[segment].centroid[feature] - x;
        let (lowest, highest) = self.seen.bounds(feature);
        let mut interval = Interval {
            low: lowest - x,
            high: highest - x,
        };
        for other in (0..self.squared.len()).filter(|other| *other != to) {
            let slope = 2.0 * square * (gap(other) - gap(to));
            interval = interval.and_linear(slope, self.squared[to] - self.squared[other]);
        }
        let share = (1.0 - self.margin).powi(2);
        let interval = interval.and_quadratic(
            square * (1.0 - share),
            2.0 * square * (share * gap(self.own) - gap(to)),
            self.squared[to] - share * self.squared[self.own],
        );
        (!interval.is_empty()).then_some(interval)
    }

    /// The smallest move within an interval that still moves the customer when it is scored. `None` if the feature
    /// cannot have that value; a longer move would not work either.
    fn try_change(
        &mut self,
        to: usize,
        feature: usize,
        interval: Interval,
    ) -> Option<FeatureChange> {
        let (scale, x) = (self.segmentation.scale()[feature], self.vector[feature]);
        let border = interval.nearest_to_zero(0.0);
        let size = (1.0 / scale).max(x.abs()).max(border.abs());
        let spec = self.plan.feature(feature);
        let (lowest, highest) = self.seen.bounds(feature);
        let before = self.scaled[feature];
        let mut tried = BEYOND.iter().filter_map(|share| {
            let needed = needed(spec, x + interval.nearest_to_zero(share * size));
            let reached = in_vector(spec, needed);
            self.scaled[feature] = reached * scale;
            let is_seen = (lowest..=highest).contains(&reached);
            let is_moved = needed.is_finite() && is_seen && self.is_moved(to);
            self.scaled[feature] = before;
            let length = (reached - x).abs() * scale;
            is_moved.then_some(FeatureChange {
                feature,
                needed,
                length,
            })
        });
        tried.next()
    }

    /// Whether a scoring at this point would move the customer to segment `to`.
    fn is_moved(&mut self, to: usize) -> bool {
        let (nearest, distance) = self.segmentation.score(&self.scaled, &mut self.scratch);
        let own = self
            .segmentation
            .nearest()
            .squared_distance(&self.scaled, self.own);
        nearest == to && distance < own.sqrt() * (1.0 - self.margin)
    }
}

/// The lowest and the highest value that an aggregate can have, in the feature's own units.
fn natural(aggregate: Aggregate) -> (f64, f64) {
    match aggregate {
        Aggregate::Count | Aggregate::Recency | Aggregate::MeanGap => (0.0, f64::INFINITY),
        Aggregate::Share => (0.0, 1.0),
        Aggregate::HourSin | Aggregate::HourCos => (-1.0, 1.0),
        Aggregate::Sum | Aggregate::Mean | Aggregate::Last | Aggregate::Min | Aggregate::Max => {
            (f64::NEG_INFINITY, f64::INFINITY)
        }
    }
}

/// Converts a value of the feature vector to the feature's own units, and clamps it to values that the feature can
/// have.
fn needed(feature: &Feature, value: f64) -> f64 {
    let (lowest, highest) = natural(feature.aggregate);
    feature.transform.invert(value).clamp(lowest, highest)
}

/// Converts a value in the feature's own units to the feature vector.
fn in_vector(feature: &Feature, value: f64) -> f64 {
    let mut vector = [value];
    feature.transform.apply(&mut vector);
    let (least, most) = feature.clip.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    vector[0].clamp(least, most)
}
