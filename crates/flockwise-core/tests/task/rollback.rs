//! A rollback leaves no trace.

use std::collections::BTreeMap;

use flockwise_core::segment_sizes::SegmentSizes;
use flockwise_core::task::{Output, Sweeping, Task};
use proptest::prelude::*;

use crate::life::{Life, WorkerEvent, content, restless, turn};
use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, fixed, settings};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_task_that_was_rolled_back_is_as_one_that_never_did_it(
        transactions in prop::collection::vec((prop::collection::vec(turn(), 0..25), any::<bool>(), any::<bool>()), 1..12),
        settings in restless(), is_sliced: bool,
    ) {
        let sweeping = if is_sliced { Sweeping::Later } else { Sweeping::AtOnce };
        let (mut life, mut twin) = (Life::new(&settings, sweeping), Life::new(&settings, sweeping));
        for (turns, is_aborted, is_kept) in &transactions {
            turns.iter().for_each(|turn| life.turn(turn));
            prop_assert_eq!(life.task.has_expired(), life.task.expired().next().is_some());
            let rows = life.task.rows();
            prop_assert_eq!(rows.has_touched(), rows.touched().next().is_some());
            if *is_aborted {
                life.task.roll_back();
                life.forget_turns_since(&twin);
            } else {
                turns.iter().for_each(|turn| twin.turn(turn));
                prop_assert_eq!(content(&life.task), content(&twin.task));
                life.task.commit();
                twin.task.commit();
            }
            prop_assert_eq!(content(&life.task), content(&twin.task));
            prop_assert_eq!(format!("{:?}", life.output), format!("{:?}", twin.output));
            prop_assert_eq!(life.task.has_due(), twin.task.has_due());
            let counted = SegmentSizes::count(life.task.rows());
            prop_assert_eq!(counted.sizes(), &sizes(&life.task));
            prop_assert_eq!(life.task.segment_sizes().sizes(), &sizes(&life.task));
            if *is_kept {
                prop_assert_eq!(dirty(&mut life.task), dirty(&mut twin.task));
            }
        }
    }
}

/// The naive version of the segment sizes.
fn sizes(task: &Task) -> BTreeMap<u32, u64> {
    let mut sizes = BTreeMap::new();
    for row in task.rows().numbers() {
        if let Some(segment) = task.rows().standing(row).segment {
            *sizes.entry(segment).or_default() += 1;
        }
    }
    sizes
}

fn dirty(task: &mut Task) -> Vec<String> {
    let mut told = Vec::new();
    task.take_dirty(usize::MAX, &mut |dirty| told.push(format!("{dirty:?}")));
    told
}

#[test]
fn what_undo_is_tried_on_comes_and_goes_and_comes_back() {
    let settings = crate::life::restless_with(AT_ONCE, Some(DAY_MS), Some(3 * DAY_MS), 2);
    let mut life = Life::new(&settings, Sweeping::AtOnce);
    let order = |customer, ahead_ms| WorkerEvent::Event {
        act: Act::order(customer, 0),
        ahead_ms,
    };
    life.turn(&WorkerEvent::NewVersion);
    life.turn(&order(1, 0));
    life.turn(&order(2, 0));
    life.task.commit();
    let before = content(&life.task);
    for turn in [order(2, 4 * DAY_MS), order(2, 0), order(1, 0), order(3, 0)] {
        life.turn(&turn);
    }
    assert_eq!(
        life.task.expired().count(),
        2,
        "both had expired for a while"
    );
    assert_eq!(life.task.rows().len(), 3);
    life.task.roll_back();
    assert_eq!(content(&life.task), before);
}

#[test]
fn the_log_is_as_large_as_the_transaction_and_small_again_after_it() {
    let settings = settings(AT_ONCE, None);
    let (mut task, mut output) = (Task::new(settings.clone()), Output::default());
    let mut give = |task: &mut Task, customer: u8, number: u64| {
        let act = Act {
            id: Some(number),
            ..Act::order(customer, number as i64 * HOUR_MS)
        };
        act.give(task, &settings.plan, &fixed(), &mut output);
        output.changes.clear();
    };
    (0..40_000).for_each(|number| give(&mut task, (number % 200) as u8, number));
    task.commit();
    let settled = task.bytes();
    (40_000..41_000).for_each(|number| give(&mut task, (number % 2) as u8, number));
    let row = task.bytes() - settled;
    assert!(
        row < 100_000,
        "two rows and a thousand ids take {row} bytes"
    );
    task.commit();
    task.commit();
    assert!(task.bytes() < settled + 100_000);
}
