//! Sampling for the trainer: a fixed number of all customers a day, whatever they do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use flockwise_core::event::hash;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::task::{Output, Period, Sweeping, Task, TaskSettings};
use proptest::prelude::*;

use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, fixed, settings};

const DAYS: i64 = 20;
const MINUTE_MS: i64 = 60_000;

fn learning(k_max: usize, half_life_ms: i64) -> Arc<TaskSettings> {
    learning_with(k_max, half_life_ms, Some(HOUR_MS))
}

/// A shop whose model is learnt from 250 customers per segment, with a sweep of this period.
fn learning_with(k_max: usize, half_life_ms: i64, sweep_ms: Option<i64>) -> Arc<TaskSettings> {
    let fixed = settings(AT_ONCE, sweep_ms);
    Arc::new(TaskSettings {
        learning: LearningPolicy {
            k_max,
            half_life_ms,
            learn: true,
            ..fixed.learning
        },
        ..(*fixed).clone()
    })
}

/// How often each customer is sampled in days in which customer 7 has an event every minute and the others have
/// none.
fn sampled(settings: &Arc<TaskSettings>, customers: u8) -> BTreeMap<u64, usize> {
    let mut task = Task::new(Arc::clone(settings));
    let (versions, mut output) = (fixed(), Output::default());
    let start_ms = 1000 * DAY_MS;
    for customer in 0..customers {
        Act::order(customer, start_ms).give(&mut task, &settings.plan, &versions, &mut output);
    }
    output = Output::default();
    for minute in 1..=DAYS * 24 * 60 {
        let act = Act::order(7, start_ms + minute * 60_000);
        act.give(&mut task, &settings.plan, &versions, &mut output);
    }
    count(&output)
}

fn count(output: &Output) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for (customer, _) in output.mini_batches.iter().flat_map(|batch| &batch.sample) {
        *counts.entry(*customer).or_default() += 1;
    }
    counts
}

#[test]
fn as_many_are_sampled_as_the_window_wants_and_everybody_as_often() {
    // 250 per segment, of which ln 2 per half-life decay: 8.7 a day.
    let settings = learning(1, 20 * DAY_MS);
    let counts = sampled(&settings, 200);
    let total: usize = counts.values().sum();
    let expected = 250.0 * std::f64::consts::LN_2 / 20.0 * DAYS as f64;
    let deviation = expected.sqrt();
    assert!(
        (total as f64 - expected).abs() < 4.0 * deviation,
        "{total} instead of {expected}"
    );
    assert!(counts.len() > 90, "{} of 200 customers", counts.len());
}

/// 28,800 events in twenty days, but sampled as often as a customer who has none.
#[test]
fn a_flood_from_one_customer_counts_as_one_customer() {
    let settings = learning(1, 20 * DAY_MS);
    let counts = sampled(&settings, 200);
    let flooding = counts.get(&hash(b"customer 7")).copied().unwrap_or(0);
    let most = counts.values().max().copied().unwrap_or(0);
    assert!(
        flooding <= 10 && flooding <= most,
        "{flooding} of at most {most}"
    );
}

#[test]
fn where_there_are_few_everybody_is_sampled_each_time_and_not_more() {
    let settings = learning(64, DAY_MS);
    let counts = sampled(&settings, 10);
    assert_eq!(counts.len(), 10);
    let times = (DAYS * 24) as usize;
    assert!(
        counts
            .values()
            .all(|count| (times - 1..=times).contains(count)),
        "{counts:?}"
    );
}

/// What is sampled in a shop with an event at this interval.
fn sampled_every(settings: &Arc<TaskSettings>, sweeping: Sweeping, every_ms: i64) -> Output {
    let mut task = Task::new(Arc::clone(settings));
    task.set_sweeping(sweeping);
    let (versions, mut output) = (fixed(), Output::default());
    let start_ms = 1000 * DAY_MS;
    for (number, customer) in (0..DAYS * DAY_MS / every_ms).zip((0..200).cycle()) {
        let act = Act::order(customer, start_ms + number * every_ms);
        act.give(&mut task, &settings.plan, &versions, &mut output);
    }
    output
}

/// A sweep with a period of a minute skips the minutes in which nothing happens, and one with a period of a day
/// waits for a day.
#[test]
fn what_is_sampled_does_not_depend_on_the_sweep() {
    let at = |sweep_ms, sweeping| {
        let settings = learning_with(4, 20 * DAY_MS, sweep_ms);
        sampled_every(&settings, sweeping, 20 * MINUTE_MS).mini_batches
    };
    let expected = at(Some(HOUR_MS), Sweeping::AtOnce);
    assert!(expected.len() > 100, "{} mini-batches", expected.len());
    for sweep_ms in [Some(MINUTE_MS), Some(DAY_MS), None] {
        assert_eq!(at(sweep_ms, Sweeping::AtOnce), expected, "{sweep_ms:?}");
        assert_eq!(at(sweep_ms, Sweeping::Later), expected, "{sweep_ms:?}");
    }
}

