//! Rebalances that follow one another faster than a worker looks, played turn by turn.

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
use flockwise_tests::pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::reference::play;
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

const PARTITIONS: u32 = 4;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// Workers over the in-process broker that work only when told to.
struct Table {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
}

impl Table {
    fn set() -> Self {
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
            TimeMode::Replay,
            metrics,
        )
    }

    fn put(&self, records: &[InputRecord]) {
        for put in records {
            let put = put.clone().keyed(self.pipeline.partitioner, PARTITIONS);
            append(&self.broker, &put);
        }
    }

    fn check(&self, records: &[InputRecord]) {
        let partitions = 0..PARTITIONS;
        let changes: Vec<_> = partitions
            .map(|partition| self.broker.read(Topic::SegmentChanges, partition, 0))
            .collect();
        checks::chains(&changes);
        let reference = play(&self.pipeline, records);
        checks::same_changes(checks::values(&changes), checks::values(&reference.changes));
    }
}

/// Turns for these in turn until nobody has anything left to do.
fn settle(shards: &mut [&mut Member]) {
    let turn = |worker: &mut &mut Member| worker.run_once(Duration::ZERO).expect("a turn");
    while shards.iter_mut().map(turn).filter(|worked| *worked).count() > 0 {}
}

fn owned(worker: &Member) -> Vec<u32> {
    worker.tasks().map(|(number, _)| number).collect()
}

/// A hands over and gets task 2 back, but in between B had it: A missed that round of the group.
#[test]
fn a_task_that_another_had_for_a_round_is_not_taken_up_as_it_was() {
    let table = Table::set();
    let events = generated(3_000, 100, 21);
    let (before, rest) = events.split_at(1_000);
    let (between, after) = rest.split_at(1_000);
    table.put(before);
    let mut a = table.join("a");
    settle(&mut [&mut a]);
    assert_eq!(owned(&a), [0, 1, 2, 3]);

    let mut b = table.join("b");
    assert!(a.run_once(Duration::ZERO).expect("a turn"), "revoked");
    assert_eq!(owned(&a), [0_u32; 0]);
    table.put(between);
    settle(&mut [&mut b]);
    assert_eq!(owned(&b), [2, 3]);

    // Sorts before both, so that what they have moves on.
    let mut c = table.join("0");
    settle(&mut [&mut b]);
    settle(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(
        (owned(&c), owned(&a), owned(&b)),
        (vec![0, 1], vec![2], vec![3])
    );
    table.put(after);
    settle(&mut [&mut a, &mut b, &mut c]);
    assert!(table.broker.is_drained());
    table.check(&events);
}

/// A cooperative protocol tells a member that keeps its tasks of an assignment of nothing. Where the commit that
/// belongs to it is aborted, the tasks' events are read again.
#[test]
fn tasks_that_stay_read_again_what_an_assignment_has_aborted() {
    let table = Table::set();
    let events = generated(900, 100, 23);
    let (before, after) = events.split_at(600);
    let script = Arc::new(FaultScript::default());
    let mut a = table.join_with("a", Arc::clone(&script));
    settle(&mut [&mut a]);
    table.put(before);
    assert!(a.run_once(Duration::ZERO).expect("a turn"), "records");
    script.assign_nothing_next();
    script.fail_next_commit();
    assert!(a.run_once(Duration::ZERO).expect("a turn"), "assigned");
    assert_eq!(owned(&a), [0, 1, 2, 3]);
    table.put(after);
    settle(&mut [&mut a]);
    assert!(table.broker.is_drained());
    table.check(&events);
}

/// A broker whose metadata is old leaves out partitions. Their reader would go on behind the records that are aborted.
#[test]
fn a_partition_that_the_metadata_leaves_out_is_read_again_after_an_abort() {
    let table = Table::set();
    let events = generated(900, 100, 24);
    let script = Arc::new(FaultScript::default());
    let mut a = table.join_with("a", Arc::clone(&script));
    settle(&mut [&mut a]);
    table.put(&events);
    script.fail_next_commit();
    script.hide_partitions(true);
    settle(&mut [&mut a]);
    assert!(table.broker.is_drained());
    table.check(&events);
}

/// The imported model is published with the first assignment; where that comes to nothing, the
/// assignment is taken up all the same.
#[test]
fn an_assignment_is_taken_up_although_a_transaction_is_aborted() {
    let table = Table::set();
    let events = generated(1_000, 100, 22);
    table.put(&events);
    let mut a = table.join_with("a", FaultScript::failing_first_send());
    settle(&mut [&mut a]);
    assert_eq!(owned(&a), [0, 1, 2, 3]);
    assert!(table.broker.is_drained());
    assert_eq!(table.broker.read(Topic::Model, 0, 0).len(), 1);
    table.check(&events);
}
