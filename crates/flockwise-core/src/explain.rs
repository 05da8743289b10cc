//! Why a customer is in a segment, and what would take them to another.
//!
//! All of it is arithmetic on one version of the model: with x the scaled vector, a the own centroid and b the
//! nearest other one, feature i pulls towards a by (xᵢ-bᵢ)² - (xᵢ-aᵢ)², and these parts add up to
//! |x-b|² - |x-a|².

mod counterfactual;
mod interval;
mod ranges;
mod typical;

pub use counterfactual::{Counterfactual, FeatureChange, Requirement};
pub use ranges::Ranges;
pub use typical::{Survey, TYPICAL, survey};

use crate::model::Model;
use crate::plan::Plan;

/// A customer's place, explained. Segments are indices of the model's, features those of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The nearest of the other segments and the distance to it, where there is another.
    pub other: Option<(usize, f64)>,
    /// What each feature does, the strongest pull first.
    pub pulls: Vec<Pull>,
    /// What would take the customer to each of the other segments.
    pub counterfactuals: Vec<Counterfactual>,
}

/// What a feature does to keep a customer in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pull {
    /// Index of the feature.
    pub feature: usize,
    /// What is typical of the own segment, in the feature's own units.
    pub typical: f64,
    /// What is typical of the nearest other one.
    pub typical_other: Option<f64>,
    /// Its part of the difference of the squared distances; below zero where it pulls to the other.
    pub pull: f64,
}

/// Explains why a customer with this feature vector is in the segment of index `own`. A change counts as one that moves
/// the customer where it makes another segment the nearest, nearer than the own one by more than `margin`, as
/// [`crate::decide::decide`] has it; patience, dwell and cooldown are left aside. No change leads to a value beyond
/// those that customers have.
#[must_use]
pub fn explain(
    plan: &Plan,
    model: &Model,
    margin: f64,
    own: usize,
    vector: &[f64],
    seen: &Ranges,
) -> Explanation {
    let mut scaled = Vec::new();
    model.scaled(vector, &mut scaled);
    let other = model.nearest().nearest_but(&scaled, own);
    let other = other.map(|hit| (hit.centroid, hit.squared.sqrt()));
    Explanation {
        other,
        pulls: pulls(plan, model, own, other.map(|(index, _)| index), vector),
        counterfactuals: counterfactual::counterfactuals(plan, model, margin, own, vector, seen),
    }
}

fn pulls(
    plan: &Plan,
    model: &Model,
    own: usize,
    other: Option<usize>,
    vector: &[f64],
) -> Vec<Pull> {
    let centroid = |segment: usize, feature: usize| model.segments()[segment].centroid[feature];
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
                model.pull(feature, vector[feature], from, to)
            }),
        }
    };
    let mut pulls: Vec<Pull> = (0..plan.len()).map(pull).collect();
    pulls.sort_by(|left, right| right.pull.abs().total_cmp(&left.pull.abs()));
    pulls
}
