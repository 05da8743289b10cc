//! How often customers move.

use std::collections::HashMap;

use flockwise_core::change::Change;
use serde::Serialize;

pub(crate) const DAY_MS: i64 = 86_400_000;
const MONTH_DAYS: f64 = 30.0;
/// A return within this time counts as a step back, ms.
const SOON_MS: i64 = 7 * DAY_MS;

/// How often customers move, and how often they move back.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Movement {
    /// Changes per customer in 30 days, without first assignments.
    pub(crate) a_month: f64,
    /// Share of the changes that return to the previous segment within 7 days.
    pub(crate) back: f64,
}

impl Movement {
    /// Computed from all changes of `customers` customers, in order of time, between two instants.
    pub(crate) fn of(
        changes: &[Change],
        customers: usize,
        (since_ms, until_ms): (i64, i64),
    ) -> Self {
        let moves = changes
            .iter()
            .filter(|change| change.from.is_some() && change.to.is_some());
        let mut last: HashMap<u32, &Change> = HashMap::new();
        let (mut count, mut back) = (0.0, 0.0_f64);
        for change in moves {
            count += 1.0;
            if let Some(before) = last.insert(change.row, change) {
                let is_soon = change.occurred_ms - before.occurred_ms <= SOON_MS;
                back += f64::from(u8::from(is_soon && change.to == before.from));
            }
        }
        let months = (until_ms - since_ms) as f64 / (MONTH_DAYS * DAY_MS as f64);
        Self {
            a_month: count / (customers as f64 * months),
            back: back / f64::max(count, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use flockwise_core::decide::Cause;

    use super::*;

    fn change(row: u32, day: i64, from: Option<u32>, to: u32) -> Change {
        Change {
            row,
            sequence: 1,
            occurred_ms: day * DAY_MS,
            from,
            to: Some(to),
            cause: Cause::Time,
            distance: None,
            distance_from: None,
            margin: None,
            is_outlier: false,
            drivers: [None; 3],
            model_version: 1,
            model_version_before: None,
            trigger: None,
        }
    }

    #[test]
    fn only_a_soon_return_of_the_same_customer_is_a_step_back() {
        let changes = [
            change(0, 0, None, 1),
            change(0, 10, Some(1), 2),
            change(1, 11, Some(2), 1),
            change(0, 17, Some(2), 1),
            change(0, 30, Some(1), 2),
            change(1, 60, Some(1), 3),
        ];
        let movement = Movement::of(&changes, 2, (0, 60 * DAY_MS));
        assert_eq!(movement.a_month, 5.0 / 4.0);
        assert_eq!(movement.back, 1.0 / 5.0);
    }

    #[test]
    fn nobody_moves_where_nothing_changes() {
        let movement = Movement::of(&[], 2, (0, DAY_MS));
        assert_eq!((movement.a_month, movement.back), (0.0, 0.0));
    }
}
