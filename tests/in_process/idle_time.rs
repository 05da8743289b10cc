//! Event time passes over tasks without events, by a simulated clock: through aborts, restarts, and settings of the
//! wall clock.

use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::time::write_time;
use flockwise_memory::{MemoryBroker, MemoryClient};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_tests::checks::header;
use flockwise_tests::events::put;
use flockwise_tests::faulty_broker::{FaultScript, FaultyBroker};
use flockwise_tests::memory::append;
use flockwise_tests::pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

const START_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// A pipeline of two tasks by a clock that stands still.
struct Bench {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    clock: Clock,
    script: Arc<FaultScript>,
}

impl Bench {
    fn set() -> Self {
        let config = config(&["segment"], &[AT_ONCE, FIXED]);
        let mut pipeline = pipeline(&config, topics(2, 1), Some(model()));
        Arc::make_mut(&mut pipeline.task).time.max_ahead_ms = Some(HOUR_MS);
        Self {
            broker: MemoryBroker::new(pipeline.topics.clone(), &[2]),
            pipeline: Arc::new(pipeline),
            clock: Clock::simulated(START_MS),
            script: Arc::default(),
        }
    }

    fn join(&self) -> Member {
        let metrics = Metrics::register(&Registry::new()).expect("a new registry");
        let client = FaultyBroker::new(self.broker.worker("a"), Arc::clone(&self.script));
        let time_mode = TimeMode::Live(self.clock.clone());
        let mut worker = Worker::new(0, client, Arc::clone(&self.pipeline), time_mode, metrics);
        settle(&mut worker);
        worker
    }

    /// Somebody of a task does something.
    fn act(&self, task: u32, time_ms: i64) {
        let home = |name: &String| self.pipeline.partitioner.partition(name.as_bytes(), 2);
        let mut names = (0..).map(|number| format!("customer-{number}"));
        let name = names.find(|name| home(name) == task).expect("one of them");
        let time = write_time(time_ms);
        let put = put(
            "segment",
            &format!(
                r#"{{"type":"track","event":"Product Viewed","userId":"{name}","messageId":"{name}-{time}","timestamp":"{time}","properties":{{}}}}"#
            ),
        );
        append(&self.broker, &put.at(0, task));
    }

    /// What became dead letters, and why.
    fn refused(&self) -> Vec<String> {
        let partitions = 0..2;
        let letters =
            partitions.flat_map(|partition| self.broker.read(Topic::DeadLetters, partition, 0));
        letters
            .map(|letter| header(&letter, "flockwise.reason"))
            .collect()
    }

    fn pass(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms as u64));
    }
}

fn settle(worker: &mut Member) {
    while worker.run_once(Duration::ZERO).expect("a turn") {}
}

/// By how much the stream times of both tasks are ahead of an event time.
fn ahead_ms(worker: &Member, event_ms: i64) -> Vec<i64> {
    let ahead = |(_, task): (u32, &flockwise_core::task::Task)| task.stream_ms() - event_ms;
    worker.tasks().map(ahead).collect()
}

/// Aborts of a worker's transactions once counted idle time again for each of its idle tasks.
#[test]
fn idle_time_counts_once_however_often_transactions_are_aborted() {
    let bench = Bench::set();
    let (mut worker, event_ms) = (bench.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| bench.act(task, event_ms));
    settle(&mut worker);
    for hour in 1..=3 {
        bench.pass(HOUR_MS);
        settle(&mut worker);
        assert_eq!(ahead_ms(&worker, event_ms), [hour * HOUR_MS; 2]);
        bench.script.fail_next_commit();
        bench.act(0, event_ms);
        settle(&mut worker);
        assert!(bench.broker.is_drained());
        assert_eq!(ahead_ms(&worker, event_ms), [hour * HOUR_MS; 2]);
    }
}

/// What an event has done to the time of its task is taken back with it, and done again.
#[test]
fn an_event_that_is_aborted_moves_time_once_it_is_committed() {
    let bench = Bench::set();
    let (mut worker, event_ms) = (bench.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| bench.act(task, event_ms));
    settle(&mut worker);
    bench.pass(HOUR_MS);
    bench.script.fail_next_commit();
    bench.act(0, event_ms + 2 * HOUR_MS);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [2 * HOUR_MS, HOUR_MS]);
    bench.pass(HOUR_MS);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [3 * HOUR_MS, 2 * HOUR_MS]);
}

#[test]
fn a_restart_adds_no_idle_time() {
    let bench = Bench::set();
    let (mut worker, event_ms) = (bench.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| bench.act(task, event_ms));
    settle(&mut worker);
    bench.pass(HOUR_MS);
    settle(&mut worker);
    // With an event, so that the idle time of its task is committed.
    bench.act(0, event_ms);
    settle(&mut worker);
    worker.leave().expect("left in good order");
    let mut worker = bench.join();
    assert_eq!(ahead_ms(&worker, event_ms)[0], HOUR_MS);
    bench.pass(HOUR_MS);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms)[0], 2 * HOUR_MS);
}

#[test]
fn stream_time_waits_for_the_clock_behind_an_event_from_ahead_of_it() {
    let bench = Bench::set();
    let (mut worker, event_ms) = (bench.join(), START_MS + HOUR_MS);
    (0..2).for_each(|task| bench.act(task, event_ms));
    settle(&mut worker);
    for (pass_ms, ahead) in [(HOUR_MS / 2, 0), (HOUR_MS / 2, 0), (HOUR_MS, HOUR_MS)] {
        bench.pass(pass_ms);
        settle(&mut worker);
        assert_eq!(ahead_ms(&worker, event_ms), [ahead; 2]);
    }
}

/// All events were once refused as too far ahead when the wall clock was set back by more than `time.max_ahead`.
#[test]
fn a_wall_clock_that_is_set_back_refuses_nothing() {
    let bench = Bench::set();
    let mut worker = bench.join();
    bench.clock.set_wall(-2 * HOUR_MS);
    bench.act(0, START_MS);
    bench.act(1, START_MS + HOUR_MS);
    settle(&mut worker);
    assert!(bench.broker.is_drained());
    assert_eq!(bench.refused(), [""; 0]);
    assert_eq!(ahead_ms(&worker, START_MS), [0, HOUR_MS]);
    bench.act(0, START_MS + HOUR_MS + 1);
    settle(&mut worker);
    assert_eq!(bench.refused(), ["too_far_ahead"]);
    bench.pass(HOUR_MS + 10_000);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, START_MS), [HOUR_MS + 10_000; 2]);
}

/// Only the monotonic clock ages customers.
#[test]
fn a_wall_clock_that_is_set_forward_ages_nobody() {
    let bench = Bench::set();
    let (mut worker, event_ms) = (bench.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| bench.act(task, event_ms));
    settle(&mut worker);
    bench.clock.set_wall(365 * DAY_MS);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [0; 2]);
    bench.pass(HOUR_MS);
    settle(&mut worker);
    bench.clock.set_wall(-365 * DAY_MS);
    settle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [HOUR_MS; 2]);
    // What is too far ahead is so again.
    bench.act(0, START_MS + DAY_MS);
    settle(&mut worker);
    assert_eq!(bench.refused(), ["too_far_ahead"]);
}
