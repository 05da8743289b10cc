//! Why a customer is in a segment, and what would move the customer to another.
//!
//! Everything is computed from one version of the segmentation. With x the scaled vector, a the own centroid and b the
//! nearest other one, feature i pulls towards a by (xᵢ-bᵢ)² - (xᵢ-aᵢ)². These pulls add up to |x-b|² - |x-a|².

mod counterfactual;
mod interval;
mod ranges;
mod typical;

pub use counterfactual::{Counterfactual, FeatureChange, Requirement};
pub use ranges::Ranges;
pub use typical::{RowScan, TYPICAL, survey};

use crate::plan::Plan;
use crate::segmentation::SegmentScorer;

/// Explains a customer's segment. Segments are indices of the model's segments, features indices of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The nearest other segment and the distance to it; `None` if the model has only one segment.
    pub other: Option<(usize, f64)>,
    /// The pull of each feature, the strongest first.
    pub pulls: Vec<Pull>,
    /// What would move the customer to each of the other segments.
    pub counterfactuals: Vec<Counterfactual>,
}

/// How a feature pulls between the own segment and the nearest other one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pull {
    /// Index of the feature.
    pub feature: usize,
    /// The typical value of the own segment, in the feature's own units.
    pub typical: f64,
    /// The typical value of the nearest other segment, in the same units; `None` if there is none.
    pub typical_other: Option<f64>,
    /// Its part of the difference of the squared distances; below zero if it pulls to the other segment.
    pub pull: f64,
}

/// Explains why a customer with this feature vector is in the segment of index `own`. A change moves the customer
/// if it makes another segment the nearest, nearer than the own one by more than `margin`, as in
/// [`crate::decide::decide`]. Patience, dwell and cooldown are ignored. No change leads to a value outside `seen`,
/// the values that customers have.
#[must_use]
pub fn explain(
    plan: &Plan,
    segmentation: &SegmentScorer,
    margin: f64,
    own: usize,
    vector: &[f64],
    seen: &Ranges,
) -> Explanation {
    let mut scaled = Vec::new();
    segmentation.scaled(vector, &mut scaled);
    let other = segmentation.nearest().nearest_but(&scaled, own);
    let other = other.map(|hit| (hit.centroid, hit.squared.sqrt()));
    Explanation {
        other,
        pulls: pulls(
            plan,
            segmentation,
            own,
            other.map(|(index, _)| index),
            vector,
        ),
        counterfactuals: counterfactual::counterfactuals(
            plan,
            segmentation,
            margin,
            own,
            vector,
            seen,
        ),
    }
}

fn pulls(
    plan: &Plan,
    segmentation: &SegmentScorer,
    own: usize,
    other: Option<usize>,
    vector: &[f64],
) -> Vec<Pull> {
    let centroid =
        |segment: usize, feature: usize| segmentation.segments()[segment].centroid[feature];
    let pull = |feature: usize| {
        let typical = |segment: usize| {
            let transform = plan.feature(feature).transform;
            transform.invert(centroid(segment, feature))
        };
        Pull {
            feature,
            typical: typical(own),
            typical_other: other.map(typical),
            pull: other.map_or(0.0, |other| {
                let [from, to] = [other, own].map(|segment| centroid(segment, feature));
                segmentation.pull(feature, vector[feature], from, to)
            }),
        }
    };
    let mut pulls: Vec<Pull> = (0..plan.len()).map(pull).collect();
    pulls.sort_by(|left, right| right.pull.abs().total_cmp(&left.pull.abs()));
    pulls
}
