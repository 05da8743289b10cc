//! The store's Prometheus metrics.

use flockwise_runtime::metrics::{Described, Registrar};
use flockwise_runtime::task_id::TaskId;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Registry};

/// Upper bounds of the write-time buckets, seconds.
const BOUNDS_S: [f64; 11] = [
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0,
];

/// The metrics of a store. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    bytes: IntGaugeVec,
    pub(crate) writes: IntCounter,
    pub(crate) write_seconds: Histogram,
    pub(crate) records: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) set_aside: IntCounter,
}

/// The prefix of the metrics' names.
const PREFIX: &str = "flockwise_store";

/// Name, type and labels of every metric of the store.
///
/// # Errors
/// If two of them have the same name.
pub fn described_metrics() -> prometheus::Result<Vec<Described>> {
    let registry = Registry::new();
    let registrar = Registrar::new(&registry, PREFIX);
    StoreMetrics::register_with(&registrar)?;
    Ok(registrar.described())
}

impl StoreMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Self::register_with(&Registrar::new(registry, PREFIX))
    }

    fn register_with(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let counter = |name, help| registrar.counter(name, help);
        let write_seconds = HistogramOpts::new(
            format!("{PREFIX}_write_seconds"),
            "Time to write a batch to the disk.",
        );
        let write_seconds = write_seconds.buckets(BOUNDS_S.to_vec());
        Ok(Self {
            bytes: registrar.gauges("bytes", "Size of a task's checkpoint.", &["task"])?,
            writes: counter("writes_total", "Batches written to disk.")?,
            write_seconds: registrar.keep(Histogram::with_opts(write_seconds)?)?,
            records: counter("records_total", "Records written to disk.")?,
            failures: counter("failures_total", "Checkpoints lost to failed writes.")?,
            set_aside: counter(
                "rejected_checkpoints_total",
                "Checkpoints that could not be used.",
            )?,
        })
    }

    pub(crate) fn show_bytes(&self, task: TaskId, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes
            .with_label_values(&[&task.to_string()])
            .set(bytes);
    }

    /// Removes the series of a task that this process no longer has.
    pub(crate) fn forget(&self, task: TaskId) {
        // The series may not exist.
        self.bytes.remove_label_values(&[&task.to_string()]).ok();
    }
}
