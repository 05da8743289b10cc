//! Rebalances that follow each other faster than a worker polls. Each test runs the workers step by step.

use std::sync::Arc;
use std::time::Duration;

use flockwise_memory::{MemoryBroker, MemoryClient};
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

const PARTITIONS: u32 = 4;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// A pipeline on the in-process broker. Its workers run only when a test calls them.
struct Scenario {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
}

impl Scenario {
    fn create() -> Self {
        let config = config(&["segment"], &[AT_ONCE, FIXED]);
        let pipeline = pipeline(&config, topics(PARTITIONS, 1), Some(model()));
        let broker = MemoryBroker::new(pipeline.topics.clone(), &[PARTITIONS]);
        Self {
            broker,
            pipeline: Arc::new(pipeline),
        }
    }

    fn join(&self, member: &str) -> Member {
        self.join_with(member, FaultScript::default())
    }

    fn join_with(&self, member: &str, script: impl Into<Arc<FaultScript>>) -> Member {
        let metrics = Metrics::register(&Registry::new()).expect("a new registry");
        let client = FaultyBroker::new(self.broker.worker(member), script.into());
        Worker::new(
            0,
            client,
            Arc::clone(&self.pipeline),
            TimeMode::Replay { judged_at_ms: None },
            metrics,
        )
    }

    fn put(&self, records: &[InputRecord]) {
        for record in records {
            let record = record.clone().keyed(self.pipeline.partitioner, PARTITIONS);
            append(&self.broker, &record);
        }
    }

    fn check(&self, records: &[InputRecord]) {
        let partitions = 0..PARTITIONS;
        let changes: Vec<_> = partitions
            .map(|partition| self.broker.read(Topic::SegmentChanges, partition, 0))
            .collect();
        checks::sequences(&changes);
        let reference = reference::run(&self.pipeline, records);
        checks::same_changes(checks::values(&changes), checks::values(&reference.changes));
    }
}

/// Runs the workers round-robin until none has anything left to do.
fn run_until_idle(shards: &mut [&mut Member]) {
    let run_once = |worker: &mut &mut Member| worker.run_once(Duration::ZERO).expect("no failure");
    while shards
        .iter_mut()
        .map(run_once)
        .filter(|worked| *worked)
        .count()
        > 0
    {}
}

fn owned(worker: &Member) -> Vec<u32> {
    worker.tasks().map(|(task, _)| task.0).collect()
}

/// A loses task 2 and gets it back, but B owned it in between, in a generation that A missed.
#[test]
fn a_task_that_another_had_for_a_round_is_not_taken_up_as_it_was() {
    let scenario = Scenario::create();
    let events = generated(3_000, 100, 21);
    let (before, rest) = events.split_at(1_000);
    let (between, after) = rest.split_at(1_000);
    scenario.put(before);
    let mut a = scenario.join("a");
    run_until_idle(&mut [&mut a]);
    assert_eq!(owned(&a), [0, 1, 2, 3]);

    let mut b = scenario.join("b");
    assert!(a.run_once(Duration::ZERO).expect("no failure"), "revoked");
    assert_eq!(owned(&a), [0_u32; 0]);
    scenario.put(between);
    run_until_idle(&mut [&mut b]);
    assert_eq!(owned(&b), [2, 3]);

    // Its name sorts before both, so the assignor moves tasks between them.
    let mut c = scenario.join("0");
    run_until_idle(&mut [&mut b]);
    run_until_idle(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(
        (owned(&c), owned(&a), owned(&b)),
        (vec![0, 1], vec![2], vec![3])
    );
    scenario.put(after);
    run_until_idle(&mut [&mut a, &mut b, &mut c]);
    assert!(scenario.broker.is_drained());
    scenario.check(&events);
}

/// A cooperative protocol sends an empty assignment to a member that keeps its tasks. If the commit for that
/// assignment is aborted, the tasks' events are read again.
#[test]
fn tasks_that_stay_read_again_what_an_assignment_has_aborted() {
    let scenario = Scenario::create();
    let events = generated(900, 100, 23);
    let (before, after) = events.split_at(600);
    let script = Arc::new(FaultScript::default());
    let mut a = scenario.join_with("a", Arc::clone(&script));
    run_until_idle(&mut [&mut a]);
    scenario.put(before);
    assert!(a.run_once(Duration::ZERO).expect("no failure"), "records");
    script.assign_nothing_next();
    script.fail_next_commit();
    assert!(a.run_once(Duration::ZERO).expect("no failure"), "assigned");
    assert_eq!(owned(&a), [0, 1, 2, 3]);
    scenario.put(after);
    run_until_idle(&mut [&mut a]);
    assert!(scenario.broker.is_drained());
    scenario.check(&events);
}

/// A broker with outdated metadata does not list all partitions. Their consumer would continue after the aborted
/// records.
#[test]
fn a_partition_that_the_metadata_leaves_out_is_read_again_after_an_abort() {
    let scenario = Scenario::create();
    let events = generated(900, 100, 24);
    let script = Arc::new(FaultScript::default());
    let mut a = scenario.join_with("a", Arc::clone(&script));
    run_until_idle(&mut [&mut a]);
    scenario.put(&events);
    script.fail_next_commit();
    script.hide_partitions(true);
    run_until_idle(&mut [&mut a]);
    assert!(scenario.broker.is_drained());
    scenario.check(&events);
}

/// The imported model is published with the first assignment. If that transaction is aborted, the assignment still
/// takes effect.
#[test]
fn an_assignment_is_taken_up_although_a_transaction_is_aborted() {
    let scenario = Scenario::create();
    let events = generated(1_000, 100, 22);
    scenario.put(&events);
    let mut a = scenario.join_with("a", FaultScript::failing_first_send());
    run_until_idle(&mut [&mut a]);
    assert_eq!(owned(&a), [0, 1, 2, 3]);
    assert!(scenario.broker.is_drained());
    assert_eq!(scenario.broker.read(Topic::Model, 0, 0).len(), 1);
    scenario.check(&events);
}
