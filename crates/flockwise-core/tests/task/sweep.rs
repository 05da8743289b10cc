//! What happens to customers without events: time passes, and models change.

use std::sync::Arc;

use flockwise_core::change::Trigger;
use flockwise_core::decide::Cause;
use flockwise_core::task::{Output, Task, Untimely, Versions};

use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, fixed, model, play, settings};

fn at(hours: i64) -> i64 {
    1000 * DAY_MS + hours * HOUR_MS
}

/// Changes in the form `cause from->to`.
fn told(output: &Output) -> Vec<String> {
    let told = output.changes.iter().map(|change| {
        let place = |segment: Option<u32>| segment.map_or("-".to_owned(), |id| id.to_string());
        let (from, to) = (place(change.from), place(change.to));
        format!("{} {from}->{to}", change.cause.name())
    });
    told.collect()
}

#[test]
fn a_customer_without_events_leaves_as_time_passes() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    assert_eq!(told(&output), ["behaviour -->2"]);
    task.advance_time(at(30 * 24), Some(&fixed()), &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "time 2->9"]);
    let change = &output.changes[1];
    assert_eq!((change.cause, change.trigger), (Cause::Time, None));
    assert!(at(0) < change.occurred_ms && change.occurred_ms <= at(30 * 24));
}

#[test]
fn without_a_sweep_nobody_leaves_before_the_next_event() {
    let settings = settings(AT_ONCE, None);
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    task.advance_time(at(30 * 24), Some(&fixed()), &mut output);
    assert_eq!(told(&output), ["behaviour -->2"]);
    assert_eq!(output.swept, 0);
    let page = Act {
        name: "Page",
        ..Act::order(1, at(30 * 24 + 1))
    };
    page.give(&mut task, &settings.plan, &fixed(), &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "behaviour 2->9"]);
}

#[test]
fn everybody_is_scored_once_a_period() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let acts: Vec<Act> = (0..50)
        .map(|customer| Act::order(customer, at(0)))
        .collect();
    let (mut task, mut output) = play(&settings, &acts);
    for hour in 1..=24 {
        output.swept = 0;
        task.advance_time(at(hour), Some(&fixed()), &mut output);
        assert_eq!(output.swept, 50);
    }
}

#[test]
fn a_customer_who_comes_late_is_caught_up_by_the_sweep() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let late = Act::order(2, at(0));
    let (_, in_time) = play(&settings, &[late.clone(), Act::order(1, at(30 * 24))]);
    let (task, out_of_time) = play(&settings, &[Act::order(1, at(30 * 24)), late]);
    let last = |output: &Output, row: u32| {
        let own = output.changes.iter().filter(|change| change.row == row);
        own.map(|change| (change.from, change.to, change.cause))
            .collect::<Vec<_>>()
    };
    let expected = [
        (None, Some(2), Cause::Behaviour),
        (Some(2), Some(9), Cause::Time),
    ];
    assert_eq!(last(&in_time, 0), expected);
    assert_eq!(last(&out_of_time, 1), expected);
    assert!(task.rows().row(1).standing.as_of_ms > at(30 * 24 - 1));
}

#[test]
fn before_there_is_a_model_nobody_has_a_segment_and_then_the_model_is_the_cause() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let (mut task, mut output) = (Task::new(settings.clone()), Output::default());
    let trigger = Trigger {
        input: 0,
        partition: 0,
        offset: 0,
    };
    let order = Act::order(1, at(0)).event(&settings.plan);
    task.process(&order, trigger, None, &mut output);
    task.advance_time(at(5), None, &mut output);
    assert_eq!((told(&output).len(), output.swept), (0, 0));
    task.advance_time(at(7), Some(&fixed()), &mut output);
    assert_eq!(told(&output), ["model -->2"]);
}

/// A task with three customers who came before the first model.
fn unassigned(sweep_ms: Option<i64>) -> (Task, Output) {
    let settings = settings(AT_ONCE, sweep_ms);
    let (mut task, mut output) = (Task::new(settings.clone()), Output::default());
    let trigger = Trigger {
        input: 0,
        partition: 0,
        offset: 0,
    };
    for customer in 0..3 {
        let order = Act::order(customer, at(24 * i64::from(customer)));
        task.process(&order.event(&settings.plan), trigger, None, &mut output);
    }
    (task, output)
}

