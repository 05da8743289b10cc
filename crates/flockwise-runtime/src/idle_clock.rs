//! How the stream time of a task advances while it has no events.

use std::time::Duration;

use crate::clock::Moment;

/// Once a task has had no event for this long, its stream time advances with the clock.
const IDLE: Duration = Duration::from_secs(10);

/// The stream time and the moment from which a task's idle time counts.
///
/// Invariant: both belong to the same event, the last one that counts. They are set, committed and rolled back as one
/// value: a stream time that contains idle time, with the moment of an earlier event, would count that idle time twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleClock {
    last_event: LastEvent,
    /// As of the last commit.
    committed: LastEvent,
}

#[derive(Clone, Copy, Debug)]
struct LastEvent {
    /// The task's stream time after the event, milliseconds since the epoch.
    stream_ms: i64,
    /// When the event arrived.
    arrived: Moment,
}

impl IdleClock {
    /// For a task that is restored at this moment. Its stream time contains the committed idle time, so idle time
    /// counts from now.
    pub(crate) fn new(stream_ms: i64, now: Moment) -> Self {
        let last_event = LastEvent {
            stream_ms,
            arrived: now,
        };
        Self {
            last_event,
            committed: last_event,
        }
    }

    /// Notes that an event that arrived at this moment has advanced the task to this stream time.
    pub(crate) fn note_event(&mut self, stream_ms: i64, arrived: Moment) {
        self.last_event = LastEvent { stream_ms, arrived };
    }

    /// The noted events are committed.
    pub(crate) fn commit(&mut self) {
        self.committed = self.last_event;
    }

    /// Forgets the events noted since the last commit.
    pub(crate) fn roll_back(&mut self) {
        self.last_event = self.committed;
    }

    /// The stream time that an idle task has reached at `now`, when the clock shows `clock_ms`; `None` while the last
    /// event is recent, and before the first event.
    ///
    /// It is never ahead of the clock, unless the last event was: then it stays until the clock has caught up.
    pub(crate) fn stream_ms(&self, now: Moment, clock_ms: i64) -> Option<i64> {
        let LastEvent { stream_ms, arrived } = self.last_event;
        let idle = now.since(arrived);
        if stream_ms == i64::MIN || idle < IDLE {
            return None;
        }
        let reached_ms = stream_ms.saturating_add(idle.as_millis() as i64);
        Some(reached_ms.min(clock_ms).max(stream_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const START_MS: i64 = 1_800_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    fn after_ms(clock: &Clock, ms: i64) -> (Moment, i64) {
        clock.advance(Duration::from_millis(ms as u64));
        (clock.now(), clock.wall_ms())
    }

    #[test]
    fn idle_time_counts_from_the_last_event() {
        let clock = Clock::simulated(START_MS);
        let mut idle = IdleClock::new(START_MS - HOUR_MS, clock.now());
        let (now, clock_ms) = after_ms(&clock, 9_999);
        assert_eq!(idle.stream_ms(now, clock_ms), None);
        let (now, clock_ms) = after_ms(&clock, 1);
        let reached = Some(START_MS - HOUR_MS + 10_000);
        assert_eq!(idle.stream_ms(now, clock_ms), reached);
        idle.note_event(START_MS - 7, now);
        assert_eq!(idle.stream_ms(now, clock_ms), None);
    }

    #[test]
    fn an_event_that_is_rolled_back_takes_its_moment_along() {
        let clock = Clock::simulated(START_MS);
        let mut idle = IdleClock::new(START_MS - HOUR_MS, clock.now());
        let (now, _) = after_ms(&clock, HOUR_MS);
        idle.note_event(START_MS, now);
        idle.roll_back();
        let (now, clock_ms) = after_ms(&clock, 20_000);
        let reached = Some(START_MS + 20_000);
        assert_eq!(idle.stream_ms(now, clock_ms), reached);
        idle.note_event(START_MS + 15_000, now);
        idle.commit();
        idle.roll_back();
        assert_eq!(idle.stream_ms(now, clock_ms), None);
    }

    #[test]
    fn an_event_ahead_of_the_clock_waits_for_it() {
        let clock = Clock::simulated(START_MS);
        let idle = IdleClock::new(START_MS + HOUR_MS, clock.now());
        let (now, clock_ms) = after_ms(&clock, HOUR_MS / 2);
        let unmoved = Some(START_MS + HOUR_MS);
        assert_eq!(idle.stream_ms(now, clock_ms), unmoved);
        let (now, clock_ms) = after_ms(&clock, HOUR_MS);
        assert_eq!(idle.stream_ms(now, clock_ms), Some(clock_ms));
    }

    #[test]
    fn nothing_passes_before_the_first_event() {
        let clock = Clock::simulated(START_MS);
        let idle = IdleClock::new(i64::MIN, clock.now());
        let (now, clock_ms) = after_ms(&clock, HOUR_MS);
        assert_eq!(idle.stream_ms(now, clock_ms), None);
    }
}
