//! What the pipeline says of itself to Prometheus.
//!
//! A shard counts with plain integers in its own [`ShardMeter`] and exports them once a batch; the
//! [`Metrics`] that all shards share are handed down, never global. Gauges carry the number of the
//! shard, so that one that starts again takes up its own series; sum or take the maximum over them.

mod latency;
#[cfg(test)]
mod tests;

use std::mem::take;
use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use flockwise_core::lineage::Step;
pub use latency::Latency;
use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The broker declared it void.
    Refused,
    /// The shard's partitions had become somebody else's.
    Lost,
    /// The client was of no more use.
    Fatal,
}

impl Abort {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refused, Self::Lost, Self::Fatal];

    /// As metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Fatal => "fatal",
        }
    }
}

/// The metrics of a process; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    counters: Counters,
    gauges: Gauges,
    /// How long commits take.
    pub commit_latency: Latency,
    /// From the timestamp of an event's record to the commit of what came of it.
    pub end_to_end_latency: Latency,
}

#[derive(Clone, Debug)]
struct Counters {
    events: IntCounter,
    changes: [IntCounter; Cause::ALL.len()],
    flips_suppressed: [IntCounter; Suppression::ALL.len()],
    dead_letters: [IntCounter; Reason::ALL.len()],
    duplicates: IntCounter,
    tombstones: IntCounter,
    forwarded_events: IntCounter,
    commits: IntCounter,
    aborts: [IntCounter; Abort::ALL.len()],
    sweep_scorings: IntCounter,
    sweep_outliers: IntCounter,
    standbys_taken: IntCounter,
    segment_steps: [IntCounter; Step::NAMES.len()],
    drifts: IntCounter,
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
    event_lag: GaugeVec,
    input_lag: IntGaugeVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Where the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let registrar = Registrar(registry);
        Ok(Self {
            counters: Counters::register(&registrar)?,
            gauges: Gauges::register(&registrar)?,
            commit_latency: registrar.latency("commit", "How long commits take.")?,
            end_to_end_latency: registrar
                .latency("end_to_end", "From an event's timestamp to the commit.")?,
        })
    }

    /// Says how far behind an input partition is, once a batch.
    pub fn input(&self, topic: &str, partition: u32, event_lag: Duration, lag_events: Option<u64>) {
        let partition = partition.to_string();
        let labels = [topic, &partition];
        let event_lag_seconds = event_lag.as_secs_f64();
        let gauges = &self.gauges;
        gauges
            .event_lag
            .with_label_values(&labels)
            .set(event_lag_seconds);
        if let Some(events) = lag_events {
            set(&gauges.input_lag, &labels, events);
        }
    }

    /// Says what is kept warm for others.
    pub fn standbys(&self, tasks: usize, bytes: usize) {
        self.gauges.standby_tasks.set(tasks as i64);
        self.gauges.standby_bytes.set(bytes as i64);
    }

    /// Takes the series of an input partition away that this process no longer reads, lest its last
    /// lag be reported for ever.
    pub fn forget_input(&self, topic: &str, partition: u32) {
        let partition = partition.to_string();
        let labels = [topic, &partition];
        // One that was never set is gone already.
        self.gauges.event_lag.remove_label_values(&labels).ok();
        self.gauges.input_lag.remove_label_values(&labels).ok();
    }
}

