//! What the pipeline says of itself to Prometheus.
//!
//! A worker counts with plain integers in its own [`WorkerMeter`] and exports what was committed; the
//! [`Metrics`] that all workers share are handed down, never global. Gauges carry the number of the
//! worker, so that one that starts again takes up its own series; sum or take the maximum over them.

mod lags;
mod latency;
mod meter;
mod progress;
mod registrar;
#[cfg(test)]
mod tests;

use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use flockwise_core::lineage::Step;
pub use lags::InputLags;
pub use latency::Latency;
pub use meter::{Counts, SegmentMoves, WorkerMeter};
pub use progress::{Progress, Stall};
use prometheus::{CounterVec, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
pub use registrar::{Described, Registrar};

use crate::clock::Clock;

/// How the names of the pipeline's metrics begin.
const PREFIX: &str = "flockwise";

/// Why a worker starts again with new clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Another process has its transactional id or its `group.instance.id`.
    Fenced,
    /// Its clients can go on no more.
    Failed,
}

impl Restart {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fenced, Self::Failed];

    /// As metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The broker declared it void.
    Refused,
    /// The worker's partitions had become somebody else's.
    Lost,
}

impl Abort {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Lost];

    /// As metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

/// The metrics of a process; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    counters: Counters,
    gauges: Gauges,
    /// How each worker gets on.
    pub progress: Progress,
    /// How far behind inputs are.
    pub lags: InputLags,
    /// How long commits take.
    pub commit_latency: Latency,
    /// From the timestamp of an event's record to the commit of what came of it.
    pub end_to_end_latency: Latency,
}

#[derive(Clone, Debug)]
struct Counters {
    events: IntCounter,
    changes: [IntCounter; Cause::ALL.len()],
    changes_withheld: IntCounter,
    suppressed_changes: [IntCounter; Suppression::ALL.len()],
    dead_letters: [IntCounter; Reason::ALL.len()],
    duplicates: IntCounter,
    tombstones: IntCounter,
    forwarded_events: IntCounter,
    commits: IntCounter,
    aborts: [IntCounter; Abort::ALL.len()],
    restarts: [IntCounter; Restart::ALL.len()],
    rebalances: IntCounter,
    restored_records: IntCounter,
    sweep_scorings: IntCounter,
    sweep_outliers: IntCounter,
    standby_takeovers: IntCounter,
    segment_steps: [IntCounter; Step::NAMES.len()],
    drift_alarms: IntCounter,
    held_back: CounterVec,
}

#[derive(Clone, Debug)]
struct Gauges {
    customers: IntGaugeVec,
    state_bytes: IntGaugeVec,
    halted: IntGaugeVec,
    standby_tasks: IntGauge,
    standby_bytes: IntGauge,
    model_version: IntGaugeVec,
    segments: IntGaugeVec,
    held_version: IntGaugeVec,
    moved_share: GaugeVec,
    tasks: IntGaugeVec,
    skew: GaugeVec,
    tasks_behind: IntGaugeVec,
    warm_up_customers: IntGaugeVec,
    warm_up_customers_wanted: IntGaugeVec,
    warm_up_span: IntGaugeVec,
    warm_up_span_wanted: IntGaugeVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Where the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Self::register_by(registry, &Clock::System)
    }

    /// The same, measured by a clock.
    ///
    /// # Errors
    /// As [`Metrics::register`].
    pub fn register_by(registry: &Registry, clock: &Clock) -> prometheus::Result<Self> {
        Self::register_with(&Registrar::new(registry, PREFIX), clock)
    }

    /// What every metric of the pipeline is.
    ///
    /// # Errors
    /// Where two of them have the same name.
    pub fn described() -> prometheus::Result<Vec<Described>> {
        let registry = Registry::new();
        let registrar = Registrar::new(&registry, PREFIX);
        Self::register_with(&registrar, &Clock::System)?;
        Ok(registrar.described())
    }

    fn register_with(registrar: &Registrar<'_>, clock: &Clock) -> prometheus::Result<Self> {
        build_info(registrar)?;
        Ok(Self {
            progress: registrar.keep(Progress::new(clock.clone())?)?,
            lags: registrar.keep(InputLags::new(clock.clone())?)?,
            counters: Counters::register(registrar)?,
            gauges: Gauges::register(registrar)?,
            commit_latency: registrar.latency("commit", "How long commits take.")?,
            end_to_end_latency: registrar
                .latency("end_to_end", "From an event's timestamp to the commit.")?,
        })
    }

    /// A worker failed and starts again.
    pub fn restarted(&self, worker: usize, why: Restart, error: &str) {
        self.counters.restarts[why as usize].inc();
        self.progress.failed(worker, error);
    }

    /// Says that records of other partitions have waited for this one for so much longer.
    pub fn held_back(&self, topic: &str, partition: u32, waited: Duration) {
        let labels = [topic, &partition.to_string()];
        let waits = self.counters.held_back.with_label_values(&labels);
        waits.inc_by(waited.as_secs_f64());
    }

    /// Says what is kept warm for others.
    pub fn standbys(&self, tasks: usize, bytes: usize) {
        self.gauges.standby_tasks.set(tasks as i64);
        self.gauges.standby_bytes.set(bytes as i64);
    }
}

