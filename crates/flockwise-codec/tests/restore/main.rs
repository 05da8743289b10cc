//! A task restored from its changelog publishes the same bytes as a task that was never restarted: after a restart
//! at any point, with and without a sweep, across new versions of the model.
#![allow(clippy::unwrap_used)]

mod life;
mod shop;

use flockwise_core::policy::DecisionPolicy;
use flockwise_core::task::Task;
use proptest::prelude::*;

use life::{Life, WorkerEvent, turn};
use shop::{DAY_MS, HOUR_MS, settings};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restored_task_goes_on_with_the_same_bytes(
        turns in prop::collection::vec(turn(), 1..120),
        margin in prop_oneof![Just(0.0), 0.0..0.4],
        patience in prop_oneof![Just(0.0), 0.0..2.0],
        dwell in 1..4_u16,
        cooldown_ms in prop_oneof![Just(0), 0..3 * DAY_MS],
        sweep_ms in prop::sample::select(&[None, Some(HOUR_MS), Some(DAY_MS), Some(1500)][..]),
    ) {
        let decision = DecisionPolicy { margin, patience, dwell, cooldown_ms };
        let settings = settings(decision, sweep_ms);
        let (mut whole, mut restarted) = (Life::new(&settings), Life::new(&settings));
        for (index, turn) in turns.iter().enumerate() {
            whole.turn(turn, index as i64, false);
            restarted.turn(turn, index as i64, true);
            are_alike(&whole.task, &restarted.task)?;
        }
        prop_assert_eq!(&whole.given, &restarted.given);
    }
}

/// Compares two tasks. The order of their rows may differ: a restored task has the changelog's order.
fn are_alike(left: &Task, right: &Task) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.position(), right.position());
    prop_assert_eq!(left.rows().len(), right.rows().len());
    for row in left.rows().numbers() {
        let left = left.rows().row(row);
        let right = right
            .rows()
            .row(right.rows().find(left.customer_id).unwrap());
        prop_assert_eq!(
            (left.reference_ms, left.columns),
            (right.reference_ms, right.columns)
        );
        prop_assert_eq!(left.standing.as_of_ms, right.standing.as_of_ms);
        prop_assert_eq!(left.standing.candidate, right.standing.candidate);
    }
    Ok(())
}

#[test]
fn what_restarts_are_tried_on_has_changes_of_every_cause() {
    let decision = DecisionPolicy {
        margin: 0.0,
        patience: 0.0,
        dwell: 1,
        cooldown_ms: 0,
    };
    let order = |ahead_ms, id| WorkerEvent::Event {
        customer: 1,
        name: "Order",
        ahead_ms,
        id,
    };
    let turns = [
        WorkerEvent::NewVersion,
        order(0, 1),
        WorkerEvent::Restart,
        WorkerEvent::NewVersion,
        WorkerEvent::Silence { ahead_ms: HOUR_MS },
        WorkerEvent::Silence {
            ahead_ms: 20 * DAY_MS,
        },
        WorkerEvent::Restart,
        order(0, 3),
    ];
    let mut life = Life::new(&settings(decision, Some(HOUR_MS)));
    for turn in &turns {
        life.turn(turn, 0, true);
    }
    let given = life.given["customer 1"].join("\n");
    for cause in ["behaviour", "time", "model"] {
        assert!(
            given.contains(&format!("\"cause\":\"{cause}\"")),
            "{cause} in {given}"
        );
    }
}