impl Counters {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let one = |name, help| registrar.counter(name, help);
        Ok(Self {
            events: one("events_total", "Events processed.")?,
            changes: registrar.counters(
                ("changes_total", "Changes of segment."),
                ("cause", Cause::ALL.map(Cause::name)),
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
        let input = ["topic", "partition"];
        let moved_share = options(
            "model_moved_share",
            "Share of all customers that the trainer's last version moves, or would move.",
        );
        let event_lag = options(
            "event_lag_seconds",
            "Wall clock minus event time processed.",
        );
        Ok(Self {
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
            event_lag: registrar.keep(GaugeVec::new(event_lag, &input)?)?,
            input_lag: registrar.gauges("input_lag_events", "Events still to be read.", &input)?,
        })
    }
}

/// What one shard counts: counters since the last export, gauges as of now.
#[derive(Debug, Default)]
pub struct ShardMeter {
    /// Events processed.
    pub events: u64,
    /// Changes of segment, by `Cause as usize`.
    pub changes: [u64; Cause::ALL.len()],
    /// Flips suppressed, by `Suppression as usize`.
    pub flips_suppressed: [u64; Suppression::ALL.len()],
    /// Records that could not be processed, by `Reason as usize`.
    pub dead_letters: [u64; Reason::ALL.len()],
    /// Events seen before.
    pub duplicates: u64,
    /// Input records without a value: deletions in a compacted topic, which are no events.
    pub tombstones: u64,
    /// Events passed on to another task.
    pub forwarded_events: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions taken back, by `Abort as usize`.
    pub aborts: [u64; Abort::ALL.len()],
    /// Customers scored by the sweep.
    pub sweep_scorings: u64,
    /// Those of them who are far from every segment.
    pub sweep_outliers: u64,
    /// Tasks taken over that had been kept warm.
    pub standbys_taken: u64,
    /// From the record's timestamp to the commit, one for each event or a sample of them.
    pub end_to_end: Vec<Duration>,
    /// How long each commit took.
    pub commit: Vec<Duration>,
    /// Customers held.
    pub customers: u64,
    /// Memory of their state, bytes.
    pub state_bytes: u64,
    /// Partitions that are not read on since their next record is gone.
    pub stopped: u64,
    /// Version of the model; 0: none.
    pub model_version: u64,
    /// Segments of the model.
    pub segments: u64,
    /// Version of the model that is held; 0: none.
    pub held_version: u64,
    /// Share of all customers that the last version moves.
    pub moved_share: f64,
    /// Segments born, split, merged and retired, as [`Step::NAMES`].
    pub segment_steps: [u64; Step::NAMES.len()],
    /// Times that customers were found to be changing.
    pub drifts: u64,
    /// Tasks that run.
    pub tasks_running: u64,
    /// Tasks that are being restored.
    pub tasks_restoring: u64,
    shard: String,
}

impl ShardMeter {
    /// A meter at zero for the shard of a number.
    #[must_use]
    pub fn new(shard: usize) -> Self {
        Self {
            shard: shard.to_string(),
            ..Self::default()
        }
    }

    /// Counts a step of the lineage.
    pub fn count(&mut self, step: Step) {
        let kind = Step::NAMES.iter().position(|name| *name == step.name());
        self.segment_steps[kind.unwrap_or(0)] += 1;
    }

    /// Adds the counters to the metrics, which sets them back to zero, and shows the gauges.
    pub fn export(&mut self, metrics: &Metrics) {
        self.add_to(&metrics.counters);
        self.show_in(&metrics.gauges);
        metrics.end_to_end_latency.record(self.end_to_end.drain(..));
        metrics.commit_latency.record(self.commit.drain(..));
    }

    fn add_to(&mut self, counters: &Counters) {
        add(&counters.events, &mut self.events);
        add_each(&counters.changes, &mut self.changes);
        add_each(&counters.flips_suppressed, &mut self.flips_suppressed);
        add_each(&counters.dead_letters, &mut self.dead_letters);
        add(&counters.duplicates, &mut self.duplicates);
        add(&counters.tombstones, &mut self.tombstones);
        add(&counters.forwarded_events, &mut self.forwarded_events);
        add(&counters.commits, &mut self.commits);
        add_each(&counters.aborts, &mut self.aborts);
        add(&counters.sweep_scorings, &mut self.sweep_scorings);
        add(&counters.sweep_outliers, &mut self.sweep_outliers);
        add(&counters.standbys_taken, &mut self.standbys_taken);
        add_each(&counters.segment_steps, &mut self.segment_steps);
        add(&counters.drifts, &mut self.drifts);
    }

    fn show_in(&self, gauges: &Gauges) {
        let shard = self.shard.as_str();
        set(&gauges.customers, &[shard], self.customers);
        set(&gauges.state_bytes, &[shard], self.state_bytes);
        set(&gauges.stopped, &[shard], self.stopped);
        set(&gauges.model_version, &[shard], self.model_version);
        set(&gauges.segments, &[shard], self.segments);
        set(&gauges.held_version, &[shard], self.held_version);
        let moved = gauges.moved_share.with_label_values(&[shard]);
        moved.set(self.moved_share);
        set(&gauges.tasks, &[shard, "running"], self.tasks_running);
        set(&gauges.tasks, &[shard, "restoring"], self.tasks_restoring);
    }
}

fn add(counter: &IntCounter, count: &mut u64) {
    counter.inc_by(take(count));
}

fn add_each<const N: usize>(counters: &[IntCounter; N], counts: &mut [u64; N]) {
    for (counter, count) in counters.iter().zip(counts) {
        add(counter, count);
    }
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauges.with_label_values(labels).set(value);
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

    fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("flockwise")
}
