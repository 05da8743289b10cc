//! The reference clock, which decides whether an event is from the future.
//!
//! It is the latest of three clocks, since a clock that is behind would reject all events:
//!
//! - the wall clock;
//! - the wall clock at the start of the process, advanced by the monotonic clock;
//! - the brokers' clock, known from records that brokers have stamped (`LogAppendTime`), advanced the same way.
//!
//! Timestamps of producers (`CreateTime`) do not count, because they are what is judged. If all of them are ahead, this
//! machine's clock is more likely wrong, and a warning is logged.

use crate::clock::{Clock, Moment};

/// Clocks that differ by no more than this count as equal, milliseconds.
const TOLERANCE_MS: i64 = 60_000;

/// Consecutive records that must be ahead of the clock before a warning is logged.
const MIN_AHEAD_RECORDS: u32 = 100;

/// What a worker knows of clocks other than the machine's, and which warnings it has logged.
#[derive(Debug, Default)]
pub(crate) struct ReferenceClock {
    /// Lower bound of the brokers' clock minus the monotonic clock, milliseconds; `None` before the first stamp.
    brokers_ms: Option<i64>,
    has_warned_of_brokers: bool,
    /// Consecutive records that were ahead of the clock.
    ahead_records: u32,
    /// The least by which one of these was ahead, milliseconds.
    least_ahead_ms: i64,
    has_warned_of_producers: bool,
    /// The latest commit of the tasks restored since the last comparison, milliseconds since the epoch by the clock of
    /// the instance that made it.
    latest_commit_ms: Option<i64>,
}

impl ReferenceClock {
    /// Notes that a broker stamped a record, which has arrived by `now`, with this time, milliseconds since the epoch.
    pub(crate) fn note_stamp(&mut self, stamped_ms: i64, now: Moment) {
        let ahead_ms = stamped_ms - now.as_ms();
        self.brokers_ms = self.brokers_ms.max(Some(ahead_ms));
    }

    /// The present time, milliseconds since the epoch: the latest of the three clocks.
    pub(crate) fn now_ms(&mut self, clock: &Clock) -> i64 {
        let latest_ms = clock.latest_ms();
        let brokers = self
            .brokers_ms
            .map(|ahead_ms| ahead_ms + clock.now().as_ms());
        let Some(brokers_ms) = brokers.filter(|brokers_ms| *brokers_ms > latest_ms) else {
            return latest_ms;
        };
        let behind_ms = brokers_ms - latest_ms;
        if behind_ms > TOLERANCE_MS && !self.has_warned_of_brokers {
            self.has_warned_of_brokers = true;
            tracing::warn!(
                behind_s = behind_ms / 1000,
                "this machine's clock is behind the brokers' clock. From now on the brokers' clock decides which events \
                 are too far ahead. Check NTP on this machine"
            );
        }
        brokers_ms
    }

    /// Notes that a record that its producer stamped with `stamped_ms` arrived at `now_ms`, both in milliseconds since
    /// the epoch.
    pub(crate) fn note_record(&mut self, stamped_ms: i64, now_ms: i64) {
        let ahead_ms = stamped_ms.saturating_sub(now_ms);
        if ahead_ms <= TOLERANCE_MS {
            self.ahead_records = 0;
            return;
        }
        self.least_ahead_ms = match self.ahead_records {
            0 => ahead_ms,
            _ => ahead_ms.min(self.least_ahead_ms),
        };
        self.ahead_records = self.ahead_records.saturating_add(1);
        if self.are_producers_ahead() && !self.has_warned_of_producers {
            self.has_warned_of_producers = true;
            tracing::warn!(
                ahead_s = self.least_ahead_ms / 1000,
                records = MIN_AHEAD_RECORDS,
                "the latest input records all have timestamps ahead of this machine's clock: this clock is behind, or \
                 the producers' clocks are ahead. Events further ahead than `time.max_ahead` become dead letters. \
                 Check NTP on this machine"
            );
        }
    }

    /// Notes the last commit of a restored task, milliseconds since the epoch by the clock of the instance that made it.
    pub(crate) fn note_commit(&mut self, at_ms: i64) {
        self.latest_commit_ms = self.latest_commit_ms.max(Some(at_ms));
    }

    /// Warns if a commit that was noted since the last call is ahead of the clock.
    pub(crate) fn compare_with_commits(&mut self, now_ms: i64) {
        let latest_ms = self.latest_commit_ms.take().unwrap_or(now_ms);
        let ahead_ms = latest_ms.saturating_sub(now_ms);
        if ahead_ms > TOLERANCE_MS {
            tracing::warn!(
                ahead_s = ahead_ms / 1000,
                "the changelog has commits with times ahead of this machine's clock: this clock is behind, or the clock \
                 of the instance that wrote them was ahead. Check NTP on both machines"
            );
        }
    }

    fn are_producers_ahead(&self) -> bool {
        self.ahead_records >= MIN_AHEAD_RECORDS
    }
}

/// Warns that the wall clock was set, once for each jump.
pub(crate) fn log_clock_jump(clock: &Clock) {
    let Some(jumped_ms) = clock.jumped_ms() else {
        return;
    };
    let by_s = jumped_ms.unsigned_abs() as f64 / 1000.0;
    if jumped_ms < 0 {
        tracing::warn!(
            by_s,
            "the wall clock was set back. Until it ends, this process judges which events are too far ahead as if \
             the clock had not been set. Check NTP on this machine"
        );
    } else {
        tracing::warn!(
            by_s,
            "the wall clock was set forward, or this machine has slept. The new time decides which events are too \
             far ahead, but does not age customers without events"
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
