//! What the store says of itself to Prometheus.

use flockwise_runtime::metrics::{Described, Registrar};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Registry};

/// Upper bounds of the buckets, seconds.
const BOUNDS_S: [f64; 11] = [
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0,
];

/// The metrics of a store; clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    bytes: IntGaugeVec,
    pub(crate) writes: IntCounter,
    pub(crate) write_seconds: Histogram,
    pub(crate) records: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) set_aside: IntCounter,
}

/// How the names of the store's metrics begin.
const PREFIX: &str = "flockwise_store";

/// What every metric of the store is.
///
/// # Errors
/// Where two of them have the same name.
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
            "How long writing a batch takes.",
        );
        let write_seconds = write_seconds.buckets(BOUNDS_S.to_vec());
        Ok(Self {
            bytes: registrar.gauges("bytes", "Size of a task's copy on disk.", &["task"])?,
            writes: counter("writes_total", "Batches written to disk.")?,
            write_seconds: registrar.keep(Histogram::with_opts(write_seconds)?)?,
            records: counter("records_total", "Records written to disk.")?,
            failures: counter("failures_total", "Copies lost to the disk's failures.")?,
            set_aside: counter(
                "rejected_checkpoints_total",
                "Copies on disk found of no use.",
            )?,
        })
    }

    pub(crate) fn show_bytes(&self, task: u32, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes
            .with_label_values(&[&task.to_string()])
            .set(bytes);
    }

    /// Takes the series of a task away that is no longer here.
    pub(crate) fn forget(&self, task: u32) {
        // One that was never set is gone already.
        self.bytes.remove_label_values(&[&task.to_string()]).ok();
    }
}
