//! Commands to tasks: each is applied once, whatever is aborted, and takes no time.

use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::changelog::row_key;
use flockwise_codec::task_command::encode_task_command;
use flockwise_codec::time::write_time;
use flockwise_core::task::TaskCommand;
use flockwise_memory::{MemoryBroker, MemoryClient};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_tests::checks::{header, values};
use flockwise_tests::events::record;
use flockwise_tests::faulty_broker::{FaultScript, FaultyBroker};
use flockwise_tests::memory::append;
use flockwise_tests::scenario_pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;
use serde_json::Value;

const NOW_MS: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;

type Member = Worker<FaultyBroker<MemoryClient>>;

/// A pipeline of one task.
struct Scenario {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    script: Arc<FaultScript>,
    registry: Registry,
}

impl Scenario {
    fn create() -> Self {
        let config = config(&["segment"], &[AT_ONCE, FIXED]);
        let pipeline = pipeline(&config, topics(1, 1), Some(model()));
        Self {
            broker: MemoryBroker::new(pipeline.topics.clone(), &[1]),
            pipeline: Arc::new(pipeline),
            script: Arc::default(),
            registry: Registry::new(),
        }
    }

    fn join(&self) -> Member {
        let metrics = Metrics::register(&self.registry).expect("a new registry");
        let client = FaultyBroker::new(self.broker.worker("a"), Arc::clone(&self.script));
        let time_mode = TimeMode::Live(Clock::simulated(NOW_MS));
        let mut worker = Worker::new(0, client, Arc::clone(&self.pipeline), time_mode, metrics);
        run_until_idle(&mut worker).expect("no failure");
        worker
    }

    fn append_event(&self, customer: &str, time_ms: i64) {
        let time = write_time(time_ms);
        let record = record(
            "segment",
            &format!(
                r#"{{"type":"track","event":"Product Viewed","userId":"{customer}","messageId":"{customer}-{time}","timestamp":"{time}","properties":{{}}}}"#
            ),
        );
        append(&self.broker, &record.at(0, 0));
    }

    fn send(&self, value: &[u8]) {
        self.broker
            .append(Topic::Repartition, 0, NOW_MS, None, Some(value));
    }

    fn erase(&self, customer: &str) {
        self.send(&encode_task_command(&TaskCommand::Erase {
            customer_id: customer.to_owned(),
            at_ms: NOW_MS,
        }));
    }

    /// Cause and sequence of a customer's changes.
    fn changes(&self, customer: &str) -> Vec<(String, u64)> {
        let changes = values(&[self.broker.read(Topic::SegmentChanges, 0, 0)]);
        let own = changes
            .iter()
            .filter(|change| change["customer_id"] == customer);
        let shown = |change: &Value| {
            let cause = change["cause"].as_str().expect("a cause").to_owned();
            (cause, change["sequence"].as_u64().expect("a sequence"))
        };
        own.map(shown).collect()
    }

    /// Number of tombstones in the changelog for a customer.
    fn tombstones(&self, customer: &str) -> usize {
        let mut key = Vec::new();
        row_key(customer, &mut key);
        let changelog = self.broker.read(Topic::Changelog, 0, 0);
        let is_tombstone = |record: &&flockwise_memory::CommittedRecord| {
            record.key.as_deref() == Some(&key[..]) && record.value.is_none()
        };
        changelog.iter().filter(is_tombstone).count()
    }

    /// Value of `flockwise_task_commands_total`.
    fn applied(&self) -> u64 {
        let families = self.registry.gather();
        let mut family = families
            .iter()
            .filter(|family| family.name() == "flockwise_task_commands_total");
        let family = family.next().expect("the metric");
        let metrics = family.get_metric().iter();
        metrics
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }
}

fn run_until_idle(worker: &mut Member) -> Result<(), Failure> {
    while worker.run_once(Duration::ZERO)? {}
    Ok(())
}

fn customers(worker: &Member) -> Vec<String> {
    let rows = |(_, task): (_, &flockwise_core::task::Task)| {
        let rows = task.rows();
        let ids: Vec<String> = rows
            .numbers()
            .map(|row| rows.customer_id(row).to_owned())
            .collect();
        ids
    };
    worker.tasks().flat_map(rows).collect()
}

#[test]
fn an_erasure_that_is_aborted_is_applied_once_when_it_is_committed() {
    let scenario = Scenario::create();
    let (mut worker, event_ms) = (scenario.join(), NOW_MS - DAY_MS);
    scenario.append_event("anna", event_ms);
    scenario.append_event("bert", event_ms);
    run_until_idle(&mut worker).expect("no failure");
    for _ in 0..2 {
        scenario.script.fail_next_commit();
        scenario.erase("anna");
        run_until_idle(&mut worker).expect("no failure");
    }
    assert!(scenario.broker.is_drained());
    assert_eq!(customers(&worker), ["bert"]);
    assert_eq!(scenario.applied(), 2, "the second finds nobody");
    assert_eq!(scenario.tombstones("anna"), 1);
    assert_eq!(scenario.tombstones("bert"), 0);
    let (first, erasure) = (
        scenario.changes("bert")[0].clone(),
        ("erasure".to_owned(), 2),
    );
    assert_eq!(scenario.changes("anna"), [first.clone(), erasure.clone()]);
    // The command was given a day after the event.
    let stream_ms: Vec<i64> = worker.tasks().map(|(_, task)| task.stream_ms()).collect();
    assert_eq!(stream_ms, [event_ms], "a command advances no time");
    scenario.append_event("anna", event_ms + 1);
    run_until_idle(&mut worker).expect("no failure");
    assert_eq!(
        scenario.changes("anna"),
        [first.clone(), erasure, first],
        "a new customer begins"
    );
}

#[test]
fn an_erased_customer_is_not_restored() {
    let scenario = Scenario::create();
    let mut worker = scenario.join();
    scenario.append_event("anna", NOW_MS - DAY_MS);
    scenario.append_event("bert", NOW_MS - DAY_MS);
    scenario.erase("anna");
    run_until_idle(&mut worker).expect("no failure");
    worker.leave().expect("left in good order");
    let worker = Scenario {
        registry: Registry::new(),
        ..scenario
    }
    .join();
    assert_eq!(customers(&worker), ["bert"]);
}

#[test]
fn a_damaged_command_becomes_a_dead_letter_and_one_of_a_later_version_stops_the_worker() {
    let scenario = Scenario::create();
    let mut worker = scenario.join();
    scenario.send(br#"{"command":"erase"}"#);
    run_until_idle(&mut worker).expect("no failure");
    let dead_letters = scenario.broker.read(Topic::DeadLetters, 0, 0);
    assert_eq!(
        header(&dead_letters[0], "flockwise.reason"),
        "not_forwarded"
    );
    assert_eq!(scenario.applied(), 0);
    scenario.send(br#"{"command":"dance"}"#);
    let failure = run_until_idle(&mut worker).expect_err("it stops");
    let Failure::Config(reason) = &failure else {
        panic!("{failure}");
    };
    assert!(
        reason.contains("does not know the command `dance`"),
        "{reason}"
    );
    assert!(!scenario.broker.is_drained(), "and the command is not lost");
}
