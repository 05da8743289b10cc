//! What the pipeline says of itself to Prometheus.
//!
//! A shard counts with plain integers in its own [`ShardMeter`] and exports them once a batch; the
//! [`Metrics`] that all shards share are handed down, never global. Gauges carry the number of the
//! shard, so that one that starts again takes up its own series; sum or take the maximum over them.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Upper bounds of the latencies' buckets, microseconds.
const BOUNDS_US: [u64; 13] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];
/// Latencies above ten minutes count as that long.
const LONGEST_US: u64 = 600_000_000;
const US_PER_S: f64 = 1e6;

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
    forwarded_events: IntCounter,
    commits: IntCounter,
    aborts: [IntCounter; Abort::ALL.len()],
    sweep_scorings: IntCounter,
}

#[derive(Clone, Debug)]
struct Gauges {
    customers: IntGaugeVec,
    model_version: IntGaugeVec,
    segments: IntGaugeVec,
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
            forwarded_events: one("forwarded_events_total", "Events passed to other tasks.")?,
            commits: one("commits_total", "Transactions committed.")?,
            aborts: registrar.counters(
                ("aborts_total", "Transactions taken back."),
                ("reason", Abort::ALL.map(Abort::name)),
            )?,
            sweep_scorings: one("sweep_scorings_total", "Customers scored by the sweep.")?,
        })
    }
}

