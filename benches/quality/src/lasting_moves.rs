//! How soon customers are moved after a lasting change of their nearest segment.

use std::collections::HashMap;

use flockwise_core::change::Change;
use serde::Serialize;

use crate::inertia::percentiles;
use crate::movement::DAY_MS;

/// A change is lasting if the customer is nearest to the new segment for this long, ms.
const LASTING_MS: i64 = 30 * DAY_MS;

/// Delay between lasting changes and the moves that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Delay {
    /// Median delay of the changes that are followed, days.
    pub(crate) half: f64,
    /// 90th percentile of the same, days.
    pub(crate) most: f64,
    /// Share of lasting changes that no move follows while they last.
    pub(crate) never: f64,
}

/// For each customer, the times at which it entered which segment, in order of time.
type SegmentEntries = HashMap<u32, Vec<(i64, u32)>>;

fn entries(changes: &[Change]) -> SegmentEntries {
    let mut entries = SegmentEntries::new();
    for change in changes {
        let entered = entries.entry(change.row).or_default();
        entered.extend(change.to.map(|to| (change.occurred_ms, to)));
    }
    entries
}

impl Delay {
    /// Compares `changes` with `plain`, the changes of a run in which every customer is always in the nearest
    /// segment.
    pub(crate) fn of(changes: &[Change], plain: &[Change]) -> Self {
        let followed = entries(changes);
        let mut delays = Vec::new();
        for (row, entered) in entries(plain) {
            let own = followed.get(&row).map_or(&[][..], Vec::as_slice);
            // The first one is the first assignment.
            for pair in entered.windows(2).skip(1) {
                let [(since_ms, segment), (until_ms, _)] = *pair else {
                    continue;
                };
                if until_ms - since_ms >= LASTING_MS {
                    delays.push(delay_ms(own, segment, since_ms, until_ms));
                }
            }
        }
        let days = delays.iter().flatten().map(|ms| *ms as f64 / DAY_MS as f64);
        let [half, most] = percentiles(days.collect(), [0.5, 0.9]);
        let never = delays.iter().filter(|delay| delay.is_none()).count();
        Self {
            half,
            most,
            never: never as f64 / delays.len().max(1) as f64,
        }
    }
}

/// Time until a customer is in a segment, ms; 0 if it was in it before, `None` if it does not enter it before
/// `until_ms`.
fn delay_ms(entered: &[(i64, u32)], segment: u32, since_ms: i64, until_ms: i64) -> Option<i64> {
    let before = entered.iter().rev().find(|(at_ms, _)| *at_ms <= since_ms);
    if before.is_some_and(|(_, own)| *own == segment) {
        return Some(0);
    }
    let then = entered
        .iter()
        .find(|(at_ms, own)| (since_ms..until_ms).contains(at_ms) && *own == segment);
    then.map(|(at_ms, _)| at_ms - since_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MS;

    #[test]
    fn a_delay_is_from_the_change_to_the_move() {
        let entered = [(0, 1), (10 * DAY, 2), (50 * DAY, 3)];
        assert_eq!(delay_ms(&entered, 2, 7 * DAY, 40 * DAY), Some(3 * DAY));
        assert_eq!(delay_ms(&entered, 2, 12 * DAY, 45 * DAY), Some(0));
        assert_eq!(delay_ms(&entered, 3, 12 * DAY, 45 * DAY), None);
        assert_eq!(delay_ms(&[], 3, 0, DAY), None);
    }
}
