//! Customers whose features have all decayed.

use flockwise_core::change::Change;
use flockwise_core::decide::Cause;
use flockwise_core::plan::Plan;
use flockwise_core::task::{Output, Task};

use crate::life::restless_with;
use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, fixed};

const START_MS: i64 = 1000 * DAY_MS;

fn shop() -> (Task, Output, std::sync::Arc<Plan>) {
    let settings = restless_with(AT_ONCE, Some(HOUR_MS), Some(10 * DAY_MS), 4);
    let plan = settings.plan.clone();
    (Task::new(settings), Output::default(), plan)
}

#[test]
fn who_is_silent_for_long_enough_leaves_and_begins_anew() {
    let (mut task, mut output, plan) = shop();
    Act::order(1, START_MS).give(&mut task, &plan, &fixed(), &mut output);
    task.commit();
    task.advance_time(START_MS + 10 * DAY_MS, Some(&fixed()), &mut output);
    assert_eq!(task.rows().len(), 1, "not before the time has passed");
    let standing = task.rows().standing(0);
    task.advance_time(
        START_MS + 10 * DAY_MS + HOUR_MS,
        Some(&fixed()),
        &mut output,
    );
    assert_eq!(
        (task.rows().len(), task.rows().find("customer 1")),
        (0, None)
    );
    let last = output.changes.pop().unwrap();
    assert!(last.occurred_ms > START_MS + 10 * DAY_MS);
    let expected = Change {
        row: 0,
        sequence: standing.sequence + 1,
        occurred_ms: last.occurred_ms,
        from: standing.segment,
        to: None,
        cause: Cause::Time,
        distance: None,
        distance_from: None,
        margin: None,
        is_outlier: false,
        drivers: [None; 3],
        model_version: 1,
        model_version_before: None,
        trigger: None,
    };
    assert_eq!(last, expected);
    assert_eq!(task.expired().collect::<Vec<_>>(), ["customer 1"]);
    assert_eq!(task.rows().customer_id(0), "customer 1", "until the commit");
    // Back in the same transaction: the customer gets another row, and the first one becomes free only on commit.
    let again = Act::order(1, START_MS + 11 * DAY_MS);
    again.give(&mut task, &plan, &fixed(), &mut output);
    let change = output.changes.pop().unwrap();
    assert_eq!((change.sequence, change.from, change.row), (1, None, 1));
    assert!(task.rows().touched().eq(&[1]));
    task.commit();
    assert_eq!(task.expired().count(), 0);
    let other = Act::order(2, START_MS + 11 * DAY_MS);
    other.give(&mut task, &plan, &fixed(), &mut output);
    assert_eq!(task.rows().find("customer 2"), Some(0), "the row is reused");
    assert_eq!(task.rows().len(), 2);
}

#[test]
fn who_has_no_segment_leaves_without_a_word() {
    let (mut task, mut output, plan) = shop();
    Act::order(1, START_MS).give_by(&mut task, &plan, None, &mut output);
    task.advance_time(START_MS + 20 * DAY_MS, None, &mut output);
    assert!(output.changes.is_empty());
    assert_eq!(task.expired().collect::<Vec<_>>(), ["customer 1"]);
    assert_eq!(
        task.rows().touched().count(),
        0,
        "no row is written for a customer who is gone"
    );
}

#[test]
fn a_tombstone_takes_a_customer_out() {
    let (mut task, mut output, plan) = shop();
    for customer in 0..5 {
        Act::order(customer, START_MS).give(&mut task, &plan, &fixed(), &mut output);
    }
    task.commit();
    task.remove("customer 3");
    task.remove("customer 3");
    task.remove("nobody");
    assert_eq!(
        (task.rows().len(), task.rows().find("customer 3")),
        (4, None)
    );
    output.swept = 0;
    task.advance_time(START_MS + HOUR_MS, Some(&fixed()), &mut output);
    assert_eq!(
        output.swept, 4,
        "the sweep does not visit the removed customer"
    );
    let tombstones: Vec<String> = told(&mut task);
    assert_eq!(tombstones[0], "Gone(\"customer 3\")");
}

fn told(task: &mut Task) -> Vec<String> {
    task.commit();
    let mut told = Vec::new();
    task.take_dirty(usize::MAX, &mut |dirty| told.push(format!("{dirty:?}")));
    told
}

#[test]
fn a_plan_says_how_long_its_features_look_back() {
    use flockwise_core::feature::Horizon;
    let plan = |horizons: &[Horizon]| {
        let (_, _, plan) = shop();
        let feature = |horizon: &Horizon| flockwise_core::feature::Feature {
            horizon: *horizon,
            ..plan.feature(0).clone()
        };
        Plan::compile(&horizons.iter().map(feature).collect::<Vec<_>>()).trace_ms()
    };
    let window = Horizon::Window {
        span_ms: 30 * DAY_MS,
        buckets: 10,
    };
    let week = Horizon::HalfLife(7 * DAY_MS);
    assert_eq!(plan(&[week]), Some(280 * DAY_MS));
    assert_eq!(plan(&[window]), Some(33 * DAY_MS));
    assert_eq!(plan(&[window, week]), Some(280 * DAY_MS));
    assert_eq!(plan(&[week, Horizon::Lifetime]), None);
}
