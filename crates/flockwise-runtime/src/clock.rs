//! The one place that looks at a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock and the monotonic clock may differ by so much more or less than before: corrections by NTP.
const JUMP: Duration = Duration::from_secs(5);

/// A reading of both clocks that took longer than this says nothing about their difference.
const QUICK: Duration = Duration::from_secs(1);

/// What time it is: the machine's, or that of a simulation.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// Stands still until it is told otherwise; clones are the same clock.
    Simulated(Arc<SimulatedTime>),
}

/// The clocks of a simulation.
#[derive(Debug)]
pub struct SimulatedTime {
    /// Milliseconds since the epoch.
    wall_ms: AtomicI64,
    /// Milliseconds; never goes back.
    monotonic_ms: AtomicI64,
    start: Start,
}

/// How the two clocks stood to each other.
#[derive(Debug)]
struct Start {
    /// Wall clock minus monotonic clock at the start, milliseconds.
    ahead_ms: i64,
    /// The same when it was last looked at.
    noticed_ms: AtomicI64,
}

impl Start {
    fn new(ahead_ms: i64) -> Self {
        Self {
            ahead_ms,
            noticed_ms: AtomicI64::new(ahead_ms),
        }
    }
}

/// An instant of a clock, to be compared with others of the same clock: it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// From an earlier moment of the same clock to this one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds since an instant that is the same for all moments of a clock.
    pub(crate) fn as_ms(self) -> i64 {
        self.0.as_millis() as i64
    }
}

impl Clock {
    /// A clock that stands still at this instant, milliseconds since the epoch.
    #[must_use]
    pub fn simulated(at_ms: i64) -> Self {
        let monotonic_ms = at_ms.max(0);
        Self::Simulated(Arc::new(SimulatedTime {
            wall_ms: AtomicI64::new(at_ms),
            monotonic_ms: AtomicI64::new(monotonic_ms),
            start: Start::new(at_ms - monotonic_ms),
        }))
    }

    /// Moves a simulated clock on; the machine's goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Self::Simulated(time) = self {
            let by_ms = by.as_millis() as i64;
            time.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
            time.monotonic_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Sets the wall clock of a simulation forward or back while no time passes; the machine's stays.
    pub fn set_wall(&self, by_ms: i64) {
        if let Self::Simulated(time) = self {
            time.wall_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Now, to measure spans with: the monotonic clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Self::System => Moment(SYSTEM.began.elapsed()),
            Self::Simulated(time) => {
                let monotonic_ms = time.monotonic_ms.load(Ordering::Relaxed);
                Moment(Duration::from_millis(monotonic_ms as u64))
            }
        }
    }

    /// Now by the wall clock, milliseconds since the epoch. It jumps where somebody sets it.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => system_wall_ms(),
            Self::Simulated(time) => time.wall_ms.load(Ordering::Relaxed),
        }
    }

    /// Now, milliseconds since the epoch: the later of the wall clock and of the wall clock as it was at the
    /// start, carried on by the monotonic clock. A wall clock that is set back does not move it.
    #[must_use]
    pub fn latest_ms(&self) -> i64 {
        let carried_on_ms = self.start().ahead_ms + self.now().as_ms();
        self.wall_ms().max(carried_on_ms)
    }

    /// By how many milliseconds the wall clock was set forward (or back: negative) since this was last asked of
    /// this clock or of a clone: each jump is told once.
    pub(crate) fn jumped_ms(&self) -> Option<i64> {
        let before = self.now();
        let wall_ms = self.wall_ms();
        let now = self.now();
        if now.since(before) > QUICK {
            return None;
        }
        let noticed_ms = &self.start().noticed_ms;
        let (known_ms, ahead_ms) = (noticed_ms.load(Ordering::Relaxed), wall_ms - now.as_ms());
        if known_ms.abs_diff(ahead_ms) <= JUMP.as_millis() as u64 {
            return None;
        }
        let order = Ordering::Relaxed;
        let told = noticed_ms.compare_exchange(known_ms, ahead_ms, order, order);
        told.is_ok().then_some(ahead_ms - known_ms)
    }

    fn start(&self) -> &Start {
        match self {
            Self::System => &SYSTEM.start,
            Self::Simulated(time) => &time.start,
        }
    }

    /// How long ago a moment was.
    #[must_use]
    pub fn since(&self, moment: Moment) -> Duration {
        self.now().since(moment)
    }
}

/// The machine's clocks as this process first saw them.
struct System {
    began: Instant,
    start: Start,
}

static SYSTEM: LazyLock<System> = LazyLock::new(|| System {
    began: Instant::now(),
    start: Start::new(system_wall_ms()),
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
        for (by_ms, told_ms, wall_ms, latest_ms) in [
            (-3_600_000, Some(-3_600_000), 6_400_000, 10_000_000),
            (-4_000, None, 6_396_000, 10_000_000),
            (-2_000, Some(-6_000), 6_394_000, 10_000_000),
            (3_606_000, Some(3_606_000), 10_000_000, 10_000_000),
            (60_000, Some(60_000), 10_060_000, 10_060_000),
        ] {
            clock.set_wall(by_ms);
            assert_eq!(clock.clone().jumped_ms(), told_ms);
            assert_eq!(clock.jumped_ms(), None);
            assert_eq!((clock.wall_ms(), clock.latest_ms()), (wall_ms, latest_ms));
        }
        assert_eq!(clock.since(start), Duration::ZERO);
    }
}
