//! A backlog is read while instances are configured otherwise, as in the middle of a roll.

use std::sync::Arc;
use std::time::Duration;

use flockwise_memory::{MemoryBroker, MemoryShard};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pace, Pipeline};
use flockwise_runtime::shard::Shard;
use flockwise_runtime::topics::Topic;
use flockwise_tests::broker::topics;
use flockwise_tests::events::generated;
use flockwise_tests::pipeline::{LEARNING, config, model, pipeline};
use prometheus::Registry;

const TASKS: u32 = 2;
const NOW_MS: i64 = 1_800_000_000_000;
/// Turns of both in which the backlog is read many times over; each advances the clock by 100 ms.
const TURNS: usize = 20_000;

fn with_half_life(half_life: &str) -> Pipeline {
    let learning = LEARNING.replace("\"7d\"", half_life);
    let config = config(&["segment"], &[&learning]);
    pipeline(&config, topics(TASKS, 1), Some(model()))
}

fn join(
    broker: &MemoryBroker,
    clock: &Clock,
    number: usize,
    pipeline: Pipeline,
) -> Shard<MemoryShard> {
    let client = broker.shard(&format!("member-{number}"));
    let metrics = Metrics::register(&Registry::new()).expect("a new registry");
    let pace = Pace::Live(clock.clone());
    Shard::new(number, client, Arc::new(pipeline), pace, metrics)
}

/// They would wait for the end of another period each, and the trainer for both.
#[test]
fn instances_with_other_half_lives_read_a_backlog_to_its_end() {
    for half_lives in [["\"7d\"", "\"16d\""], ["\"16d\"", "\"7d\""]] {
        let pipelines = half_lives.map(with_half_life);
        let broker = MemoryBroker::new(pipelines[0].topics.clone(), &[TASKS]);
        for put in generated(6_000, 300, 7) {
            let put = put.keyed(pipelines[0].partitioner, TASKS);
            let (key, value) = (Some(&*put.key), put.value.as_deref());
            broker.append(Topic::Input(0), put.partition, put.timestamp_ms, key, value);
        }
        let clock = Clock::simulated(NOW_MS);
        let mut number = 0..;
        let mut members =
            pipelines.map(|pipeline| join(&broker, &clock, number.next().unwrap_or(0), pipeline));
        let is_read = (0..TURNS).any(|_| {
            clock.advance(Duration::from_millis(100));
            for member in &mut members {
                member.turn(Duration::ZERO).expect("a turn");
            }
            members.iter().all(Shard::is_assigned) && broker.is_drained()
        });
        assert!(is_read, "{} records are left", broker.backlog());
    }
}