/// Turns that were skipped are made up for.
#[test]
fn a_quiet_task_samples_as_many_as_a_busy_one() {
    let settings = learning(1, 20 * DAY_MS);
    let total = |every_ms| {
        let output = sampled_every(&settings, Sweeping::AtOnce, every_ms);
        count(&output).values().sum::<usize>() as f64
    };
    let (busy, quiet) = (total(10 * MINUTE_MS), total(100 * MINUTE_MS));
    let deviation = (busy + quiet).sqrt();
    assert!((busy - quiet).abs() < 4.0 * deviation, "{busy} and {quiet}");
}

/// A period of learning: an hour's turns six times over.
const PERIOD_MS: i64 = 6 * HOUR_MS;
const LANES: u8 = 3;

/// Feature vectors by instant and customer.
type Drawn = BTreeMap<(i64, u64), Vec<f64>>;

/// What is sampled of events, period by period: in the order of time, each when the watermark reaches it; or
/// partition by partition (`in_lanes`), while the watermark stays at the beginning of the period.
fn drawn(settings: &Arc<TaskSettings>, events: &[(i64, u8)], in_lanes: bool) -> Drawn {
    let mut task = Task::new(Arc::clone(settings));
    task.set_sweeping(Sweeping::Later);
    let (versions, mut output) = (fixed(), Output::default());
    for in_period in events.chunk_by(|left, right| left.0 / PERIOD_MS == right.0 / PERIOD_MS) {
        let start_ms = in_period[0].0 / PERIOD_MS * PERIOD_MS;
        task.set_period(Some(Period {
            end_ms: start_ms + PERIOD_MS,
            customers: 20,
        }));
        let mut in_turn = in_period.to_vec();
        if in_lanes {
            in_turn.sort_by_key(|(_, customer)| customer % LANES);
        }
        task.set_watermark(start_ms);
        task.advance_time(task.stream_ms(), Some(&versions), &mut output);
        for (at_ms, customer) in in_turn {
            if !in_lanes {
                task.set_watermark(at_ms);
            }
            let act = Act::order(customer, at_ms);
            act.give(&mut task, &settings.plan, &versions, &mut output);
        }
        task.set_watermark(start_ms + PERIOD_MS);
        task.advance_time(task.stream_ms(), Some(&versions), &mut output);
    }
    let mut drawn = Drawn::new();
    for batch in output.mini_batches {
        for (customer, vector) in batch.sample {
            let known = drawn.insert((batch.at_ms, customer), vector);
            assert!(known.is_none(), "drawn twice at {}", batch.at_ms);
        }
    }
    drawn
}

/// The watermark advances within a transaction. After an abort, the events before it come again.
#[test]
fn an_abort_takes_the_watermark_back_with_the_events_before_it() {
    let settings = learning(64, DAY_MS);
    let (versions, start_ms) = (fixed(), 1000 * DAY_MS);
    let drawn = |is_aborted: bool| {
        let (mut task, mut output) = (Task::new(Arc::clone(&settings)), Output::default());
        task.set_sweeping(Sweeping::Later);
        task.await_watermark();
        let pass = |task: &mut Task, output: &mut Output, hours: Range<i64>| {
            task.set_period(Some(Period {
                end_ms: start_ms + DAY_MS,
                customers: 20,
            }));
            for hour in hours.clone() {
                let act = Act::order(hour as u8, start_ms + hour * HOUR_MS);
                act.give(task, &settings.plan, &versions, output);
            }
            task.set_watermark(start_ms + hours.end * HOUR_MS);
            task.advance_time(task.stream_ms(), Some(&versions), output);
        };
        pass(&mut task, &mut output, 0..2);
        task.commit();
        if is_aborted {
            pass(&mut task, &mut Output::default(), 2..9);
            task.roll_back();
        }
        pass(&mut task, &mut output, 2..9);
        output.mini_batches
    };
    let expected = drawn(false);
    assert!(expected.len() > 20, "{} mini-batches", expected.len());
    assert_eq!(drawn(true), expected);
}

proptest! {
    #[test]
    fn partitions_that_are_read_ahead_change_nothing_that_is_sampled(
        steps in prop::collection::vec((0..40 * MINUTE_MS, 0..20_u8), 50..400),
    ) {
        let settings = learning(1, 2 * DAY_MS);
        let mut at_ms = 1000 * DAY_MS;
        let events = steps.iter().map(|(step_ms, customer)| {
            at_ms += step_ms;
            (at_ms, *customer)
        });
        let events: Vec<(i64, u8)> = events.collect();
        let expected = drawn(&settings, &events, false);
        prop_assert_eq!(drawn(&settings, &events, true), expected);
    }
}
