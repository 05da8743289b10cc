//! Whether what came out is what an undisturbed replay gives.

use std::panic::{self, AssertUnwindSafe};

use flockwise_runtime::topics::Topic;
use flockwise_tests::broker::Stage;
use flockwise_tests::plant::Plant;

use crate::halt::Halt;
use crate::instance::Stopped;
use crate::journal::Journal;
use crate::site::{PROCESSES, Site};

/// Ends the processes in good order; what is wrong with how they end.
pub(crate) fn end(site: &Site, halt: &Halt) -> Vec<String> {
    let mut failures = Vec::new();
    for index in 0..PROCESSES {
        if !halt.is_interrupted() {
            let mut instance = site.instance(index);
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
pub(crate) fn judge(plant: &Plant, journal: &Journal, events: usize) -> (Vec<String>, usize) {
    let mut failures = journal.failures();
    let count = journal.count();
    if count != events as u64 {
        failures.push(format!("{count} of {events} events were produced"));
    }
    failures.extend(said("changes", || plant.check_changes()));
    failures.extend(said("customers", || plant.check_customers()));
    let changes = plant.kafka.read(Topic::SegmentChanges);
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
