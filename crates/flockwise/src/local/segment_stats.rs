//! Statistics of each segment for the summary, from the views of all customers.

use flockwise_core::customer_view::CustomerView;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use serde::Serialize;

use crate::local::summary_counts::Tally;

/// Maximum number of traits of a segment.
const MAX_TRAITS: usize = 3;
/// Minimum deviation of a trait from the mean of all customers, in standard deviations.
const MIN_DEVIATION: f64 = 0.35;

/// Statistics of one segment, as in `summary.json`.
#[derive(Debug, Serialize)]
pub(crate) struct SegmentStats {
    pub(crate) segment: u32,
    pub(crate) name: String,
    /// Number of customers in the segment at the end.
    pub(crate) customers: usize,
    /// Share of all customers that have a segment, 0 to 1.
    pub(crate) share: f64,
    /// Sum of the configured `brings_in` feature over the segment's customers; `None` if none is configured.
    pub(crate) brings_in: Option<f64>,
    /// Share of the sum over all segments, 0 to 1.
    pub(crate) brings_in_share: Option<f64>,
    /// What sets the segment apart, strongest first.
    pub(crate) traits: Vec<Trait>,
    /// Changes from another segment to this one.
    pub(crate) changes_in: u64,
    /// Changes from this segment to another one or to none.
    pub(crate) changes_out: u64,
}

/// A feature that sets a segment apart: the medians of the segment and of all customers, in the feature's own units.
#[derive(Debug, Serialize)]
pub(crate) struct Trait {
    pub(crate) feature: String,
    pub(crate) here: f64,
    pub(crate) everybody: f64,
}

/// Statistics of every segment, sorted by `brings_in`, then by size, both descending.
pub(crate) fn segment_stats(
    plan: &Plan,
    model: &Model,
    customer_views: &[CustomerView],
    brings_in: Option<&str>,
    tally: &Tally,
) -> Vec<SegmentStats> {
    let money = brings_in.and_then(|name| plan.feature_names().position(|known| known == name));
    let assigned: Vec<&CustomerView> = customer_views
        .iter()
        .filter(|view| view.segment.is_some())
        .collect();
    let total = money.map(|index| sum(&assigned, index));
    let mut segment_stats: Vec<SegmentStats> = (0..model.segmentation().segments().len())
        .map(|index| {
            let segment = &model.segmentation().segments()[index];
            let members: Vec<&CustomerView> = assigned
                .iter()
                .filter(|view| view.segment == Some(segment.id))
                .copied()
                .collect();
            let brings_in = money.map(|index| sum(&members, index));
            let (changes_in, changes_out) = tally
                .by_segment
                .get(&segment.id)
                .copied()
                .unwrap_or_default();
            SegmentStats {
                segment: segment.id,
                name: segment.name.clone(),
                customers: members.len(),
                share: share(members.len() as f64, assigned.len() as f64),
                brings_in,
                brings_in_share: brings_in.zip(total).map(|(own, total)| share(own, total)),
                traits: traits(plan, model, &assigned, &members),
                changes_in,
                changes_out,
            }
        })
        .collect();
    segment_stats.sort_by(|left, right| {
        let money = right
            .brings_in
            .unwrap_or(0.0)
            .total_cmp(&left.brings_in.unwrap_or(0.0));
        money.then(right.customers.cmp(&left.customers))
    });
    segment_stats
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn sum(customer_views: &[&CustomerView], feature: usize) -> f64 {
    customer_views
        .iter()
        .map(|view| view.features[feature])
        .sum()
}

/// The features whose mean over the segment's members deviates most from the scaler's mean, in standard deviations.
fn traits(
    plan: &Plan,
    model: &Model,
    everybody: &[&CustomerView],
    members: &[&CustomerView],
) -> Vec<Trait> {
    if members.is_empty() {
        return Vec::new();
    }
    let scaler = model.segmentation().scaler();
    let mut off: Vec<(f64, usize)> = (0..plan.len())
        .filter_map(|index| {
            let mean =
                members.iter().map(|view| view.vector[index]).sum::<f64>() / members.len() as f64;
            let deviation = scaler.variances[index].sqrt();
            let off = ((mean - scaler.means[index]) / deviation).abs();
            (deviation > 0.0 && off >= MIN_DEVIATION).then_some((off, index))
        })
        .collect();
    off.sort_by(|left, right| right.0.total_cmp(&left.0));
    off.into_iter()
        .take(MAX_TRAITS)
        .map(|(_, index)| Trait {
            feature: plan.feature(index).name.clone(),
            here: median(members, index),
            everybody: median(everybody, index),
        })
        .collect()
}

fn median(customer_views: &[&CustomerView], feature: usize) -> f64 {
    let mut values: Vec<f64> = customer_views
        .iter()
        .map(|view| view.features[feature])
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}
