//! How soon a change that lasts is followed.

use std::collections::HashMap;

use flockwise_core::change::Change;
use serde::Serialize;

use crate::inertia::percentiles;
use crate::movement::DAY_MS;

/// Who is nearest to another segment for so long has changed for good.
const LASTING_MS: i64 = 30 * DAY_MS;

/// How soon customers who have changed for good are where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Delay {
    /// Days that half of those who are followed wait at most.
    pub(crate) half: f64,
    /// And nine of ten.
    pub(crate) most: f64,
    /// Share of all who are not followed while it lasts.
    pub(crate) never: f64,
}

/// When each customer came to which segment, in the order of time.
type Ways = HashMap<u32, Vec<(i64, u32)>>;

fn ways(changes: &[Change]) -> Ways {
    let mut ways = Ways::new();
    for change in changes {
        let way = ways.entry(change.row).or_default();
        way.extend(change.to.map(|to| (change.occurred_ms, to)));
    }
    ways
}

impl Delay {
    /// Of `changes`, beside those of a run in which everybody is always in the nearest segment.
    pub(crate) fn of(changes: &[Change], plain: &[Change]) -> Self {
        let followed = ways(changes);
        let mut delays = Vec::new();
        for (row, way) in ways(plain) {
            let own = followed.get(&row).map_or(&[][..], Vec::as_slice);
            // The first one is a placing.
            for pair in way.windows(2).skip(1) {
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

/// After how long a customer is in a segment; 0 where that was so before.
fn delay_ms(way: &[(i64, u32)], segment: u32, since_ms: i64, until_ms: i64) -> Option<i64> {
    let before = way.iter().rev().find(|(at_ms, _)| *at_ms <= since_ms);
    if before.is_some_and(|(_, own)| *own == segment) {
        return Some(0);
    }
    let then = way
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
        let way = [(0, 1), (10 * DAY, 2), (50 * DAY, 3)];
        assert_eq!(delay_ms(&way, 2, 7 * DAY, 40 * DAY), Some(3 * DAY));
        assert_eq!(delay_ms(&way, 2, 12 * DAY, 45 * DAY), Some(0));
        assert_eq!(delay_ms(&way, 3, 12 * DAY, 45 * DAY), None);
        assert_eq!(delay_ms(&[], 3, 0, DAY), None);
    }
}
