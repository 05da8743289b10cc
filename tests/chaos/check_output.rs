//! Compares the output with that of a replay without faults.

use std::panic::{self, AssertUnwindSafe};

use flockwise_runtime::topics::Topic;
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::test_broker::TestBroker;

use crate::deployment::{Deployment, PROCESSES};
use crate::event_log::EventLog;
use crate::instance::Stopped;
use crate::stop_signal::StopSignal;

/// Stops all processes. Returns what was wrong with how they ended.
pub(crate) fn end(deployment: &Deployment, stop: &StopSignal) -> Vec<String> {
    let mut failures = Vec::new();
    for index in 0..PROCESSES {
        if !stop.is_interrupted() {
            let mut instance = deployment.instance(index);
            failures.extend(instance.ended_by_itself());
            match instance.stop() {
                Stopped::Clean => {}
                Stopped::Uncommitted(text) | Stopped::Failed(text) => failures.push(text),
            }
        }
    }
    failures
}

/// Compares the results with the replay. Returns the failures and the number of changes.
pub(crate) fn check_results(
    kafka_pipeline: &KafkaPipeline,
    event_log: &EventLog,
    events: usize,
) -> (Vec<String>, usize) {
    let mut failures = event_log.failures();
    let count = event_log.count();
    if count != events as u64 {
        failures.push(format!("{count} of {events} events were produced"));
    }
    failures.extend(failure_of("changes", || kafka_pipeline.check_changes()));
    failures.extend(failure_of("customers", || kafka_pipeline.check_customers()));
    let changes = kafka_pipeline.kafka.read(Topic::SegmentChanges);
    (failures, changes.iter().map(Vec::len).sum())
}

/// Runs a check of the harness. If it panics, returns the message as a failure, so that the next check still runs.
fn failure_of(what: &str, check: impl FnOnce()) -> Option<String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let checked = panic::catch_unwind(AssertUnwindSafe(check));
    panic::set_hook(hook);
    let panic = checked.err()?;
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(format!("{what}: {}", text.unwrap_or_default()))
}
