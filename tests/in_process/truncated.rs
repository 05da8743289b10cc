//! An input partition that loses its latest records, as in an unclean leader election, and then grows past the
//! position up to which it was read.

use std::sync::Arc;
use std::time::Duration;

use flockwise_memory::CommittedRecord;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_simulation::{Conditions, SimulatedBroker, SimulatedClient};
use flockwise_tests::checks;
use flockwise_tests::events::{InputRecord, generated};
use flockwise_tests::reference;
use flockwise_tests::scenario_pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

use crate::conditions::conditions;

const NOW_MS: i64 = 1_800_000_000_000;
const INPUT: Topic = Topic::Input(0);
/// Records from `KEPT` up to `READ` are read, then lost and replaced.
const KEPT: usize = 1_000;
const READ: usize = 1_500;
const ALL: usize = 4_000;

struct Scenario {
    broker: SimulatedBroker,
    pipeline: Arc<Pipeline>,
    clock: Clock,
    registry: Registry,
    metrics: Metrics,
}

impl Scenario {
    fn create(skips_lost_records: bool) -> Self {
        let config = config(&["segment"], &[AT_ONCE, FIXED]);
        let mut pipeline = pipeline(&config, topics(2, 1), Some(model()));
        // Long, so that workers commit only when they have nothing more to read.
        pipeline.commit_interval = Duration::from_secs(3_600);
        let registry = Registry::new();
        let clock = Clock::simulated(NOW_MS);
        let conditions = Conditions {
            skips_lost_records,
            ..conditions(&clock)
        };
        Self {
            broker: SimulatedBroker::new(pipeline.topics.clone(), &[1], conditions),
            pipeline: Arc::new(pipeline),
            clock,
            metrics: Metrics::register(&registry).expect("a new registry"),
            registry,
        }
    }

    fn join(&self) -> Worker<SimulatedClient> {
        let client = self.broker.worker("member");
        let time_mode = TimeMode::Live(self.clock.clone());
        let pipeline = Arc::clone(&self.pipeline);
        Worker::new(0, client, pipeline, time_mode, self.metrics.clone())
    }

    fn put(&self, records: &[InputRecord]) {
        for record in records {
            let InputRecord {
                timestamp_ms,
                key,
                value,
                ..
            } = record;
            self.broker
                .append(INPUT, 0, *timestamp_ms, Some(key), value.as_deref());
        }
    }

    /// Runs the worker until 20 runs in a row are idle: a poll may miss records that are there.
    fn run_until_idle(&self, worker: &mut Worker<SimulatedClient>) {
        let mut idle = 0;
        while idle < 20 {
            self.clock.advance(Duration::from_millis(100));
            let has_worked =
                worker.run_once(Duration::ZERO).expect("no failure") || !worker.is_assigned();
            idle = if has_worked { 0 } else { idle + 1 };
        }
    }

    fn changes(&self) -> Vec<Vec<CommittedRecord>> {
        let partitions = 0..self.pipeline.topics.partitions(Topic::SegmentChanges);
        partitions
            .map(|partition| self.broker.read(Topic::SegmentChanges, partition, 0))
            .collect()
    }

    fn sum(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.expect("a metric").get_metric();
        let values = metrics.iter().map(|metric| {
            let (counter, gauge) = (metric.get_counter(), metric.get_gauge());
            counter.get_value() + gauge.get_value()
        });
        values.sum()
    }

    /// Checks that exactly these events were counted, once and in this order.
    fn check(&self, counted: &[InputRecord]) {
        assert_eq!(self.sum("flockwise_events_total"), counted.len() as f64);
        let reference = reference::run(&self.pipeline, counted);
        let changes = self.changes();
        checks::sequences(&changes);
        checks::same_changes(checks::values(&changes), checks::values(&reference.changes));
    }
}

fn records() -> Vec<InputRecord> {
    generated(ALL as u64, 200, 7)
}

/// The partition loses the records from `KEPT` on, and grows past the position up to which it was read.
fn replace(scenario: &Scenario, records: &[InputRecord]) {
    scenario.broker.truncate(INPUT, 0, KEPT as i64);
    scenario.put(&records[READ..]);
}

#[test]
fn reading_goes_on_where_the_records_differ_after_a_restart_and_meanwhile() {
    for restarts in [true, false] {
        let scenario = Scenario::create(true);
        let records = records();
        let mut worker = scenario.join();
        scenario.put(&records[..READ]);
        scenario.run_until_idle(&mut worker);
        if restarts {
            drop(worker);
            replace(&scenario, &records);
            worker = scenario.join();
        } else {
            replace(&scenario, &records);
        }
        scenario.run_until_idle(&mut worker);
        scenario.check(&records);
        let end = (KEPT + ALL - READ) as i64;
        assert_eq!(scenario.broker.committed(INPUT, 0), Some(end));
    }
}

#[test]
fn a_start_between_the_point_of_truncation_and_the_former_position_counts_nothing_twice() {
    let scenario = Scenario::create(true);
    let records = records();
    let mut worker = scenario.join();
    scenario.put(&records[..READ]);
    scenario.run_until_idle(&mut worker);
    scenario.broker.truncate(INPUT, 0, KEPT as i64);
    // Few enough that the partition still ends before the former position.
    let few = READ + (READ - KEPT) / 2;
    scenario.put(&records[READ..few]);
    scenario.run_until_idle(&mut worker);
    drop(worker);
    scenario.put(&records[few..]);
    scenario.run_until_idle(&mut scenario.join());
    scenario.check(&records);
}

#[test]
fn a_partition_truncated_again_before_more_was_read_goes_on_where_its_records_differ() {
    let scenario = Scenario::create(true);
    let records = records();
    let mut worker = scenario.join();
    scenario.put(&records[..READ]);
    scenario.run_until_idle(&mut worker);
    for to in [KEPT, KEPT / 2] {
        scenario.broker.truncate(INPUT, 0, to as i64);
        // The position goes back although nothing is read.
        scenario.run_until_idle(&mut worker);
    }
    scenario.put(&records[READ..]);
    scenario.run_until_idle(&mut worker);
    scenario.check(&records);
}

#[test]
fn what_was_read_and_not_committed_is_taken_back_and_nothing_is_lost() {
    let scenario = Scenario::create(false);
    let records = records();
    let mut worker = scenario.join();
    scenario.put(&records[..KEPT]);
    scenario.run_until_idle(&mut worker);
    scenario.put(&records[KEPT..READ]);
    assert!(worker.run_once(Duration::ZERO).expect("no failure"));
    assert_eq!(scenario.broker.committed(INPUT, 0), Some(KEPT as i64));
    replace(&scenario, &records);
    scenario.run_until_idle(&mut worker);
    assert_eq!(scenario.sum("flockwise_halted_partitions"), 0.0);
    scenario.check(&[&records[..KEPT], &records[READ..]].concat());
}

#[test]
fn a_truncated_partition_stops_unless_lost_records_are_skipped() {
    let scenario = Scenario::create(false);
    let records = records();
    let mut worker = scenario.join();
    scenario.put(&records[..READ]);
    scenario.run_until_idle(&mut worker);
    replace(&scenario, &records);
    for _ in 0..2 {
        scenario.run_until_idle(&mut worker);
        // Idle workers commit their positions every 30 s.
        scenario.clock.advance(Duration::from_secs(31));
        scenario.run_until_idle(&mut worker);
        assert_eq!(scenario.sum("flockwise_halted_partitions"), 1.0);
        assert_eq!(scenario.broker.committed(INPUT, 0), Some(READ as i64));
        drop(worker);
        worker = scenario.join();
    }
    scenario.check(&records[..READ]);
}
