//! Commands to a task.

use flockwise_core::decide::Cause;
use flockwise_core::segment_sizes::SegmentSizes;
use flockwise_core::task::{Output, Sweeping, Task, TaskCommand};

use crate::life::{content, restless_with};
use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, fixed};

const START_MS: i64 = 1000 * DAY_MS;

fn erase(customer: &str) -> TaskCommand {
    TaskCommand::Erase {
        customer_id: customer.to_owned(),
        at_ms: START_MS + 100 * DAY_MS,
    }
}

fn give(task: &mut Task, customer: u8, time_ms: i64, output: &mut Output) {
    let (plan, versions) = (&task_plan(), fixed());
    Act::order(customer, time_ms).give(task, plan, &versions, output);
}

fn task_plan() -> std::sync::Arc<flockwise_core::plan::Plan> {
    restless_with(AT_ONCE, Some(HOUR_MS), Some(10 * DAY_MS), 4)
        .plan
        .clone()
}

/// A task with customers 1 and 2, committed.
fn two_customers() -> (Task, Output) {
    let settings = restless_with(AT_ONCE, Some(HOUR_MS), Some(10 * DAY_MS), 4);
    let (mut task, mut output) = (Task::new(settings), Output::default());
    give(&mut task, 1, START_MS, &mut output);
    give(&mut task, 2, START_MS, &mut output);
    task.commit();
    output.changes.clear();
    (task, output)
}

#[test]
fn an_erased_customer_is_gone_with_a_last_change_and_begins_anew() {
    let (mut task, mut output) = two_customers();
    let row = task.rows().find("customer 1").unwrap();
    let standing = task.rows().standing(row);
    task.apply(&erase("customer 1"), Some(&fixed()), &mut output);
    assert_eq!(task.rows().find("customer 1"), None);
    assert_eq!(task.rows().len(), 1);
    assert_eq!(task.expired().collect::<Vec<_>>(), ["customer 1"]);
    assert_eq!(task.stream_ms(), START_MS, "a command advances no time");
    let last = output.changes.pop().unwrap();
    assert!(output.changes.is_empty());
    assert_eq!(
        (last.cause, last.from, last.to),
        (Cause::Erasure, standing.segment, None)
    );
    assert_eq!(last.sequence, standing.sequence + 1);
    assert_eq!(last.occurred_ms, START_MS + 100 * DAY_MS);
    let counted = SegmentSizes::count(task.rows());
    assert_eq!(task.segment_sizes().sizes(), counted.sizes());
    give(&mut task, 1, START_MS, &mut output);
    let first = output.changes.pop().unwrap();
    assert_eq!((first.sequence, first.from), (1, None));
    task.commit();
    assert_eq!(task.rows().len(), 2);
}

#[test]
fn an_erasure_is_taken_back_by_an_abort() {
    let (mut task, mut output) = two_customers();
    let before = content(&task);
    task.apply(&erase("customer 2"), Some(&fixed()), &mut output);
    give(&mut task, 2, START_MS + HOUR_MS, &mut output);
    task.apply(&erase("customer 2"), Some(&fixed()), &mut output);
    assert_eq!(
        task.rows().len(),
        1,
        "also if the customer was back already"
    );
    task.roll_back();
    assert_eq!(content(&task), before);
    assert!(!task.has_expired());
}

#[test]
fn one_who_is_new_in_the_transaction_is_erased_too() {
    let (mut task, mut output) = two_customers();
    give(&mut task, 3, START_MS, &mut output);
    task.apply(&erase("customer 3"), Some(&fixed()), &mut output);
    task.commit();
    assert_eq!(
        (task.rows().len(), task.rows().find("customer 3")),
        (2, None)
    );
    give(&mut task, 4, START_MS, &mut output);
    assert_eq!(task.rows().find("customer 4"), Some(2), "the row is reused");
}

#[test]
fn an_unknown_customer_changes_nothing() {
    let (mut task, mut output) = two_customers();
    let before = content(&task);
    task.apply(&erase("nobody"), Some(&fixed()), &mut output);
    assert_eq!(content(&task), before);
    assert!(output.changes.is_empty() && !task.has_expired());
}

/// A sweep that is due comes first, so the number of slices decides nothing.
#[test]
fn who_is_due_is_swept_before() {
    let erased = |sweeping, days| {
        let (mut task, mut output) = two_customers();
        task.set_sweeping(sweeping);
        task.advance_time(START_MS + days * DAY_MS, Some(&fixed()), &mut output);
        task.apply(&erase("customer 1"), Some(&fixed()), &mut output);
        while task.sweep_some(1, Some(&fixed()), &mut output) {}
        let mut changes = output.changes;
        changes.sort_by_key(|change| (change.row, change.sequence));
        changes
    };
    for days in [3, 20] {
        let changes = erased(Sweeping::Later, days);
        assert_eq!(changes, erased(Sweeping::AtOnce, days));
        let is_erasure = |cause: Cause| cause == Cause::Erasure;
        let erasures = changes.iter().filter(|change| is_erasure(change.cause));
        assert_eq!(erasures.count(), usize::from(days == 3), "expired before");
    }
}
