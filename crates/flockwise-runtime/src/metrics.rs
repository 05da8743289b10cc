//! What the pipeline says of itself to Prometheus.
//!
//! A shard counts with plain integers in its own [`ShardMeter`] and exports what was committed; the
//! [`Metrics`] that all shards share are handed down, never global. Gauges carry the number of the
//! shard, so that one that starts again takes up its own series; sum or take the maximum over them.

mod lags;
mod latency;
mod meter;
mod progress;
#[cfg(test)]
mod tests;

use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use flockwise_core::lineage::Step;
pub use lags::InputLags;
pub use latency::Latency;
pub use meter::{Counts, Moves, ShardMeter};
pub use progress::{Progress, Stall};
use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::clock::Clock;

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The broker declared it void.
    Refused,
    /// The shard's partitions had become somebody else's.
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
    /// How each shard gets on.
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
    flips_suppressed: [IntCounter; Suppression::ALL.len()],
    dead_letters: [IntCounter; Reason::ALL.len()],
    duplicates: IntCounter,
    tombstones: IntCounter,
    forwarded_events: IntCounter,
    commits: IntCounter,
    aborts: [IntCounter; Abort::ALL.len()],
    restarts: IntCounter,
    rebalances: IntCounter,
    restored_records: IntCounter,
    sweep_scorings: IntCounter,
    sweep_outliers: IntCounter,
    standbys_taken: IntCounter,
    segment_steps: [IntCounter; Step::NAMES.len()],
    drifts: IntCounter,
    held_back: CounterVec,
}

#[derive(Clone, Debug)]
struct Gauges {
    customers: IntGaugeVec,
    state_bytes: IntGaugeVec,
    stopped: IntGaugeVec,
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
        let registrar = Registrar(registry);
        registrar.build_info()?;
        Ok(Self {
            progress: registrar.keep(Progress::new(clock.clone())?)?,
            lags: registrar.keep(InputLags::new(clock.clone())?)?,
            counters: Counters::register(&registrar)?,
            gauges: Gauges::register(&registrar)?,
            commit_latency: registrar.latency("commit", "How long commits take.")?,
            end_to_end_latency: registrar
                .latency("end_to_end", "From an event's timestamp to the commit.")?,
        })
    }

    /// A shard failed and starts again.
    pub fn restarted(&self, shard: usize, error: &str) {
        self.counters.restarts.inc();
        self.progress.failed(shard, error);
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
            "alignment_held_back_by_seconds_total",
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
            flips_suppressed: registrar.counters(
                ("flips_suppressed_total", "Nearer segments not moved to."),
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
            restarts: one(
                "shard_restarts_total",
                "Times that a shard failed and started again with new clients.",
            )?,
            rebalances: one(
                "rebalances_total",
                "Assignments, revocations and losses of tasks that shards were told of.",
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
            standbys_taken: one(
                "standbys_taken_total",
                "Tasks taken over that were kept warm.",
            )?,
            segment_steps: registrar.counters(
                (
                    "segment_steps_total",
                    "Segments born, split, merged and retired.",
                ),
                ("step", Step::NAMES),
            )?,
            drifts: one(
                "drifts_total",
                "Times that a feature or the quantisation error went off its past.",
            )?,
        })
    }
}

impl Gauges {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let by_shard = |name, help| registrar.gauges(name, help, &["shard"]);
        let moved_share = options(
            "model_moved_share",
            "Share of all customers that the trainer's last version moves, or would move.",
        );
        let skew = options(
            "alignment_skew_seconds",
            "Event time between the latest event processed and the earliest next one of the input partitions.",
        );
        Ok(Self {
            skew: registrar.keep(GaugeVec::new(skew, &["shard"])?)?,
            customers: by_shard("customers", "Customers held.")?,
            state_bytes: by_shard("state_bytes", "Memory of the customers held.")?,
            stopped: by_shard(
                "stopped_partitions",
                "Not read on: their next record is gone.",
            )?,
            standby_tasks: registrar.gauge("standby_tasks", "Tasks of others kept warm.")?,
            standby_bytes: registrar.gauge("standby_bytes", "Memory of tasks kept warm.")?,
            model_version: by_shard("model_version", "Version of the model; 0: none yet.")?,
            segments: by_shard("segments", "Segments of the model.")?,
            held_version: by_shard(
                "model_held_version",
                "Version of the model that waits for approval, at the trainer; 0: none.",
            )?,
            moved_share: registrar.keep(GaugeVec::new(moved_share, &["shard"])?)?,
            tasks: registrar.gauges("tasks", "Tasks assigned, by state.", &["shard", "state"])?,
            tasks_behind: by_shard(
                "backfill_tasks",
                "Tasks that have not read all events from before the pipeline's first start.",
            )?,
            warm_up_customers: by_shard(
                "warm_up_customers",
                "Customers sampled for the first version of the model, at the trainer; 0 once there is one.",
            )?,
            warm_up_customers_wanted: by_shard(
                "warm_up_customers_wanted",
                "Customers that the first version waits for, at the trainer; 0 once there is one.",
            )?,
            warm_up_span: by_shard(
                "warm_up_span_seconds",
                "Event time that the samples for the first version span, at the trainer.",
            )?,
            warm_up_span_wanted: by_shard(
                "warm_up_span_wanted_seconds",
                "Event time that they must span, at the trainer; 0 once there is a version.",
            )?,
        })
    }
}

/// Makes metrics and registers them.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.keep(IntCounter::with_opts(options(name, help))?)
    }

    /// One counter for each value of the label, all there from the start, at zero.
    fn counters<const N: usize>(
        &self,
        (name, help): (&str, &str),
        (label, values): (&str, [&str; N]),
    ) -> prometheus::Result<[IntCounter; N]> {
        let family = self.keep(IntCounterVec::new(options(name, help), &[label])?)?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.keep(IntGauge::with_opts(options(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(options(name, help), labels)?)
    }

    fn latency(&self, what: &str, help: &str) -> prometheus::Result<Latency> {
        self.keep(Latency::new(&format!("{what}_latency_seconds"), help)?)
    }

    /// Always 1; the label says what runs.
    fn build_info(&self) -> prometheus::Result<()> {
        let labels = ["version"];
        let info = self.gauges(
            "build_info",
            "Always 1, for the version that runs.",
            &labels,
        )?;
        set(&info, &[env!("CARGO_PKG_VERSION")], 1);
        Ok(())
    }

    fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauges.with_label_values(labels).set(value);
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("flockwise")
}
