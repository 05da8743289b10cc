//! Whether what came out is what an undisturbed replay gives.

use std::panic::{self, AssertUnwindSafe};

use flockwise_runtime::topics::Topic;
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::test_broker::TestBroker;

use crate::deployment::{Deployment, PROCESSES};
use crate::event_log::EventLog;
use crate::instance::Stopped;
use crate::stop_signal::StopSignal;

/// Ends the processes in good order; what is wrong with how they end.
pub(crate) fn end(deployment: &Deployment, stop: &StopSignal) -> Vec<String> {
    let mut failures = Vec::new();
    for index in 0..PROCESSES {
        if !stop.is_interrupted() {
            let mut instance = deployment.instance(index);
            failures.extend(instance.ended_by_itself());
            match instance.stop() {
                Stopped::Well => {}
                Stopped::Uncommitted(text) | Stopped::Wrong(text) => failures.push(text),
            }
        }
    }
    failures
}

/// What differs from what it should be, and how many changes there are.
pub(crate) fn judge(
    kafka_pipeline: &KafkaPipeline,
    event_log: &EventLog,
    events: usize,
) -> (Vec<String>, usize) {
    let mut failures = event_log.failures();
    let count = event_log.count();
    if count != events as u64 {
        failures.push(format!("{count} of {events} events were produced"));
    }
    failures.extend(said("changes", || kafka_pipeline.check_changes()));
    failures.extend(said("customers", || kafka_pipeline.check_customers()));
    let changes = kafka_pipeline.kafka.read(Topic::SegmentChanges);
    (failures, changes.iter().map(Vec::len).sum())
}

/// The harness asserts; here that is a line of the report, and the next question is asked all the same.
fn said(what: &str, check: impl FnOnce()) -> Option<String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let checked = panic::catch_unwind(AssertUnwindSafe(check));
    panic::set_hook(hook);
    let panic = checked.err()?;
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(format!("{what}: {}", text.unwrap_or_default()))
}
