//! Statistics of each segment for the summary, from the views of all customers.

use flockwise_core::customer_view::CustomerView;
use flockwise_core::feature::Feature;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use serde::Serialize;

use crate::counts::Tally;

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
    let mut segment_stats: Vec<SegmentStats> = (0..model.segments().len())
        .map(|index| {
            let segment = &model.segments()[index];
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
    let scaler = &model.parts().scaler;
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

/// A feature's label, or else its name with spaces.
pub(crate) fn label(feature: &Feature) -> String {
    feature
        .wording
        .label
        .clone()
        .unwrap_or_else(|| feature.name.replace('_', " "))
}

/// Formats a value with its unit. The unit `%` formats a share as a percentage.
pub(crate) fn readable(value: f64, unit: Option<&str>) -> String {
    match unit {
        Some("%") => format!("{:.0} %", value * 100.0),
        Some(unit) if unit.chars().count() == 1 => format!("{unit}{}", number(value)),
        Some(unit) => format!("{} {unit}", number(value)),
        None => number(value),
    }
}

/// Formats a number with commas between thousands, and at most one decimal below ten, else none.
pub(crate) fn number(value: f64) -> String {
    let rounded = if value.abs() < 9.95 {
        (value * 10.0).round() / 10.0
    } else {
        value.round()
    };
    if rounded.abs() < 10.0 {
        return if rounded.fract() == 0.0 {
            format!("{rounded:.0}")
        } else {
            format!("{rounded:.1}")
        };
    }
    let digits = format!("{:.0}", rounded.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if rounded < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (0.04, "0"),
            (0.26, "0.3"),
            (-2.0, "-2"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-12_345.0, "-12,345"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(readable(0.256, Some("%")), "26 %");
        assert_eq!(readable(1500.0, Some("£")), "£1,500");
        assert_eq!(readable(3.25, Some("days")), "3.3 days");
    }
}
