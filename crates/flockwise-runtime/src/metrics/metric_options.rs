//! What all metrics have in common.

use prometheus::{IntGaugeVec, Opts};

/// Prefix of the pipeline's metric names.
pub(super) const PREFIX: &str = "flockwise";

pub(super) fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauges.with_label_values(labels).set(value);
}

pub(super) fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}
