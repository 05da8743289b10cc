//! A pipeline that starts with a backfill: which changes are marked or not published, and when it has caught up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flockwise_core::policy::HistoryPolicy;
use flockwise_memory::{CommittedRecord, MemoryBroker, MemoryClient};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_tests::checks;
use flockwise_tests::events::{InputRecord, generated};
use flockwise_tests::faulty_broker::{FaultScript, FaultyBroker};
use flockwise_tests::memory::append;
use flockwise_tests::reference;
use flockwise_tests::scenario_pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;
use serde_json::Value;

/// 2026-01-31T00:00:00Z, in the middle of the events, which span two months from 2026-01-01 on.
const UNTIL_MS: i64 = 1_769_817_600_000;
const UNTIL: &str = "2026-01-31T00:00:00.000Z";
const NOW_MS: i64 = 1_800_000_000_000;
const TASKS: u32 = 3;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// A pipeline that was first started in the middle of its events.
struct Scenario {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    clock: Clock,
    script: Arc<FaultScript>,
    registry: Registry,
    metrics: Metrics,
}

impl Scenario {
    fn create(is_published: bool) -> Self {
        let mut pipeline = plain();
        Arc::make_mut(&mut pipeline.task).history = HistoryPolicy {
            until_ms: Some(UNTIL_MS),
            is_published,
        };
        let registry = Registry::new();
        Self {
            broker: MemoryBroker::new(pipeline.topics.clone(), &[TASKS]),
            pipeline: Arc::new(pipeline),
            clock: Clock::simulated(NOW_MS),
            script: Arc::default(),
            metrics: Metrics::register(&registry).expect("a new registry"),
            registry,
        }
    }

    fn join(&self, number: usize) -> Member {
        let client = self.broker.worker(&format!("member-{number}"));
        let client = FaultyBroker::new(client, Arc::clone(&self.script));
        let time_mode = TimeMode::Live(self.clock.clone());
        let pipeline = Arc::clone(&self.pipeline);
        Worker::new(number, client, pipeline, time_mode, self.metrics.clone())
    }

    fn put(&self, records: &[InputRecord]) {
        for record in records {
            let record = record.clone().keyed(self.pipeline.partitioner, TASKS);
            append(&self.broker, &record);
        }
    }

    /// Processes all events, with aborted transactions, two members, and one that dies.
    fn process(&self, records: &[InputRecord]) {
        let mut members = vec![self.join(0)];
        for (index, slice) in records.chunks(50).enumerate() {
            if index % 7 == 3 {
                self.script.fail_next_commit();
            }
            if index == 20 {
                members.push(self.join(1));
            }
            if index == 40 {
                drop(members.remove(0));
                self.broker.expel("member-0");
            }
            self.put(slice);
            self.run_until_idle(&mut members);
        }
        // Inputs are checked every 30 s.
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(31));
            self.run_until_idle(&mut members);
        }
        assert!(self.broker.is_drained());
    }

    fn run_until_idle(&self, members: &mut [Member]) {
        let mut has_worked = true;
        while has_worked {
            has_worked = false;
            // A member waits for a while for the tasks of one that is gone.
            self.clock.advance(Duration::from_millis(100));
            for member in &mut *members {
                has_worked |= member.run_once(Duration::ZERO).expect("no failure");
                has_worked |= !member.is_assigned();
            }
        }
    }

    fn read(&self, topic: Topic) -> Vec<Vec<CommittedRecord>> {
        let partitions = 0..self.pipeline.topics.partitions(topic);
        partitions
            .map(|partition| self.broker.read(topic, partition, 0))
            .collect()
    }

    fn counter(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.expect("a metric").get_metric();
        metrics
            .iter()
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }

    /// The changes of a replay of the same events.
    fn replayed(&self) -> Vec<Value> {
        let mut pipeline = (*self.pipeline).clone();
        Arc::make_mut(&mut pipeline.task).history = HistoryPolicy::default();
        let reference = reference::run(&pipeline, &records());
        checks::values(&reference.changes)
    }

    /// The `pipeline.caught_up` records on the lineage topic.
    fn caught_up(&self) -> Vec<Value> {
        let records = self.read(Topic::Lineage).concat();
        let values = records.iter().filter_map(|record| record.value.as_deref());
        let values = values.map(|value| serde_json::from_slice::<Value>(value).expect("JSON"));
        values
            .filter(|value| value["type"] == "pipeline.caught_up")
            .collect()
    }
}

/// A pipeline with a fixed model, so that changes depend only on each customer's events.
fn plain() -> Pipeline {
    let config = config(&["segment"], &[AT_ONCE, FIXED]);
    pipeline(&config, topics(TASKS, 1), Some(model()))
}

fn records() -> Vec<InputRecord> {
    generated(6_000, 300, 7)
}

fn is_history(change: &Value) -> bool {
    change["occurred_at"].as_str().expect("a time") < UNTIL
}

#[test]
fn first_assignments_in_history_are_marked_and_all_else_is_as_in_a_replay() {
    let scenario = Scenario::create(true);
    scenario.process(&records());
    let found = checks::values(&scenario.read(Topic::SegmentChanges));
    let is_first = |change: &Value| change["from"].is_null();
    let mut expected = scenario.replayed();
    for change in expected
        .iter_mut()
        .filter(|change| is_first(change) && is_history(change))
    {
        change["cause"] = "backfill".into();
    }
    let causes: BTreeSet<(bool, bool, &str)> = expected
        .iter()
        .map(|change| {
            (
                is_first(change),
                is_history(change),
                change["cause"].as_str().expect("a cause"),
            )
        })
        .collect();
    let all = [
        (false, false, "behaviour"),
        (false, true, "behaviour"),
        (true, false, "behaviour"),
        (true, true, "backfill"),
    ];
    assert_eq!(causes, BTreeSet::from(all), "all combinations occur");
    checks::same_changes(found, expected);
}

#[test]
fn withheld_changes_are_made_and_not_published() {
    let scenario = Scenario::create(false);
    scenario.process(&records());
    let expected = scenario.replayed();
    let (withheld, published): (Vec<Value>, Vec<Value>) =
        expected.into_iter().partition(is_history);
    assert!(
        withheld.len() > 50 && published.len() > 50,
        "{} and {}",
        withheld.len(),
        published.len()
    );
    let found = checks::values(&scenario.read(Topic::SegmentChanges));
    // With the sequences that they have where all are published.
    checks::same_changes(found, published.clone());
    assert_eq!(
        scenario.counter("flockwise_changes_withheld_total"),
        withheld.len() as u64
    );
    assert_eq!(
        scenario.counter("flockwise_changes_total"),
        published.len() as u64
    );
}

#[test]
fn the_lineage_says_once_that_the_pipeline_has_caught_up() {
    let scenario = Scenario::create(true);
    scenario.process(&records());
    let found = scenario.caught_up();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["history_until"], UNTIL);
    assert_eq!(found[0]["tasks"], TASKS);
    assert_eq!(found[0]["model_version"], 1);
    // Another start says nothing new.
    let mut members = [scenario.join(2)];
    for _ in 0..3 {
        scenario.clock.advance(Duration::from_secs(31));
        scenario.run_until_idle(&mut members);
    }
    assert_eq!(scenario.caught_up(), found);
}
