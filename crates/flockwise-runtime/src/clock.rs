//! The one place that looks at a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is: the machine's, or that of a simulation.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// Stands still until it is told otherwise: milliseconds since the epoch, of every clone.
    Simulated(Arc<AtomicI64>),
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
}

impl Clock {
    /// A clock that stands still at this instant, milliseconds since the epoch.
    #[must_use]
    pub fn simulated(at_ms: i64) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(at_ms)))
    }

    /// Moves a simulated clock on; the machine's goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Self::Simulated(at_ms) = self {
            at_ms.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
        }
    }

    /// Now, to measure spans with.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Self::System => Moment(ticking_since()),
            Self::Simulated(at_ms) => {
                let at_ms = at_ms.load(Ordering::Relaxed);
                Moment(Duration::from_millis(at_ms.max(0) as u64))
            }
        }
    }

    /// Now, milliseconds since the epoch.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| since.as_millis() as i64)
            }
            Self::Simulated(at_ms) => at_ms.load(Ordering::Relaxed),
        }
    }

    /// How long ago a moment was.
    #[must_use]
    pub fn since(&self, moment: Moment) -> Duration {
        self.now().since(moment)
    }
}

/// Since this was first asked for.
fn ticking_since() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
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
    }
}
