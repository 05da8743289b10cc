//! The pipeline's Prometheus metrics.
//!
//! A worker counts with plain integers in its own [`WorkerMeter`] and exports what was committed. All workers share
//! one [`Metrics`], which is passed down, never global. Gauges are labelled with the worker's number, so that a
//! restarted worker continues its own series. Take their sum or maximum over the workers.

mod abort_reasons;
mod all_metrics;
mod counters;
mod gauges;
mod lags;
mod latency;
mod meter;
mod metric_options;
mod registrar;
mod stalled_workers;
#[cfg(test)]
mod tests;

pub use abort_reasons::{Abort, Restart};
pub use all_metrics::Metrics;
pub use lags::InputLags;
pub use latency::Latency;
pub use meter::{Counts, SegmentMoves, WorkerMeter};
pub use registrar::{Described, Registrar};
pub use stalled_workers::{ProgressMetrics, Stall};
