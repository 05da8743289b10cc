//! A backlog is read by instances with different configurations, as in the middle of a rolling update.

use std::sync::Arc;
use std::time::Duration;

use flockwise_memory::MemoryClient;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::worker::Worker;
use flockwise_tests::events::generated;
use flockwise_tests::memory::Memory;
use flockwise_tests::scenario_pipeline::{LEARNING, config, model, pipeline};
use flockwise_tests::test_broker::{TestBroker, topics};
use prometheus::Registry;

const TASKS: u32 = 2;
const NOW_MS: i64 = 1_800_000_000_000;
/// Runs of both workers, many more than the backlog needs. Each advances the clock by 100 ms.
const TURNS: usize = 20_000;

fn with_half_life(half_life: &str) -> Pipeline {
    let learning = LEARNING.replace("\"7d\"", half_life);
    let config = config(&["segment"], &[&learning]);
    pipeline(&config, topics(TASKS, 1), Some(model()))
}

fn join(memory: &Memory, clock: &Clock, member: &str, pipeline: Pipeline) -> Worker<MemoryClient> {
    let client = memory.join(member).expect("a client");
    let metrics = Metrics::register(&Registry::new()).expect("a new registry");
    let time_mode = TimeMode::Live(clock.clone());
    Worker::new(0, client, Arc::new(pipeline), time_mode, metrics)
}

/// Without a shared period each would wait for the end of its own, and the trainer for both.
#[test]
fn instances_with_other_half_lives_read_a_backlog_to_its_end() {
    for half_lives in [["\"7d\"", "\"16d\""], ["\"16d\"", "\"7d\""]] {
        let [one, other] = half_lives.map(with_half_life);
        let memory = Memory::create(one.topics.clone(), &[TASKS]).expect("a broker");
        let records = generated(6_000, 300, 7).into_iter();
        let records: Vec<_> = records
            .map(|record| record.keyed(one.partitioner, TASKS))
            .collect();
        memory.put(&records);
        let clock = Clock::simulated(NOW_MS);
        let mut members = [("one", one), ("other", other)]
            .map(|(member, pipeline)| join(&memory, &clock, member, pipeline));
        let is_read = (0..TURNS).any(|_| {
            clock.advance(Duration::from_millis(100));
            for member in &mut members {
                member.run_once(Duration::ZERO).expect("no failure");
            }
            members.iter().all(Worker::is_assigned) && memory.is_drained()
        });
        assert!(
            is_read,
            "{half_lives:?}: the backlog was not read to its end"
        );
    }
}
