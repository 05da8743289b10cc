//! Formats parts of a version as text and JSON.

use flockwise_codec::time::write_time;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::publication::Audit;
use flockwise_core::segmentation::Segment;

/// Maximum number of traits of a segment.
const MAX_TRAITS: usize = 3;

/// A feature of a segment, compared with all customers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CentroidTrait {
    /// Index of the feature.
    pub(crate) feature: usize,
    /// The typical value of the segment, in the feature's own units.
    pub(crate) typical: f64,
    /// The typical value of all customers, in the same units.
    pub(crate) typical_of_all: f64,
    /// Difference of the two after the transform, in standard deviations.
    pub(crate) deviations: f64,
}

/// Formats a share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Formats a change of a share as a percentage, with its sign.
pub(crate) fn signed_percent(share: f64) -> String {
    // Rounds first and adds +0.0, so that a small negative value is not shown as -0.0 %.
    let rounded = (share * 1000.0).round() / 10.0 + 0.0;
    format!("{rounded:+.1} %")
}

/// Formats the command that put a version into use.
pub(crate) fn command(audit: &Audit) -> String {
    let Audit { what, who, why, .. } = audit;
    format!("{what} by {who} at {}: {why}", write_time(audit.at_ms))
}

/// The segment's share of the customers sampled lately, 0 to 1; 0 if the model has no weights.
pub(crate) fn share(model: &ModelVersion, segment: &Segment) -> f64 {
    let segments = model.segmentation().segments.iter();
    let all: f64 = segments.map(|segment| segment.weight).sum();
    if all > 0.0 { segment.weight / all } else { 0.0 }
}

/// The features that set the segment apart most, strongest first.
pub(crate) fn traits(plan: &Plan, model: &ModelVersion, segment: &Segment) -> Vec<CentroidTrait> {
    let scaler = &model.segmentation().scaler;
    let found = |feature: usize| {
        let deviation = scaler.deviation(feature);
        let (here, all) = (segment.centroid[feature], scaler.means[feature]);
        let transform = plan.feature(feature).transform;
        (deviation > 0.0).then(|| CentroidTrait {
            feature,
            typical: transform.invert(here),
            typical_of_all: transform.invert(all),
            deviations: (here - all) / deviation,
        })
    };
    let mut traits: Vec<CentroidTrait> = (0..plan.len()).filter_map(found).collect();
    traits.sort_by(|a, b| b.deviations.abs().total_cmp(&a.deviations.abs()));
    traits.truncate(MAX_TRAITS);
    traits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_less_than_nothing_is_nothing() {
        assert_eq!(signed_percent(-0.0001), "+0.0 %");
        assert_eq!(signed_percent(-0.25), "-25.0 %");
        assert_eq!(signed_percent(0.034), "+3.4 %");
    }
}
