//! The pipeline's Prometheus metrics.
//!
//! A worker counts with plain integers in its own [`WorkerMeter`] and exports what was committed. All workers share
//! one [`Metrics`], which is passed down, never global. Gauges are labelled with the worker's number, so that a
//! restarted worker continues its own series. Take their sum or maximum over the workers.

mod counters;
mod gauges;
mod lags;
mod latency;
mod meter;
mod options;
mod process_metrics;
mod progress;
mod reasons;
mod registrar;
#[cfg(test)]
mod tests;

pub use lags::InputLags;
pub use latency::Latency;
pub use meter::{Counts, SegmentMoves, WorkerMeter};
pub use process_metrics::Metrics;
pub use progress::{ProgressMetrics, Stall};
pub use reasons::{Abort, Restart};
pub use registrar::{Described, Registrar};