#[test]
fn the_first_model_places_everybody_slice_by_slice_as_of_the_streams_time() {
    let (mut task, mut output) = unassigned(Some(30 * DAY_MS));
    let placed = |task: &mut Task, row, output: &mut Output| {
        task.assign_unassigned(row, 2, &fixed(), output)
    };
    assert_eq!(placed(&mut task, 0, &mut output), Some(2));
    assert_eq!(placed(&mut task, 2, &mut output), None);
    assert_eq!(told(&output), ["model -->2"; 3]);
    assert!(
        output
            .changes
            .iter()
            .all(|change| change.occurred_ms == at(48))
    );
    assert!(task.rows().touched().eq(&[0, 1, 2]));
    assert_eq!(placed(&mut task, 0, &mut output), Some(2));
    assert_eq!(output.changes.len(), 3, "each customer is placed once");
    assert_eq!(placed(&mut task, 99, &mut output), None, "beyond the end");
}

#[test]
fn where_only_events_score_the_first_model_places_nobody() {
    let (mut task, mut output) = unassigned(None);
    assert_eq!(task.assign_unassigned(0, 2, &fixed(), &mut output), None);
    assert!(output.changes.is_empty());
}

#[test]
fn a_new_version_moves_customers_and_is_the_cause() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let versions = Versions {
        current: model(2, -0.8),
        previous: Some(model(1, 0.0)),
    };
    // At the next sweep.
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    task.advance_time(at(2), Some(&versions), &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "model 2->5"]);
    // At the next event, whatever it is.
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    let page = Act {
        name: "Page",
        ..Act::order(1, at(0) + 1)
    };
    page.give(&mut task, &settings.plan, &versions, &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "model 2->5"]);
    // Once the version has scored the customer, later changes have their own causes.
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    task.advance_time(at(2), Some(&versions), &mut output);
    task.advance_time(at(60 * 24), Some(&versions), &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "model 2->5", "time 5->9"]);
}

#[test]
fn a_segment_that_is_gone_is_left_for_the_nearest() {
    let settings = settings(AT_ONCE, Some(HOUR_MS));
    let (mut task, mut output) = play(&settings, &[Act::order(1, at(0))]);
    let mut parts = fixed().current.as_version().clone();
    parts.version = 2;
    Arc::make_mut(&mut parts.artefacts.segmentation)
        .segments
        .remove(0);
    let current = flockwise_core::model::Model::new(&settings.plan, parts).unwrap();
    let versions = Versions {
        current: current.into(),
        previous: Some(fixed().current),
    };
    task.advance_time(at(2), Some(&versions), &mut output);
    assert_eq!(told(&output), ["behaviour -->2", "model 2->5"]);
    assert_eq!(output.changes[1].distance_from, None);
}

#[test]
fn time_is_judged_against_the_own_partition_and_the_clock() {
    let mut settings = settings(AT_ONCE, None);
    std::sync::Arc::make_mut(&mut settings).time.max_ahead_ms = Some(HOUR_MS);
    let mut task = Task::new(settings);
    let late = 30 * DAY_MS;
    assert_eq!(task.judge_time((0, 0), at(0), Some(at(0))), Ok(()));
    assert_eq!(task.judge_time((0, 0), at(0) - late, Some(at(0))), Ok(()));
    assert_eq!(
        task.judge_time((0, 0), at(0) - late - 1, Some(at(0))),
        Err(Untimely::TooLate)
    );
    assert_eq!(
        task.judge_time((0, 1), at(0) - late - 1, Some(at(0))),
        Ok(()),
        "another partition"
    );
    assert_eq!(
        task.judge_time((0, 0), at(1) + 1, Some(at(0))),
        Err(Untimely::TooFarAhead)
    );
    assert_eq!(
        task.judge_time((0, 0), at(99), None),
        Ok(()),
        "no clock in a replay"
    );
    assert_eq!(task.position().inputs[&(0, 0)].time_ms, at(99));
    assert_eq!(task.judge_time((1, 0), i64::MIN, Some(i64::MAX)), Ok(()));
}
