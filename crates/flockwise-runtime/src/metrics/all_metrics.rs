//! All metrics of a process.

use std::time::Duration;

use prometheus::Registry;

use super::abort_reasons::Restart;
use super::counters::Counters;
use super::gauges::Gauges;
use super::lags::InputLags;
use super::latency::Latency;
use super::metric_options::{PREFIX, set};
use super::registrar::{Described, Registrar};
use super::stalled_workers::ProgressMetrics;
use crate::clock::Clock;

/// The metrics of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) counters: Counters,
    pub(super) gauges: Gauges,
    /// When each worker last polled and committed.
    pub progress: ProgressMetrics,
    /// The lag of each input partition.
    pub lags: InputLags,
    /// Duration of commits.
    pub commit_latency: Latency,
    /// Time from the timestamp of an event's record to the commit of its results.
    pub end_to_end_latency: Latency,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If the registry already has a metric of one of these names.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Self::register_by(registry, &Clock::System)
    }

    /// As [`Metrics::register`], with a clock for lags and progress.
    ///
    /// # Errors
    /// As [`Metrics::register`].
    pub fn register_by(registry: &Registry, clock: &Clock) -> prometheus::Result<Self> {
        Self::register_with(&Registrar::new(registry, PREFIX), clock)
    }

    /// Name, type and labels of every metric of the pipeline.
    ///
    /// # Errors
    /// If two of them have the same name.
    pub fn described() -> prometheus::Result<Vec<Described>> {
        let registry = Registry::new();
        let registrar = Registrar::new(&registry, PREFIX);
        Self::register_with(&registrar, &Clock::System)?;
        Ok(registrar.described())
    }

    fn register_with(registrar: &Registrar<'_>, clock: &Clock) -> prometheus::Result<Self> {
        build_info(registrar)?;
        Ok(Self {
            progress: registrar.keep(ProgressMetrics::new(clock.clone())?)?,
            lags: registrar.keep(InputLags::new(clock.clone())?)?,
            counters: Counters::register(registrar)?,
            gauges: Gauges::register(registrar)?,
            commit_latency: registrar
                .latency("commit", "Duration of transaction commits in seconds.")?,
            end_to_end_latency: registrar.latency(
                "end_to_end",
                "Time from the timestamp of an event's record to the commit of its results in \
                 seconds.",
            )?,
        })
    }

    /// Counts the restart of a failed worker, and notes its error for [`ProgressMetrics::stalls`].
    pub fn restarted(&self, worker: usize, why: Restart, error: &str) {
        self.counters.restarts[why as usize].inc();
        self.progress.failed(worker, error);
    }

    /// Adds `waited` to the time for which records of other partitions were held back to wait for this partition.
    pub fn held_back(&self, topic: &str, partition: u32, waited: Duration) {
        let labels = [topic, &partition.to_string()];
        let waits = self.counters.held_back.with_label_values(&labels);
        waits.inc_by(waited.as_secs_f64());
    }

    /// Sets the number of standby tasks, and the bytes of memory that they take.
    pub fn standbys(&self, tasks: usize, bytes: usize) {
        self.gauges.standby_tasks.set(tasks as i64);
        self.gauges.standby_bytes.set(bytes as i64);
    }
}

/// Always 1: the label is the version of the program.
fn build_info(registrar: &Registrar<'_>) -> prometheus::Result<()> {
    let help = "Always 1; the label is the running version.";
    let info = registrar.gauges("build_info", help, &["version"])?;
    set(&info, &[env!("CARGO_PKG_VERSION")], 1);
    Ok(())
}
