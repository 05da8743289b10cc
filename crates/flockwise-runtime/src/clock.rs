//! The machine's clocks and simulated ones, which are passed in wherever code needs the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall clock that moves against the monotonic clock by more than this was set. NTP corrects by less.
const MIN_JUMP: Duration = Duration::from_secs(5);

/// A reading of both clocks that takes longer than this is too imprecise to compare them.
const MAX_READING_TIME: Duration = Duration::from_secs(1);

/// The machine's clocks, or those of a simulation.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The wall clock and the monotonic clock of the machine.
    System,
    /// Stands still unless it is advanced or set. Clones share their time.
    Simulated(Arc<SimulatedTime>),
}

/// The clocks of a simulation.
#[derive(Debug)]
pub struct SimulatedTime {
    /// Milliseconds since the epoch.
    wall_ms: AtomicI64,
    /// Milliseconds; never goes back.
    monotonic_ms: AtomicI64,
    wall_offset: WallOffset,
}

/// The wall clock minus the monotonic clock, milliseconds.
#[derive(Debug)]
struct WallOffset {
    /// At the start.
    initial_ms: i64,
    /// After the last reported jump; before the first one, at the start.
    reported_ms: AtomicI64,
}

impl WallOffset {
    fn new(initial_ms: i64) -> Self {
        Self {
            initial_ms,
            reported_ms: AtomicI64::new(initial_ms),
        }
    }
}

/// An instant of a monotonic clock, which never goes back. Compare it only with instants of the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The time from an earlier moment of the same clock to this one; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds since the clock's origin, which is the same for all its moments.
    pub(crate) fn as_ms(self) -> i64 {
        self.0.as_millis() as i64
    }
}

impl Clock {
    /// A simulated clock that stands still at this time, milliseconds since the epoch.
    #[must_use]
    pub fn simulated(at_ms: i64) -> Self {
        let monotonic_ms = at_ms.max(0);
        Self::Simulated(Arc::new(SimulatedTime {
            wall_ms: AtomicI64::new(at_ms),
            monotonic_ms: AtomicI64::new(monotonic_ms),
            wall_offset: WallOffset::new(at_ms - monotonic_ms),
        }))
    }

    /// Advances a simulated clock. Does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Self::Simulated(time) = self {
            let by_ms = by.as_millis() as i64;
            time.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
            time.monotonic_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Sets the wall clock of a simulation forward, or back if negative, without passing time. Does nothing to the
    /// machine's.
    pub fn set_wall(&self, by_ms: i64) {
        if let Self::Simulated(time) = self {
            time.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// The present moment of the monotonic clock, to measure spans.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Self::System => Moment(SYSTEM.started.elapsed()),
            Self::Simulated(time) => {
                let monotonic_ms = time.monotonic_ms.load(Ordering::Relaxed);
                Moment(Duration::from_millis(monotonic_ms as u64))
            }
        }
    }

    /// The wall clock, milliseconds since the epoch. It jumps when somebody sets it.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => system_wall_ms(),
            Self::Simulated(time) => time.wall_ms.load(Ordering::Relaxed),
        }
    }

    /// The present time, milliseconds since the epoch: the wall clock, but no earlier than its time at the start plus
    /// what the monotonic clock has measured since. Setting the wall clock back does not set this back.
    #[must_use]
    pub fn latest_ms(&self) -> i64 {
        let carried_on_ms = self.wall_offset().initial_ms + self.now().as_ms();
        self.wall_ms().max(carried_on_ms)
    }

    /// By how many milliseconds the wall clock was set forward (negative: back); `None` if it was not set. Each jump is
    /// reported once, by this clock or a clone.
    pub(crate) fn jumped_ms(&self) -> Option<i64> {
        let before = self.now();
        let wall_ms = self.wall_ms();
        let now = self.now();
        if now.since(before) > MAX_READING_TIME {
            return None;
        }
        let reported_ms = &self.wall_offset().reported_ms;
        let (known_ms, offset_ms) = (reported_ms.load(Ordering::Relaxed), wall_ms - now.as_ms());
        if known_ms.abs_diff(offset_ms) <= MIN_JUMP.as_millis() as u64 {
            return None;
        }
        let order = Ordering::Relaxed;
        let is_first = reported_ms
            .compare_exchange(known_ms, offset_ms, order, order)
            .is_ok();
        is_first.then_some(offset_ms - known_ms)
    }

    fn wall_offset(&self) -> &WallOffset {
        match self {
            Self::System => &SYSTEM.wall_offset,
            Self::Simulated(time) => &time.wall_offset,
        }
    }

    /// The time that has passed since a moment.
    #[must_use]
    pub fn since(&self, moment: Moment) -> Duration {
        self.now().since(moment)
    }
}

/// The machine's clocks when this process first read them.
struct System {
    started: Instant,
    wall_offset: WallOffset,
}

static SYSTEM: LazyLock<System> = LazyLock::new(|| System {
    started: Instant::now(),
    wall_offset: WallOffset::new(system_wall_ms()),
});

fn system_wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_told() {
        let clock = Clock::simulated(5_000);
        let (twin, start) = (clock.clone(), clock.now());
        assert_eq!(clock.since(start), Duration::ZERO);
        twin.advance(Duration::from_millis(250));
        assert_eq!(clock.since(start), Duration::from_millis(250));
        assert_eq!(clock.wall_ms(), 5_250);
    }

    #[test]
    fn the_machines_clock_does_not_go_back() {
        let first = Clock::System.now();
        assert!(Clock::System.now() >= first);
        assert!(Clock::System.wall_ms() > 1_700_000_000_000);
        assert!(Clock::System.latest_ms() >= Clock::System.wall_ms() - 1_000);
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_moment_and_is_told_once() {
        let clock = Clock::simulated(10_000_000);
        let start = clock.now();
        for (by_ms, jumped_ms, wall_ms, latest_ms) in [
            (-3_600_000, Some(-3_600_000), 6_400_000, 10_000_000),
            (-4_000, None, 6_396_000, 10_000_000),
            (-2_000, Some(-6_000), 6_394_000, 10_000_000),
            (3_606_000, Some(3_606_000), 10_000_000, 10_000_000),
            (60_000, Some(60_000), 10_060_000, 10_060_000),
        ] {
            clock.set_wall(by_ms);
            assert_eq!(clock.clone().jumped_ms(), jumped_ms);
            assert_eq!(clock.jumped_ms(), None);
            assert_eq!((clock.wall_ms(), clock.latest_ms()), (wall_ms, latest_ms));
        }
        assert_eq!(clock.since(start), Duration::ZERO);
    }
}
