//! A sweep in slices does to every customer what a sweep at once does.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_core::change::Change;
use flockwise_core::policy::DecisionPolicy;
use flockwise_core::task::{Sweeping, Task};
use proptest::prelude::*;

use crate::life::{Life, WorkerEvent, restless_with, turn};
use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, decision};

/// All changes in order, by customer.
type ChangesByCustomer = BTreeMap<String, Vec<Change>>;

/// Takes the changes out before rows are reused.
fn tell(life: &mut Life, told: &mut ChangesByCustomer) {
    for change in life.output.changes.drain(..) {
        let customer_id = life.task.rows().customer_id(change.row).to_owned();
        told.entry(customer_id)
            .or_default()
            .push(Change { row: 0, ..change });
    }
}

fn customers(task: &Task) -> BTreeMap<String, String> {
    let rows = task.rows().numbers().map(|row| task.rows().row(row));
    rows.map(|row| (row.customer_id.to_owned(), format!("{row:?}")))
        .collect()
}

fn check(
    turns: &[WorkerEvent],
    decision: DecisionPolicy,
    sweep_ms: i64,
    forget_ms: Option<i64>,
) -> Result<(), TestCaseError> {
    let settings = restless_with(decision, Some(sweep_ms), forget_ms, 4);
    let mut whole = Life::new(&settings, Sweeping::AtOnce);
    let mut sliced = Life::new(&Arc::clone(&settings), Sweeping::Later);
    let (mut expected, mut found) = (ChangesByCustomer::new(), ChangesByCustomer::new());
    for life in [&mut whole, &mut sliced] {
        life.turn(&WorkerEvent::NewVersion);
    }
    for (index, turn) in turns.iter().enumerate() {
        whole.turn(turn);
        sliced.turn(turn);
        tell(&mut whole, &mut expected);
        tell(&mut sliced, &mut found);
        if index % 5 == 0 {
            whole.task.commit();
            sliced.task.commit();
        }
    }
    let versions = sliced.versions();
    while sliced
        .task
        .sweep_some(3, versions.as_ref(), &mut sliced.output)
    {}
    tell(&mut sliced, &mut found);
    prop_assert_eq!(found, expected);
    prop_assert_eq!(customers(&sliced.task), customers(&whole.task));
    prop_assert_eq!(sliced.task.position(), whole.task.position());
    prop_assert_eq!(sliced.output.swept, whole.output.swept);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_slices_give_every_customer_the_same(
        turns in prop::collection::vec(turn(), 1..150), decision in decision(),
        sweep_ms in prop::sample::select(&[HOUR_MS, DAY_MS, 1500][..]),
        forget_ms in prop::sample::select(&[None, Some(2 * DAY_MS), Some(20 * DAY_MS)][..]),
    ) {
        // A version that comes in between scores customers whom the sweep has not reached. This is the only
        // difference that slices make.
        let turns: Vec<WorkerEvent> = turns.into_iter().filter(|turn| !matches!(turn, WorkerEvent::NewVersion)).collect();
        check(&turns, decision, sweep_ms, forget_ms)?;
    }
}

#[test]
fn a_night_is_worked_off_by_and_by() {
    let settings = restless_with(AT_ONCE, Some(HOUR_MS), None, 4);
    let mut life = Life::new(&settings, Sweeping::Later);
    life.turn(&WorkerEvent::NewVersion);
    for customer in 0..200 {
        let act = Act::order(customer, 0);
        life.turn(&WorkerEvent::Event { act, ahead_ms: 0 });
    }
    life.turn(&WorkerEvent::Silence {
        ahead_ms: 12 * HOUR_MS,
    });
    assert_eq!(life.output.swept, 0, "time alone scores nobody");
    let versions = life.versions();
    let mut slices = 0;
    while life
        .task
        .sweep_some(20, versions.as_ref(), &mut life.output)
    {
        slices += 1;
    }
    assert!((10..=1000 / 20).contains(&slices), "{slices}");
    assert_eq!(life.output.swept, 200, "a jump is one round");
    assert!(!life.task.has_due());
}
