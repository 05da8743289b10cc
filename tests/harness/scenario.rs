//! One scenario: its broker, pipeline and records, and the checks on its result.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_core::model::ModelVersion;
use flockwise_core::task::Task;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;
use prometheus::proto::MetricFamily;

use crate::events::InputRecord;
use crate::faulty_broker::{Fault, FaultScript};
use crate::reference::{Reference, run};
use crate::scenario_pipeline::{config, pipeline};
use crate::test_broker::{TestBroker, topics};
use crate::worker_thread::{WorkerSetup, WorkerThread};
use crate::{changelog, checks, eventually};

/// The settings of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioSettings<'a> {
    /// Event format of each input.
    pub formats: &'a [&'a str],
    /// Number of partitions of each input.
    pub partitions: &'a [u32],
    /// Number of state partitions.
    pub state_partitions: u32,
    /// Further sections of the configuration.
    pub sections: &'a [&'a str],
}

/// A pipeline on a broker, and the records that were appended to its inputs.
pub struct Scenario<S> {
    /// The broker.
    pub broker: Arc<S>,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    metrics: Metrics,
    registry: Registry,
    /// Number of records appended to each input partition.
    appended: BTreeMap<(u16, u32), i64>,
}

impl<S: TestBroker> Scenario<S> {
    /// Creates the topics; `None` if there is no such broker.
    ///
    /// # Panics
    /// If the configuration is invalid.
    #[must_use]
    pub fn create(setting: &ScenarioSettings<'_>, import: Option<ModelVersion>) -> Option<Self> {
        let config = config(setting.formats, setting.sections);
        let topics = topics(setting.state_partitions, setting.formats.len());
        let broker = S::create(topics.clone(), setting.partitions)?;
        let registry = Registry::new();
        Some(Self {
            broker: Arc::new(broker),
            pipeline: Arc::new(pipeline(&config, topics, import)),
            metrics: Metrics::register(&registry).expect("a new registry"),
            registry,
            appended: BTreeMap::new(),
        })
    }

    /// Appends records to the inputs.
    pub fn put(&mut self, records: &[InputRecord]) {
        for record in records {
            *self
                .appended
                .entry((record.input, record.partition))
                .or_default() += 1;
        }
        self.broker.put(records);
    }

    /// Starts a worker without faults.
    #[must_use]
    pub fn worker(&self, member: &str) -> WorkerThread {
        self.faulty_worker(member, &[])
    }

    /// Starts a worker whose client fails at these commits.
    #[must_use]
    pub fn faulty_worker(&self, member: &str, faults: &[(u64, Fault)]) -> WorkerThread {
        self.scripted_worker(member, &Arc::new(FaultScript::new(faults)))
    }

    /// Starts a worker whose client follows a script, which several workers may share.
    #[must_use]
    pub fn scripted_worker(&self, member: &str, script: &Arc<FaultScript>) -> WorkerThread {
        WorkerThread::start(WorkerSetup {
            broker: Arc::clone(&self.broker),
            pipeline: Arc::clone(&self.pipeline),
            member: member.to_owned(),
            script: Arc::clone(script),
            metrics: self.metrics.clone(),
        })
    }

    /// Waits until `holds` returns true while the workers run.
    ///
    /// # Panics
    /// If a worker ends or the wait times out.
    pub fn wait(&self, workers: &[&WorkerThread], what: &str, mut holds: impl FnMut() -> bool) {
        eventually(what, || {
            let failure = workers.iter().find_map(|worker| worker.failure());
            assert_eq!(failure, None, "a worker ended while waiting: {what}");
            holds()
        });
    }

    /// Waits until the group has committed everything.
    pub fn wait_until_drained(&self, workers: &[&WorkerThread]) {
        self.wait(workers, "everything is committed", || {
            self.broker.is_drained()
        });
    }

    /// The value of the counter `flockwise_<name>`, summed over its labels and all workers.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("flockwise_{name}"));
        let metrics = family
            .map(MetricFamily::get_metric)
            .unwrap_or_default()
            .iter();
        metrics
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }

    /// Number of recorded end-to-end latencies.
    fn latencies(&self) -> u64 {
        let families = self.registry.gather();
        let name = "flockwise_end_to_end_latency_seconds";
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(MetricFamily::get_metric).unwrap_or_default();
        let counts = metrics
            .iter()
            .map(|one| one.get_histogram().get_sample_count());
        counts.sum()
    }

    /// Checks that the metrics equal the committed records, and that each event is counted once.
    ///
    /// # Panics
    /// If they differ.
    pub fn check_counters(&self) {
        let events = self.appended.values().sum::<i64>() as u64;
        let changes = checks::values(&self.broker.read(Topic::SegmentChanges));
        let dead_letters: usize = self
            .broker
            .read(Topic::DeadLetters)
            .iter()
            .map(Vec::len)
            .sum();
        assert_eq!(self.counter("events_total"), events, "events");
        assert_eq!(
            self.counter("changes_total"),
            changes.len() as u64,
            "changes"
        );
        assert_eq!(
            self.counter("dead_letters_total"),
            dead_letters as u64,
            "letters"
        );
        assert_eq!(self.latencies(), events, "latencies");
    }

    /// Every task, restored from its changelog.
    ///
    /// # Panics
    /// If a changelog cannot be read.
    #[must_use]
    pub fn restored(&self) -> Vec<Task> {
        let changelogs = self.broker.read(Topic::Changelog).into_iter();
        let restored = |records| changelog::restore(&self.pipeline, &changelog::compacted(records));
        changelogs.map(restored).collect()
    }

    /// Checks what holds however events are interleaved: the sequences of changes, the positions, and the features.
    /// The reference runs `good`, the events without the bad ones, in order.
    pub fn check(&self, good: &[InputRecord]) -> Reference {
        checks::sequences(&self.broker.read(Topic::SegmentChanges));
        let restored = self.restored();
        self.check_positions(&restored);
        let reference = run(&self.pipeline, good);
        checks::same_features(&self.pipeline.task.plan, &restored, &reference.tasks);
        reference
    }

    /// Also checks that the changes equal those of the reference. That holds if each customer's events kept their
    /// order and the model does not learn.
    pub fn check_all(&self, good: &[InputRecord]) {
        let reference = self.check(good);
        let found = checks::values(&self.broker.read(Topic::SegmentChanges));
        checks::same_changes(found, checks::values(&reference.changes));
    }

    fn check_positions(&self, restored: &[Task]) {
        let mut positions = BTreeMap::new();
        for task in restored {
            positions.extend(
                task.inputs()
                    .map(|(topic_partition, progress)| (topic_partition, progress.next_offset)),
            );
        }
        assert_eq!(positions, self.appended, "positions in the changelog");
        for ((input, partition), count) in &self.appended {
            let committed = self.broker.committed(Topic::Input(*input), *partition);
            assert_eq!(
                committed,
                Some(*count),
                "position of input {input}, {partition}"
            );
        }
    }
}