impl Counters {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let one = |name, help| registrar.counter(name, help);
        let held_back = options(
            "alignment_wait_seconds_total",
            "Time that events of other partitions have waited for this one to come as far.",
        );
        Ok(Self {
            held_back: registrar.keep(CounterVec::new(held_back, &["topic", "partition"])?)?,
            events: one("events_total", "Events processed.")?,
            changes: registrar.counters(
                ("changes_total", "Changes of segment."),
                ("cause", Cause::ALL.map(Cause::name)),
            )?,
            changes_withheld: one(
                "changes_withheld_total",
                "Changes of segment from before the pipeline's first start that are not published.",
            )?,
            suppressed_changes: registrar.counters(
                ("suppressed_changes_total", "Nearer segments not moved to."),
                ("reason", Suppression::ALL.map(Suppression::name)),
            )?,
            dead_letters: registrar.counters(
                ("dead_letters_total", "Records that could not be processed."),
                ("reason", Reason::ALL.map(Reason::name)),
            )?,
            duplicates: one("duplicates_total", "Events that had been seen before.")?,
            tombstones: one(
                "tombstones_total",
                "Input records skipped because they have no value: deletions in a compacted topic.",
            )?,
            forwarded_events: one("forwarded_events_total", "Events passed to other tasks.")?,
            commits: one("commits_total", "Transactions committed.")?,
            aborts: registrar.counters(
                ("aborts_total", "Transactions taken back."),
                ("reason", Abort::ALL.map(Abort::name)),
            )?,
            restarts: registrar.counters(
                (
                    "worker_restarts_total",
                    "Times that a worker started again with new clients.",
                ),
                ("reason", Restart::ALL.map(Restart::name)),
            )?,
            rebalances: one(
                "rebalances_total",
                "Assignments, revocations and losses of tasks that workers were told of.",
            )?,
            restored_records: one(
                "restored_records_total",
                "Changelog records read to restore tasks.",
            )?,
            sweep_scorings: one("sweep_scorings_total", "Customers scored by the sweep.")?,
            sweep_outliers: one(
                "sweep_outliers_total",
                "Customers scored by the sweep who are far from every segment.",
            )?,
            standby_takeovers: one(
                "standby_takeovers_total",
                "Tasks taken over that were kept warm.",
            )?,
            segment_steps: registrar.counters(
                (
                    "segment_steps_total",
                    "Segments born, split, merged and retired.",
                ),
                ("step", Step::NAMES),
            )?,
            drift_alarms: one(
                "drift_alarms_total",
                "Times that a feature or the quantisation error went off its past.",
            )?,
        })
    }
}

impl Gauges {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let by_worker = |name, help| registrar.gauges(name, help, &["worker"]);
        Ok(Self {
            skew: registrar.real_gauges(
                "alignment_skew_seconds",
                "Event time between the latest event processed and the earliest next one of the input partitions.",
                &["worker"],
            )?,
            customers: by_worker("customers", "Customers held.")?,
            state_bytes: by_worker("state_bytes", "Memory of the customers held.")?,
            halted: by_worker(
                "halted_partitions",
                "Not read on: their next record is gone.",
            )?,
            standby_tasks: registrar.gauge("standby_tasks", "Tasks of others kept warm.")?,
            standby_bytes: registrar.gauge("standby_bytes", "Memory of tasks kept warm.")?,
            model_version: by_worker("model_version", "Version of the model; 0: none yet.")?,
            segments: by_worker("segments", "Segments of the model.")?,
            held_version: by_worker(
                "model_held_version",
                "Version of the model that waits for approval, at the trainer; 0: none.",
            )?,
            moved_share: registrar.real_gauges(
                "model_moved_share",
                "Share of all customers that the trainer's last version moves, or would move.",
                &["worker"],
            )?,
            tasks: registrar.gauges("tasks", "Tasks assigned, by state.", &["worker", "state"])?,
            tasks_behind: by_worker(
                "backfill_tasks",
                "Tasks that have not read all events from before the pipeline's first start.",
            )?,
            warm_up_customers: by_worker(
                "warm_up_customers",
                "Customers sampled for the first version of the model, at the trainer; 0 once there is one.",
            )?,
            warm_up_customers_wanted: by_worker(
                "warm_up_customers_wanted",
                "Customers that the first version waits for, at the trainer; 0 once there is one.",
            )?,
            warm_up_span: by_worker(
                "warm_up_span_seconds",
                "Event time that the samples for the first version span, at the trainer.",
            )?,
            warm_up_span_wanted: by_worker(
                "warm_up_span_wanted_seconds",
                "Event time that they must span, at the trainer; 0 once there is a version.",
            )?,
        })
    }
}

/// Always 1; the label says what runs.
fn build_info(registrar: &Registrar<'_>) -> prometheus::Result<()> {
    let help = "Always 1, for the version that runs.";
    let info = registrar.gauges("build_info", help, &["version"])?;
    set(&info, &[env!("CARGO_PKG_VERSION")], 1);
    Ok(())
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauges.with_label_values(labels).set(value);
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}
