//! The pipeline's Prometheus metrics.
//!
//! A worker counts with plain integers in its own [`WorkerMeter`] and exports what was committed. All workers share
//! one [`Metrics`], which is passed down, never global. Gauges are labelled with the worker's number, so that a
//! restarted worker continues its own series. Take their sum or maximum over the workers.

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
use flockwise_core::task::TaskCommand;
pub use lags::InputLags;
pub use latency::Latency;
pub use meter::{Counts, SegmentMoves, WorkerMeter};
pub use progress::{Progress, Stall};
use prometheus::{CounterVec, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
pub use registrar::{Described, Registrar};

use crate::clock::Clock;

/// Prefix of the pipeline's metric names.
const PREFIX: &str = "flockwise";

/// Why a worker restarts with new clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Another process has taken over its transactional id or its `group.instance.id`.
    Fenced,
    /// Its clients cannot be used any more.
    Failed,
}

impl Restart {
    /// Every reason, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::Fenced, Self::Failed];

    /// The value of the metric label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

/// Why a transaction was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The brokers refused it.
    Refused,
    /// The group had already assigned the worker's partitions to others.
    Lost,
}

impl Abort {
    /// Every reason, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Lost];

    /// The value of the metric label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

/// The metrics of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    counters: Counters,
    gauges: Gauges,
    /// When each worker last polled and committed.
    pub progress: Progress,
    /// The lag of each input partition.
    pub lags: InputLags,
    /// Duration of commits.
    pub commit_latency: Latency,
    /// Time from the timestamp of an event's record to the commit of its results.
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
    task_commands: [IntCounter; TaskCommand::NAMES.len()],
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
            progress: registrar.keep(Progress::new(clock.clone())?)?,
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

    /// Counts the restart of a failed worker, and notes its error for [`Progress::stalls`].
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

impl Counters {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let one = |name, help| registrar.counter(name, help);
        let held_back = options(
            "alignment_wait_seconds_total",
            "Time for which events of other partitions were held back to wait for this partition.",
        );
        Ok(Self {
            held_back: registrar.keep(CounterVec::new(held_back, &["topic", "partition"])?)?,
            events: one(
                "events_total",
                "Events read from the inputs, including those that became dead letters.",
            )?,
            changes: registrar.counters(
                ("changes_total", "Segment changes published."),
                ("cause", Cause::ALL.map(Cause::name)),
            )?,
            changes_withheld: one(
                "changes_withheld_total",
                "Segment changes from before the pipeline's first start, which were not published.",
            )?,
            suppressed_changes: registrar.counters(
                (
                    "suppressed_changes_total",
                    "Segment changes suppressed by the decision policy.",
                ),
                ("reason", Suppression::ALL.map(Suppression::name)),
            )?,
            dead_letters: registrar.counters(
                (
                    "dead_letters_total",
                    "Records rejected and written to the dead-letter topic.",
                ),
                ("reason", Reason::ALL.map(Reason::name)),
            )?,
            duplicates: one(
                "duplicates_total",
                "Events skipped as duplicates, by event or order id.",
            )?,
            tombstones: one(
                "tombstones_total",
                "Input records skipped because they have no value (deletions in a compacted \
                 topic).",
            )?,
            forwarded_events: one(
                "forwarded_events_total",
                "Events forwarded to the task that owns their customer.",
            )?,
            task_commands: registrar.counters(
                ("task_commands_total", "Commands that tasks have applied."),
                ("command", TaskCommand::NAMES),
            )?,
            commits: one("commits_total", "Transactions committed.")?,
            aborts: registrar.counters(
                ("aborts_total", "Transactions aborted."),
                ("reason", Abort::ALL.map(Abort::name)),
            )?,
            restarts: registrar.counters(
                ("worker_restarts_total", "Worker restarts with new clients."),
                ("reason", Restart::ALL.map(Restart::name)),
            )?,
            rebalances: one(
                "rebalances_total",
                "Rebalance notifications (partitions assigned, revoked or lost) received by the \
                 workers.",
            )?,
            restored_records: one(
                "restored_records_total",
                "Changelog records read to restore tasks.",
            )?,
            sweep_scorings: one(
                "sweep_scorings_total",
                "Scorings of customers by the sweep.",
            )?,
            sweep_outliers: one(
                "sweep_outliers_total",
                "Scorings by the sweep that found the customer to be an outlier.",
            )?,
            standby_takeovers: one(
                "standby_takeovers_total",
                "Tasks taken over from a standby.",
            )?,
            segment_steps: registrar.counters(
                (
                    "segment_steps_total",
                    "Lineage steps: segments born, split, merged or retired.",
                ),
                ("step", Step::NAMES),
            )?,
            drift_alarms: one(
                "drift_alarms_total",
                "Drift alarms of features and of the quantisation error.",
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
                "Event time from the earliest next to the latest processed event of the worker's \
                 input partitions.",
                &["worker"],
            )?,
            customers: by_worker("customers", "Customers in the tasks of the worker.")?,
            state_bytes: by_worker(
                "state_bytes",
                "Memory used by the state of the worker's tasks in bytes.",
            )?,
            halted: by_worker(
                "halted_partitions",
                "Partitions halted because their next records are lost or damaged.",
            )?,
            standby_tasks: registrar.gauge(
                "standby_tasks",
                "Standbys of tasks that other instances own.",
            )?,
            standby_bytes: registrar.gauge("standby_bytes", "Memory used by standbys in bytes.")?,
            model_version: by_worker(
                "model_version",
                "Version of the model in use; 0 before the first version.",
            )?,
            segments: by_worker("segments", "Segments of the model in use.")?,
            held_version: by_worker(
                "model_held_version",
                "Model version held for approval; 0 if none. Set by the worker that hosts the \
                 trainer.",
            )?,
            moved_share: registrar.real_gauges(
                "model_moved_share",
                "Share of customers that the latest version moves, or would move if approved. \
                 Set by the trainer's worker.",
                &["worker"],
            )?,
            tasks: registrar.gauges(
                "tasks",
                "Tasks owned by the worker, by state.",
                &["worker", "state"],
            )?,
            tasks_behind: by_worker(
                "backfill_tasks",
                "Tasks that have not yet read all events from before the pipeline's first start.",
            )?,
            warm_up_customers: by_worker(
                "warm_up_customers",
                "Customers sampled for the first model version; 0 once it exists. Set by the \
                 trainer's worker.",
            )?,
            warm_up_customers_wanted: by_worker(
                "warm_up_customers_wanted",
                "Customers required for the first model version; 0 once it exists. Set by the \
                 trainer's worker.",
            )?,
            warm_up_span: by_worker(
                "warm_up_span_seconds",
                "Event time spanned by the samples for the first version; 0 once it exists. Set \
                 by the trainer's worker.",
            )?,
            warm_up_span_wanted: by_worker(
                "warm_up_span_wanted_seconds",
                "Event time that these samples must span; 0 once the version exists. Set by the \
                 trainer's worker.",
            )?,
        })
    }
}

/// Always 1: the label is the version of the program.
fn build_info(registrar: &Registrar<'_>) -> prometheus::Result<()> {
    let help = "Always 1; the label is the running version.";
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
