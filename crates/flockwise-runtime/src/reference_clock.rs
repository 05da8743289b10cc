//! What time it is, as far as a worker can know: events from the future are judged by it.
//!
//! Events are judged by the latest of three clocks, since one that is behind would refuse all of them:
//!
//! - the wall clock;
//! - the wall clock as it was when the process began, carried on by the monotonic clock;
//! - the brokers' clock, by the records that they have stamped themselves (`LogAppendTime`), carried on alike.
//!
//! Timestamps of producers (`CreateTime`) do not count: theirs are the clocks that are judged. Where all of them are
//! ahead, this machine's clock is more likely the wrong one, and a warning says so.

use crate::clock::{Clock, Moment};

/// Clocks that differ by less are taken for the same.
const TOLERANCE_MS: i64 = 60_000;

/// So many records in a row must be ahead of the clock before that is told.
const IN_A_ROW: u32 = 100;

/// The clocks of a worker beyond the machine's own, and what was said about them.
#[derive(Debug, Default)]
pub(crate) struct ReferenceClock {
    /// The brokers' clock minus the monotonic clock, at least; milliseconds.
    brokers_ms: Option<i64>,
    is_told_of_brokers: bool,
    /// Records in a row that were ahead of the clock, and the least by which they were; milliseconds.
    in_a_row: u32,
    least_ms: i64,
    is_told_of_producers: bool,
    /// When the latest commit of a task was made that was restored, by the clock of who made it.
    latest_commit_ms: Option<i64>,
}

impl ReferenceClock {
    /// The brokers have stamped a record with this time, milliseconds since the epoch, that has arrived by now.
    pub(crate) fn note_stamp(&mut self, stamped_ms: i64, now: Moment) {
        let ahead_ms = stamped_ms - now.as_ms();
        self.brokers_ms = self.brokers_ms.max(Some(ahead_ms));
    }

    /// Now, milliseconds since the epoch: the latest of the three clocks.
    pub(crate) fn now_ms(&mut self, clock: &Clock) -> i64 {
        let latest_ms = clock.latest_ms();
        let brokers = self
            .brokers_ms
            .map(|ahead_ms| ahead_ms + clock.now().as_ms());
        let Some(brokers_ms) = brokers.filter(|brokers_ms| *brokers_ms > latest_ms) else {
            return latest_ms;
        };
        let behind_ms = brokers_ms - latest_ms;
        if behind_ms > TOLERANCE_MS && !self.is_told_of_brokers {
            self.is_told_of_brokers = true;
            tracing::warn!(
                behind_s = behind_ms / 1000,
                "this machine's clock is behind that of the brokers: events are judged by theirs; check NTP on \
                 this machine"
            );
        }
        brokers_ms
    }

    /// A record that its producer has stamped with this time has arrived while it is `now_ms`.
    pub(crate) fn note_record(&mut self, stamped_ms: i64, now_ms: i64) {
        let ahead_ms = stamped_ms.saturating_sub(now_ms);
        if ahead_ms <= TOLERANCE_MS {
            self.in_a_row = 0;
            return;
        }
        self.least_ms = match self.in_a_row {
            0 => ahead_ms,
            _ => ahead_ms.min(self.least_ms),
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.are_producers_ahead() && !self.is_told_of_producers {
            self.is_told_of_producers = true;
            tracing::warn!(
                ahead_s = self.least_ms / 1000,
                records = IN_A_ROW,
                "all recent input records are stamped with times ahead of this machine's clock: it is behind, or \
                 the producers' clocks are ahead. Events further ahead than `time.max_ahead` become dead letters; \
                 check NTP on this machine"
            );
        }
    }

    /// A task was restored whose last commit was made then, by the clock of who made it.
    pub(crate) fn note_commit(&mut self, at_ms: i64) {
        self.latest_commit_ms = self.latest_commit_ms.max(Some(at_ms));
    }

    /// Says where commits of tasks restored since this was last called are from ahead of the clock.
    pub(crate) fn compare_with_commits(&mut self, now_ms: i64) {
        let latest_ms = self.latest_commit_ms.take().unwrap_or(now_ms);
        let ahead_ms = latest_ms.saturating_sub(now_ms);
        if ahead_ms > TOLERANCE_MS {
            tracing::warn!(
                ahead_s = ahead_ms / 1000,
                "the changelog holds commits from ahead of this machine's clock: it is behind, or that of the \
                 instance that wrote them was ahead. Check NTP on both machines"
            );
        }
    }

    fn are_producers_ahead(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }
}

/// Says that somebody has set the wall clock, once for each time.
pub(crate) fn log_clock_jump(clock: &Clock) {
    let Some(jumped_ms) = clock.jumped_ms() else {
        return;
    };
    let by_s = jumped_ms.unsigned_abs() as f64 / 1000.0;
    if jumped_ms < 0 {
        tracing::warn!(
            by_s,
            "the wall clock was set back; until this process ends, events are judged by where the clock would \
             be without that. Check NTP on this machine"
        );
    } else {
        tracing::warn!(
            by_s,
            "the wall clock was set forward, or this machine has slept; events from the future are judged by it. \
             Customers without events do not age by it"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START_MS: i64 = 1_800_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_brokers_clock_counts_where_it_is_later_and_goes_on() {
        let (clock, mut reference) = (Clock::simulated(START_MS), ReferenceClock::default());
        reference.note_stamp(START_MS - HOUR_MS, clock.now());
        assert_eq!(reference.now_ms(&clock), START_MS);
        reference.note_stamp(START_MS + HOUR_MS, clock.now());
        reference.note_stamp(START_MS - HOUR_MS, clock.now());
        clock.advance(Duration::from_secs(7));
        assert_eq!(reference.now_ms(&clock), START_MS + HOUR_MS + 7_000);
        clock.set_wall(2 * HOUR_MS);
        assert_eq!(reference.now_ms(&clock), START_MS + 2 * HOUR_MS + 7_000);
    }

    #[test]
    fn producers_are_ahead_where_no_record_of_many_is_not() {
        let mut reference = ReferenceClock::default();
        let mut note = |ahead_ms: i64, times: u32| {
            (0..times).for_each(|_| reference.note_record(START_MS + ahead_ms, START_MS));
            reference.are_producers_ahead()
        };
        assert!(!note(HOUR_MS, 99));
        assert!(!note(-5, 1));
        assert!(!note(HOUR_MS, 99));
        assert!(note(HOUR_MS, 1));
        assert!(!note(TOLERANCE_MS, 1));
        assert!(!note(i64::MAX - START_MS, 1));
    }
}
