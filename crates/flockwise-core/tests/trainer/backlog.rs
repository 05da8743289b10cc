//! Several tasks with a backlog: what is learnt does not depend on which of them is faster.

use std::collections::BTreeMap;

use flockwise_core::event::hash;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CAUGHT_UP, MiniBatch, Sampled, Trainer};
use flockwise_vocabulary::task_id::TaskId;
use proptest::prelude::*;

use crate::support::{DAY_MS, plan, policy};

const TASKS: u32 = 3;
const DAYS: i64 = 12;
const HOUR_MS: i64 = DAY_MS / 24;

fn slow() -> LearningPolicy {
    LearningPolicy {
        warm_up_customers: 30,
        ..policy(2, 4)
    }
}

/// What a task draws at an instant: customers of two groups, and of a third that comes later.
fn drawn(task: u32, at_ms: i64) -> MiniBatch {
    let sample = (0..4_u32).map(|number| {
        let customer =
            hash(&[at_ms.to_le_bytes().as_slice(), &[task as u8, number as u8]].concat());
        let group = match customer % 3 {
            2 if at_ms < DAYS / 2 * DAY_MS => 1,
            group => group,
        };
        let off = (customer >> 32) as f64 / f64::from(u32::MAX);
        (
            customer,
            vec![20.0 * group as f64 + off, off - 10.0 * group as f64],
        )
    });
    MiniBatch {
        at_ms,
        sample: sample.collect(),
    }
}

fn claim(task: u32, to_ms: i64) -> BTreeMap<TaskId, Sampled> {
    let sampled = Sampled {
        to_ms,
        customers: 5,
    };
    BTreeMap::from([(TaskId(task), sampled)])
}

/// What is published if tasks send what they have drawn in this order, period by period.
fn published(turns: &[u32]) -> Vec<Publication> {
    let look_ms = slow().look_ms();
    let mut trainer = Trainer::new(plan(2), slow(), None);
    let (mut versions, mut offset) = (Vec::new(), 0);
    let mut turns = turns.iter().cycle();
    let mut told = |trainer: &mut Trainer, is_due: bool| {
        versions.extend(is_due.then(|| trainer.learn_from_window()).flatten());
    };
    for task in 0..TASKS {
        trainer.hear(&claim(task, 0), -1);
    }
    for period in 0..DAYS * DAY_MS / look_ms {
        let instants = (1..=look_ms / HOUR_MS).map(|hour| period * look_ms + hour * HOUR_MS);
        let instants: Vec<i64> = instants.collect();
        let mut sent: BTreeMap<u32, usize> = (0..TASKS).map(|task| (task, 0)).collect();
        while sent.values().any(|sent| *sent <= instants.len()) {
            let task = *turns.next().unwrap() % TASKS;
            let count = sent.get_mut(&task).unwrap();
            let is_due = match instants.get(*count) {
                Some(at_ms) => trainer.absorb(drawn(task, *at_ms), offset),
                None if *count == instants.len() => {
                    trainer.hear(&claim(task, (period + 1) * look_ms), offset)
                }
                None => continue,
            };
            told(&mut trainer, is_due);
            *count += 1;
            offset += 1;
        }
    }
    versions
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn the_order_in_which_tasks_send_changes_nothing(turns in prop::collection::vec(0..TASKS, 1..60)) {
        let mut fair = turns;
        fair.extend(0..TASKS);
        let expected = published(&(0..TASKS).collect::<Vec<_>>());
        prop_assert!(expected.len() > 2, "{} versions", expected.len());
        prop_assert_eq!(published(&fair), expected);
    }
}

#[test]
fn nothing_is_learnt_of_an_instant_before_all_tasks_have_come_to_it() {
    let mut trainer = Trainer::new(plan(2), slow(), None);
    assert!(!trainer.hear(&claim(0, 0), 0) && !trainer.hear(&claim(1, 0), 0));
    for hour in 1..20 {
        assert!(!trainer.absorb(drawn(0, hour * HOUR_MS), hour));
    }
    assert_eq!(trainer.warm_up().customers, 0);
    assert!(!trainer.hear(&claim(0, DAY_MS), 20));
    assert_eq!(trainer.sampled().to_ms, 0);
    assert!(
        trainer.hear(&claim(1, DAY_MS), 21),
        "there are 76 customers"
    );
    let first = trainer.learn_from_window().unwrap();
    assert_eq!(first.model.trained_ms, DAY_MS);
    assert_eq!(
        trainer.sampled(),
        Sampled {
            to_ms: DAY_MS,
            customers: 10
        }
    );
}

#[test]
fn a_successor_does_not_take_the_tasks_that_it_has_heard_of_for_all() {
    let mut trainer = Trainer::new(plan(2), slow(), None);
    // The report of task 1 is before the first record that a successor reads.
    trainer.hear(&claim(1, 0), 0);
    let mini_batches = || (1..20).map(|hour| (drawn(0, hour * HOUR_MS), hour));
    mini_batches().for_each(|(batch, offset)| {
        trainer.absorb(batch, offset);
    });
    // Task 0 runs far ahead, and then restarts from its committed position.
    let said = [
        (claim(0, 5 * DAY_MS), 20),
        (claim(0, DAY_MS), 21),
        (claim(1, DAY_MS), 22),
    ];
    let are_due = said
        .each_ref()
        .map(|(claim, offset)| trainer.hear(claim, *offset));
    assert_eq!(are_due, [false, false, true]);
    let first = trainer.learn_from_window().unwrap();
    assert_eq!(first.model.trained_ms, DAY_MS);

    let mut successor = Trainer::new(plan(2), slow(), Some(first.model));
    mini_batches().for_each(|(batch, offset)| successor.replay(batch, offset));
    for (claim, offset) in &said {
        successor.replay_sampled(claim, *offset);
    }
    for offset in 23..25 {
        let again = claim(0, DAY_MS + offset);
        assert!(!trainer.hear(&again, offset));
        assert!(!successor.hear(&again, offset), "no period has passed");
    }
}

#[test]
fn a_successor_reads_what_tasks_with_a_backlog_said_last() {
    let mut trainer = Trainer::new(plan(2), slow(), None);
    trainer.absorb(drawn(0, HOUR_MS), 7);
    assert_eq!(trainer.window_offset(), Some(7));
    trainer.hear(&claim(1, DAY_MS), 3);
    assert_eq!(trainer.window_offset(), Some(3));
    trainer.hear(&claim(1, CAUGHT_UP), 9);
    assert_eq!(trainer.window_offset(), Some(7));
}