impl Gauges {
    fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let by_shard = |name, help| registrar.gauges(name, help, &["shard"]);
        let input = ["topic", "partition"];
        let event_lag = options(
            "event_lag_seconds",
            "Wall clock minus event time processed.",
        );
        Ok(Self {
            customers: by_shard("customers", "Customers held.")?,
            model_version: by_shard("model_version", "Version of the model; 0: none yet.")?,
            segments: by_shard("segments", "Segments of the model.")?,
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
    /// Events passed on to another task.
    pub forwarded_events: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions taken back, by `Abort as usize`.
    pub aborts: [u64; Abort::ALL.len()],
    /// Customers scored by the sweep.
    pub sweep_scorings: u64,
    /// From the record's timestamp to the commit, one for each event or a sample of them.
    pub end_to_end: Vec<Duration>,
    /// How long each commit took.
    pub commit: Vec<Duration>,
    /// Customers held.
    pub customers: u64,
    /// Version of the model; 0: none.
    pub model_version: u64,
    /// Segments of the model.
    pub segments: u64,
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
        add(&counters.forwarded_events, &mut self.forwarded_events);
        add(&counters.commits, &mut self.commits);
        add_each(&counters.aborts, &mut self.aborts);
        add(&counters.sweep_scorings, &mut self.sweep_scorings);
    }

    fn show_in(&self, gauges: &Gauges) {
        let shard = self.shard.as_str();
        set(&gauges.customers, &[shard], self.customers);
        set(&gauges.model_version, &[shard], self.model_version);
        set(&gauges.segments, &[shard], self.segments);
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

/// Latencies to three digits, shown to Prometheus as a histogram; clones are the same one.
#[derive(Clone, Debug)]
pub struct Latency {
    recorded: Arc<Mutex<Recorded>>,
    description: Desc,
}

#[derive(Debug)]
struct Recorded {
    histogram: Histogram<u64>,
    sum_us: u64,
}

impl Latency {
    fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3)
            .map_err(|error| prometheus::Error::Msg(error.to_string()))?;
        let sum_us = 0;
        Ok(Self {
            recorded: Arc::new(Mutex::new(Recorded { histogram, sum_us })),
            description: options(name, help).describe()?,
        })
    }

    /// Records these under one lock.
    pub fn record(&self, latencies: impl Iterator<Item = Duration>) {
        let mut recorded = self.lock();
        for latency in latencies {
            let us = u64::try_from(latency.as_micros()).map_or(LONGEST_US, |us| us.min(LONGEST_US));
            recorded.histogram.saturating_record(us);
            recorded.sum_us += us;
        }
    }

    /// The latency that this share of all stays within; zero where there is none yet.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.lock().histogram.value_at_quantile(share))
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Latency {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metric = proto::Metric::default();
        metric.set_histogram(self.lock().shown());
        let mut family = MetricFamily::default();
        family.set_name(self.description.fq_name.clone());
        family.set_help(self.description.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

impl Recorded {
    fn shown(&self) -> proto::Histogram {
        let mut counts = [0; BOUNDS_US.len()];
        for cell in self.histogram.iter_recorded() {
            // A cell is known by its highest value; one that begins on a bound belongs below it.
            let us = self.histogram.lowest_equivalent(cell.value_iterated_to());
            let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
            if let Some(count) = counts.get_mut(bucket) {
                *count += cell.count_at_value();
            }
        }
        let mut cumulative = 0;
        let buckets = BOUNDS_US.iter().zip(counts).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / US_PER_S);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut shown = proto::Histogram::default();
        shown.set_bucket(buckets.collect());
        shown.set_sample_count(self.histogram.len());
        shown.set_sample_sum(self.sum_us as f64 / US_PER_S);
        shown
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

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    fn text(registry: &Registry) -> String {
        let families = registry.gather();
        TextEncoder::new().encode_to_string(&families).unwrap()
    }

    /// Everything set to something, over two exports.
    fn filled() -> (Registry, Metrics) {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let mut meter = ShardMeter::new(1);
        meter.events = 5;
        meter.changes[Cause::Time as usize] = 2;
        meter.flips_suppressed[Suppression::Dwell as usize] = 3;
        meter.customers = 40;
        meter.export(&metrics);
        meter.events += 7;
        meter.customers = 41;
        meter.tasks_restoring = 2;
        meter.dead_letters[Reason::TooLate as usize] = 1;
        meter.aborts[Abort::Lost as usize] = 1;
        let commits = [1_000, 1_001, 4_000, 30_000_000];
        meter.commit = commits.map(Duration::from_micros).to_vec();
        meter.export(&metrics);
        metrics.input("clicks", 3, Duration::from_millis(1500), Some(9));
        (registry, metrics)
    }

    #[test]
    fn every_export_adds_what_came_since_the_last() {
        let text = text(&filled().0);
        let expected = [
            "flockwise_events_total 12",
            "flockwise_changes_total{cause=\"behaviour\"} 0",
            "flockwise_changes_total{cause=\"time\"} 2",
            "flockwise_flips_suppressed_total{reason=\"dwell\"} 3",
            "flockwise_dead_letters_total{reason=\"too_late\"} 1",
            "flockwise_customers{shard=\"1\"} 41",
            "flockwise_tasks{shard=\"1\",state=\"restoring\"} 2",
            "flockwise_event_lag_seconds{partition=\"3\",topic=\"clicks\"} 1.5",
            "flockwise_input_lag_events{partition=\"3\",topic=\"clicks\"} 9",
            "flockwise_commit_latency_seconds_bucket{le=\"0.001\"} 1",
            "flockwise_commit_latency_seconds_bucket{le=\"10\"} 3",
            "flockwise_commit_latency_seconds_bucket{le=\"+Inf\"} 4",
            "flockwise_commit_latency_seconds_sum 30.006001",
            "flockwise_end_to_end_latency_seconds_sum 0",
        ];
        for line in expected {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn names_helps_and_types_are_as_prometheus_wants_them() {
        let families = filled().0.gather();
        assert_eq!(families.len(), 17);
        for family in &families {
            let (name, help) = (family.name(), family.help());
            assert!(name.starts_with("flockwise_"), "{name}");
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_plain), "{name}");
            let is_counter = family.get_field_type() == MetricType::COUNTER;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            let is_histogram = family.get_field_type() == MetricType::HISTOGRAM;
            assert!(!is_histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && help.len() > 10, "{name}: {help}");
        }
        for line in text(&filled().0)
            .lines()
            .filter(|line| !line.starts_with("# "))
        {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert_eq!(series.contains('{'), series.ends_with("\"}"), "{line}");
        }
    }

    #[test]
    fn an_input_that_is_handed_over_is_no_longer_shown() {
        let (registry, metrics) = filled();
        metrics.forget_input("clicks", 3);
        metrics.forget_input("clicks", 4);
        assert!(!text(&registry).contains("clicks"));
        metrics.input("clicks", 3, Duration::ZERO, None);
        assert!(text(&registry).contains("clicks"));
    }

    #[test]
    fn quantiles_are_known_and_names_registered_once() {
        let (registry, metrics) = filled();
        let median = metrics.commit_latency.quantile(0.5);
        assert_eq!(median, Duration::from_micros(1_001));
        assert!(Metrics::register(&registry).is_err());
    }
}
