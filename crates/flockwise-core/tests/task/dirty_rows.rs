//! A copy that receives the dirty rows has the rows of the task.

use std::collections::BTreeMap;

use flockwise_core::rows::DirtyRow;
use flockwise_core::task::{Sweeping, Task};
use proptest::prelude::*;

use crate::life::{Life, restless, turn};

/// Rows by customer: the contents of a changelog, or of a checkpoint.
type Copy = BTreeMap<String, String>;

/// Writes what a commit writes to the changelog.
fn commit(task: &mut Task, changelog: &mut Copy) {
    task.expired().for_each(|id| drop(changelog.remove(id)));
    for row in task.rows().touched() {
        let row = task.rows().row(*row);
        changelog.insert(row.customer_id.to_owned(), format!("{row:?}"));
    }
    task.commit();
}

fn keep(task: &mut Task, limit: usize, copy: &mut Copy) {
    let mut count = 0;
    task.take_dirty(limit, &mut |dirty| {
        count += 1;
        match dirty {
            DirtyRow::Row(row) => drop(copy.insert(row.customer_id.to_owned(), format!("{row:?}"))),
            DirtyRow::Gone(id) => drop(copy.remove(id)),
        }
    });
    assert!(count <= limit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_copy_has_whom_the_changelog_has(
        transactions in prop::collection::vec((prop::collection::vec(turn(), 0..20), 0..4_u8, 0..9_usize), 1..15),
        settings in restless(),
    ) {
        let mut life = Life::new(&settings, Sweeping::AtOnce);
        let (mut changelog, mut copy) = (Copy::new(), Copy::new());
        for (turns, what, limit) in &transactions {
            let before = life.clone();
            turns.iter().for_each(|turn| life.turn(turn));
            match what {
                0 => {
                    life.task.roll_back();
                    life.forget_turns_since(&before);
                }
                _ => commit(&mut life.task, &mut changelog),
            }
            if *what == 1 && *limit == 0 {
                copy.clear();
                life.task.mark_all_dirty();
            }
            keep(&mut life.task, *limit, &mut copy);
        }
        keep(&mut life.task, usize::MAX, &mut copy);
        prop_assert_eq!(life.task.dirty_len(), 0);
        prop_assert!(copy.keys().eq(changelog.keys()));
        // Rows of the copy may be as of a later sweep than those written to the changelog.
        for row in life.task.rows().numbers() {
            let row = life.task.rows().row(row);
            prop_assert!(copy.contains_key(row.customer_id));
        }
        prop_assert!(settings.time.sweep_ms.is_some() || copy == changelog);
    }
}

#[test]
fn what_local_state_had_need_not_be_handed_to_it() {
    let settings = crate::life::restless_with(crate::shop::AT_ONCE, None, None, 4);
    let source = Life::new(&settings, Sweeping::AtOnce);
    let (mut life, mut task) = (source, Task::new(settings));
    for customer in 0..4 {
        let act = crate::shop::Act::order(customer, 0);
        life.turn(&crate::life::WorkerEvent::Event { act, ahead_ms: 0 });
    }
    let rows = life.task.rows();
    (0..4).for_each(|row| task.restore_kept_row(&rows.row(row)));
    assert_eq!(task.dirty_len(), 0);
    // Rows that the changelog has in addition.
    task.restore_row(&rows.row(2));
    task.restore_row(&rows.row(2));
    assert_eq!(task.dirty_len(), 1);
    task.mark_all_dirty();
    assert_eq!(task.dirty_len(), 4);
}
