//! What the store says of itself to Prometheus.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Opts, Registry};

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

impl StoreMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, help| keep(registry, IntCounter::with_opts(options(name, help))?);
        let bytes = options("bytes", "Size of a task's copy on disk.");
        let write_seconds = HistogramOpts {
            common_opts: options("write_seconds", "How long writing a batch takes."),
            buckets: BOUNDS_S.to_vec(),
        };
        Ok(Self {
            bytes: keep(registry, IntGaugeVec::new(bytes, &["task"])?)?,
            writes: counter("writes_total", "Batches written to disk.")?,
            write_seconds: keep(registry, Histogram::with_opts(write_seconds)?)?,
            records: counter("records_total", "Records written to disk.")?,
            failures: counter("failures_total", "Copies lost to the disk's failures.")?,
            set_aside: counter("set_aside_total", "Copies on disk found of no use.")?,
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

fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help)
        .namespace("flockwise")
        .subsystem("store")
}
