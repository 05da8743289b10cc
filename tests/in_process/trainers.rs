//! A trainer takes over from another one.

use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::model::decode_publication;
use flockwise_codec::trainer_input::encode_command;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CommandAction, TrainerCommand};
use flockwise_memory::{MemoryBroker, MemoryClient};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_tests::events::generated;
use flockwise_tests::memory::append;
use flockwise_tests::scenario_pipeline::{LEARNING, config, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

const TASKS: u32 = 2;
const NOW_MS: i64 = 1_800_000_000_000;

struct Scenario {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    clock: Clock,
}

impl Scenario {
    fn create() -> Self {
        let config = config(&["segment"], &[LEARNING]);
        let pipeline = pipeline(&config, topics(TASKS, 1), None);
        Self {
            broker: MemoryBroker::new(pipeline.topics.clone(), &[TASKS]),
            pipeline: Arc::new(pipeline),
            clock: Clock::simulated(NOW_MS),
        }
    }

    fn join(&self, member: &str) -> Worker<MemoryClient> {
        let metrics = Metrics::register(&Registry::new()).expect("a new registry");
        let time_mode = TimeMode::Live(self.clock.clone());
        let pipeline = Arc::clone(&self.pipeline);
        Worker::new(0, self.broker.worker(member), pipeline, time_mode, metrics)
    }

    fn put_events(&self) {
        for record in generated(6_000, 300, 7) {
            append(
                &self.broker,
                &record.keyed(self.pipeline.partitioner, TASKS),
            );
        }
    }

    fn command(&self, what: CommandAction) {
        let command = encode_command(&TrainerCommand {
            what,
            who: "ops".to_owned(),
            why: "test".to_owned(),
            at_ms: NOW_MS,
        });
        self.broker
            .append(Topic::Samples, 0, NOW_MS, None, Some(&command));
    }

    /// Runs the worker until everything is committed, and for 100 further idle runs.
    fn run_until_idle(&self, member: &mut Worker<MemoryClient>) {
        let mut quiet = 0;
        while quiet < 100 {
            self.clock.advance(Duration::from_millis(100));
            let has_worked = member.run_once(Duration::ZERO).expect("no failure");
            let is_busy = has_worked || !member.is_assigned() || !self.broker.is_drained();
            quiet = if is_busy { 0 } else { quiet + 1 };
        }
    }

    fn versions(&self) -> Vec<Publication> {
        let plan = &self.pipeline.task.plan;
        let records = self.broker.read(Topic::Model, 0, 0).into_iter();
        let values = records.filter_map(|record| record.value);
        let decode = |value: Vec<u8>| decode_publication(&value, plan).expect("a version").0;
        values.map(decode).collect()
    }
}

#[test]
fn a_new_trainer_does_not_carry_out_again_what_the_last_one_was_told() {
    let scenario = Scenario::create();
    let mut first = scenario.join("first");
    scenario.put_events();
    scenario.run_until_idle(&mut first);
    let learned = scenario.versions();
    let former = learned
        .first()
        .expect("a version was learned")
        .model
        .clone();
    scenario.command(CommandAction::Rollback(Box::new(former)));
    scenario.run_until_idle(&mut first);
    let after = scenario.versions();
    assert_eq!(after.len(), learned.len() + 1, "the rollback is a version");
    drop(first);
    scenario.broker.expel("first");
    scenario.run_until_idle(&mut scenario.join("second"));
    assert_eq!(scenario.versions(), after);
}
