//! Stream time of idle tasks advances with a simulated clock: over aborts, restarts and changes of the wall clock.

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
use flockwise_tests::events::record;
use flockwise_tests::faulty_broker::{FaultScript, FaultyBroker};
use flockwise_tests::memory::append;
use flockwise_tests::scenario_pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

const START_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// A pipeline of two tasks, with a clock that a test advances.
struct Scenario {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    clock: Clock,
    script: Arc<FaultScript>,
}

impl Scenario {
    fn create() -> Self {
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
        run_until_idle(&mut worker);
        worker
    }

    /// Appends an event of a customer of this task.
    fn append_event(&self, task: u32, time_ms: i64) {
        let task_of = |name: &String| self.pipeline.partitioner.partition(name.as_bytes(), 2);
        let mut names = (0..).map(|number| format!("customer-{number}"));
        let name = names
            .find(|name| task_of(name) == task)
            .expect("one of them");
        let time = write_time(time_ms);
        let record = record(
            "segment",
            &format!(
                r#"{{"type":"track","event":"Product Viewed","userId":"{name}","messageId":"{name}-{time}","timestamp":"{time}","properties":{{}}}}"#
            ),
        );
        append(&self.broker, &record.at(0, task));
    }

    /// The reasons of all dead letters.
    fn rejected(&self) -> Vec<String> {
        let partitions = 0..2;
        let dead_letters =
            partitions.flat_map(|partition| self.broker.read(Topic::DeadLetters, partition, 0));
        dead_letters
            .map(|dead_letter| header(&dead_letter, "flockwise.reason"))
            .collect()
    }

    fn advance(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms as u64));
    }
}

fn run_until_idle(worker: &mut Member) {
    while worker.run_once(Duration::ZERO).expect("no failure") {}
}

/// How far each task's stream time is ahead of an event time, ms.
fn ahead_ms(worker: &Member, event_ms: i64) -> Vec<i64> {
    let ahead = |(_, task): (_, &flockwise_core::task::Task)| task.stream_ms() - event_ms;
    worker.tasks().map(ahead).collect()
}

/// Regression: each abort counted idle time again for every idle task.
#[test]
fn idle_time_counts_once_however_often_transactions_are_aborted() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| scenario.append_event(task, event_ms));
    run_until_idle(&mut worker);
    for hour in 1..=3 {
        scenario.advance(HOUR_MS);
        run_until_idle(&mut worker);
        assert_eq!(ahead_ms(&worker, event_ms), [hour * HOUR_MS; 2]);
        scenario.script.fail_next_commit();
        scenario.append_event(0, event_ms);
        run_until_idle(&mut worker);
        assert!(scenario.broker.is_drained());
        assert_eq!(ahead_ms(&worker, event_ms), [hour * HOUR_MS; 2]);
    }
}

/// An abort rolls back the stream time that an event has advanced. The event advances it again when it is
/// reprocessed.
#[test]
fn an_event_that_is_aborted_moves_time_once_it_is_committed() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| scenario.append_event(task, event_ms));
    run_until_idle(&mut worker);
    scenario.advance(HOUR_MS);
    scenario.script.fail_next_commit();
    scenario.append_event(0, event_ms + 2 * HOUR_MS);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [2 * HOUR_MS, HOUR_MS]);
    scenario.advance(HOUR_MS);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [3 * HOUR_MS, 2 * HOUR_MS]);
}

#[test]
fn a_restart_adds_no_idle_time() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| scenario.append_event(task, event_ms));
    run_until_idle(&mut worker);
    scenario.advance(HOUR_MS);
    run_until_idle(&mut worker);
    // With an event, so that the task's idle time is committed.
    scenario.append_event(0, event_ms);
    run_until_idle(&mut worker);
    worker.leave().expect("left in good order");
    let mut worker = scenario.join();
    assert_eq!(ahead_ms(&worker, event_ms)[0], HOUR_MS);
    scenario.advance(HOUR_MS);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms)[0], 2 * HOUR_MS);
}

#[test]
fn stream_time_waits_for_the_clock_behind_an_event_from_ahead_of_it() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), START_MS + HOUR_MS);
    (0..2).for_each(|task| scenario.append_event(task, event_ms));
    run_until_idle(&mut worker);
    for (pass_ms, ahead) in [(HOUR_MS / 2, 0), (HOUR_MS / 2, 0), (HOUR_MS, HOUR_MS)] {
        scenario.advance(pass_ms);
        run_until_idle(&mut worker);
        assert_eq!(ahead_ms(&worker, event_ms), [ahead; 2]);
    }
}

/// Regression: all events were rejected as too far ahead after the wall clock was set back by more than
/// `time.max_ahead`.
#[test]
fn a_wall_clock_that_is_set_back_refuses_nothing() {
    let scenario = Scenario::create();
    let mut worker = scenario.join();
    scenario.clock.set_wall(-2 * HOUR_MS);
    scenario.append_event(0, START_MS);
    scenario.append_event(1, START_MS + HOUR_MS);
    run_until_idle(&mut worker);
    assert!(scenario.broker.is_drained());
    assert_eq!(scenario.rejected(), [""; 0]);
    assert_eq!(ahead_ms(&worker, START_MS), [0, HOUR_MS]);
    scenario.append_event(0, START_MS + HOUR_MS + 1);
    run_until_idle(&mut worker);
    assert_eq!(scenario.rejected(), ["too_far_ahead"]);
    scenario.advance(HOUR_MS + 10_000);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, START_MS), [HOUR_MS + 10_000; 2]);
}

/// Only the monotonic clock advances stream time.
#[test]
fn a_wall_clock_that_is_set_forward_ages_nobody() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), START_MS - DAY_MS);
    (0..2).for_each(|task| scenario.append_event(task, event_ms));
    run_until_idle(&mut worker);
    scenario.clock.set_wall(365 * DAY_MS);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [0; 2]);
    scenario.advance(HOUR_MS);
    run_until_idle(&mut worker);
    scenario.clock.set_wall(-365 * DAY_MS);
    run_until_idle(&mut worker);
    assert_eq!(ahead_ms(&worker, event_ms), [HOUR_MS; 2]);
    // An event that is too far ahead is still rejected.
    scenario.append_event(0, START_MS + DAY_MS);
    run_until_idle(&mut worker);
    assert_eq!(scenario.rejected(), ["too_far_ahead"]);
}
