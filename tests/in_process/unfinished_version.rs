//! The last trainer was publishing a version when it went, and its transaction is open.

use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::broker::{Failure, ORIGIN_HEADER, Outgoing, Transactions};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::TimeMode;
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_simulation::SimulatedBroker;
use flockwise_tests::scenario_pipeline::{LEARNING, config, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

use crate::conditions::conditions;

const TASKS: u32 = 2;

/// The version in the open transaction may be committed but not visible yet. A trainer that did not wait would reuse
/// its number.
#[test]
fn a_new_trainer_waits_for_the_end_of_the_transaction_in_which_the_last_one_was_publishing() {
    let clock = Clock::simulated(1_800_000_000_000);
    let config = config(&["segment"], &[LEARNING]);
    let pipeline = Arc::new(pipeline(&config, topics(TASKS, 1), None));
    let broker = SimulatedBroker::new(pipeline.topics.clone(), &[TASKS], conditions(&clock));
    let join = || {
        let metrics = Metrics::register(&Registry::new()).expect("a new registry");
        let time_mode = TimeMode::Live(clock.clone());
        Worker::new(
            0,
            broker.worker("next"),
            Arc::clone(&pipeline),
            time_mode,
            metrics,
        )
    };
    let mut last = broker.worker("last");
    let published = last.send(Outgoing {
        topic: Topic::Model,
        partition: 0,
        key: Some(b"1"),
        value: Some(b"a version"),
        headers: &[(ORIGIN_HEADER, b"last")],
    });
    published.expect("sent");
    let mut next = join();
    let refused = (0..100).find_map(|_| next.run_once(Duration::ZERO).err());
    assert!(
        matches!(&refused, Some(Failure::Fatal(text)) if text.contains("a transaction stays open")),
        "{refused:?}"
    );
    last.abort().expect("aborted");
    let mut next = join();
    assert!((0..100).any(|_| {
        next.run_once(Duration::ZERO).expect("no failure");
        next.is_assigned()
    }));
}
