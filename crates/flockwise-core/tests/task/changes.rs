//! Changes of segment: their contents, their times, and what has no influence on them.

use std::collections::BTreeMap;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::change::Change;
use flockwise_core::task::{Output, Task};
use proptest::prelude::*;

use crate::naive::{self, CAUSE};
use crate::shop::{
    AT_ONCE, Act, DAY_MS, HOUR_MS, acts, decision, fixed, play, settings, stories, with_days,
};

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1e-3)
}

fn is_as_expected(change: &Change, expected: &naive::Expected) -> bool {
    let drivers: Vec<_> = change.drivers.iter().flatten().collect();
    let pulling = expected
        .pulls
        .iter()
        .filter(|(pull, _)| *pull > 0.0)
        .take(3);
    let are_drivers_right = pulling.clone().count() == drivers.len()
        && pulling.zip(&drivers).all(|((pull, feature), driver)| {
            near(*pull, driver.pull)
                && *feature == driver.feature
                && near(expected.values[*feature], driver.value)
        });
    let distances_from = (change.distance_from, expected.distance_from);
    let is_distance_from_right = match distances_from {
        (Some(found), Some(expected)) => near(found, expected),
        (found, expected) => found == expected,
    };
    (change.from, change.to, change.occurred_ms, change.cause)
        == (
            expected.from,
            Some(expected.to),
            expected.occurred_ms,
            CAUSE,
        )
        && change
            .distance
            .is_some_and(|distance| near(distance, expected.distance))
        && change
            .margin
            .is_some_and(|margin| near(margin, expected.margin))
        && is_distance_from_right
        && are_drivers_right
}

proptest! {
    #[test]
    fn margin_dwell_and_cooldown_are_kept(acts in acts(), decision in decision()) {
        let settings = settings(decision, None);
        // Refunds look up their order in the task's memory, which the naive version does not have.
        let acts: Vec<Act> = acts.into_iter().filter(|act| act.name != "Refund").collect();
        let (task, output) = play(&settings, &acts);
        let stories = stories(&task, &output);
        for customer in 0..4 {
            let own: Vec<Act> = acts.iter().filter(|act| act.customer == customer).cloned().collect();
            let expected = naive::changes(&settings, &fixed().current, &own);
            let found = stories.get(&format!("customer {customer}")).cloned().unwrap_or_default();
            prop_assert_eq!(found.len(), expected.len(), "{:?}", &found);
            for (change, expected) in found.iter().zip(&expected) {
                let total: f64 = expected.pulls.iter().map(|(pull, _)| pull).sum();
                prop_assert!(expected.pulls.is_empty() || (total - 1.0).abs() < 1e-9);
                prop_assert!(is_as_expected(change, expected), "{change:?} {expected:?}");
            }
        }
    }

    #[test]
    fn a_customers_changes_chain_without_gaps(acts in acts(), decision in decision(), has_sweep: bool) {
        let settings = settings(decision, has_sweep.then_some(DAY_MS));
        let (task, output) = play(&settings, &acts);
        for (customer, changes) in stories(&task, &output) {
            let (mut segment, mut occurred_ms) = (None, i64::MIN);
            for (index, change) in changes.iter().enumerate() {
                prop_assert_eq!(change.sequence as usize, index + 1);
                prop_assert_eq!(change.from, segment);
                prop_assert_ne!(change.from, change.to);
                prop_assert!(change.occurred_ms >= occurred_ms);
                (segment, occurred_ms) = (change.to, change.occurred_ms);
            }
            let row = task.rows().row(task.rows().find(&customer).unwrap());
            prop_assert_eq!(row.standing.segment, segment);
            prop_assert_eq!(row.standing.sequence as usize, changes.len());
        }
    }

    #[test]
    fn what_is_given_twice_changes_nothing(
        acts in acts(), again in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0..5 * DAY_MS), 1..10), has_sweep: bool,
    ) {
        let settings = settings(AT_ONCE, has_sweep.then_some(DAY_MS));
        let mut repeated = acts.clone();
        for (which, by_order, later_ms) in &again {
            let first = which.get(&acts);
            // An order is identified by its id under its event's name, even in an event with another id.
            let id = if *by_order && first.order.is_some() { Some(9_999) } else { first.id };
            repeated.push(Act { id, time_ms: first.time_ms + later_ms, ..first.clone() });
        }
        let (task, output) = play(&settings, &with_days(&acts));
        let (twice, output_twice) = play(&settings, &with_days(&repeated));
        prop_assert_eq!(output_twice.duplicates.iter().sum::<u64>() as usize, again.len());
        prop_assert_eq!(stories(&task, &output), stories(&twice, &output_twice));
    }

    #[test]
    fn other_customers_and_batches_have_no_say(acts in acts(), decision in decision(), order in any::<prop::sample::Index>()) {
        let settings = settings(decision, None);
        let (whole, output) = play(&settings, &acts);
        let whole = stories(&whole, &output);
        // One customer after the other, beginning with any of them: nothing is interleaved.
        let mut apart = acts;
        let first = order.index(4) as u8;
        apart.sort_by_key(|act| (act.customer + first) % 4);
        let (task, output) = play(&settings, &apart);
        prop_assert_eq!(&whole, &stories(&task, &output));
    }

    #[test]
    fn with_a_sweep_other_customers_and_batches_have_no_say(acts in acts(), decision in decision(), pauses in prop::collection::vec(0..30 * DAY_MS, 0..10)) {
        let settings = settings(decision, Some(DAY_MS));
        let acts = with_days(&acts);
        let (whole, output) = play(&settings, &acts);
        let whole = stories(&whole, &output);
        let (mut task, mut output) = (Task::new(settings.clone()), Output::default());
        let mut last_ms = NEVER_MS;
        for act in &acts {
            // Time also advances without events, as when batches end or a partition is silent.
            for pause in pauses.iter().filter(|pause| last_ms < **pause && **pause < act.time_ms && last_ms > NEVER_MS) {
                task.advance_time(*pause, Some(&fixed()), &mut output);
            }
            act.give(&mut task, &settings.plan, &fixed(), &mut output);
            last_ms = act.time_ms;
        }
        prop_assert_eq!(&whole, &stories(&task, &output));
    }

    #[test]
    fn late_events_never_move_a_scoring_back(acts in acts(), order in any::<u64>(), has_sweep: bool) {
        let settings = settings(AT_ONCE, has_sweep.then_some(HOUR_MS));
        let (mut task, mut output) = (Task::new(settings.clone()), Output::default());
        let mut shuffled = acts;
        shuffled.sort_by_key(|act| flockwise_core::event::mix(act.id.unwrap() ^ order));
        let mut as_of: BTreeMap<u32, i64> = BTreeMap::new();
        for act in &shuffled {
            act.give(&mut task, &settings.plan, &fixed(), &mut output);
            for row in task.rows().numbers() {
                let row_now = task.rows().row(row);
                let before = as_of.insert(row, row_now.standing.as_of_ms);
                prop_assert!(before.is_none_or(|before| before <= row_now.standing.as_of_ms));
                prop_assert!(row_now.reference_ms <= row_now.standing.as_of_ms);
            }
        }
        for changes in stories(&task, &output).values() {
            prop_assert!(changes.is_sorted_by_key(|change| change.occurred_ms));
        }
    }
}
