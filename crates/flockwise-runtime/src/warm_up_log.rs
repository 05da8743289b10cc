//! Logs the progress of warm-up.

use std::time::Duration;

use flockwise_core::trainer::WarmUp;

use crate::clock::Moment;

/// Time between two lines, at least.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two lines, at most, while warm-up lasts.
const MAX_INTERVAL: Duration = Duration::from_secs(600);
/// A change of the progress, a share from 0 to 1, that is worth a line.
const MIN_PROGRESS: f64 = 0.1;

/// The progress that was logged last, and when.
#[derive(Debug, Default)]
pub(crate) struct WarmUpLog {
    logged: Option<(Moment, WarmUp)>,
}

impl WarmUpLog {
    /// Logs the progress if a line is due. `None`: warm-up is over.
    pub(crate) fn report(&mut self, warm_up: Option<WarmUp>, now: Moment) {
        let Some(warm_up) = warm_up else {
            self.logged = None;
            return;
        };
        if self.is_due(&warm_up, now) {
            self.logged = Some((now, warm_up));
            tracing::info!(
                customers = warm_up.customers,
                customers_wanted = warm_up.customers_wanted,
                "no segments yet: {warm_up}"
            );
        }
    }

    fn is_due(&self, warm_up: &WarmUp, now: Moment) -> bool {
        let Some((at, logged)) = &self.logged else {
            return true;
        };
        let since = now.since(*at);
        since >= MAX_INTERVAL
            || since >= MIN_INTERVAL && (warm_up.share() - logged.share()).abs() >= MIN_PROGRESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn it_is_told_at_first_then_when_much_has_changed_and_now_and_then() {
        let mut log = WarmUpLog::default();
        let warm_up = |customers| WarmUp {
            customers,
            customers_wanted: 100,
            span_ms: 0,
            span_wanted_ms: 0,
        };
        for (seconds, customers, is_due) in [
            (0, 0, true),
            (30, 50, false),
            (60, 50, true),
            (120, 59, false),
            (180, 62, true),
            (700, 63, false),
            (780, 63, true),
        ] {
            let clock = Clock::simulated(0);
            clock.advance(Duration::from_secs(seconds));
            let now = clock.now();
            assert_eq!(log.is_due(&warm_up(customers), now), is_due, "{seconds}");
            log.report(Some(warm_up(customers)), now);
        }
        let now = Clock::simulated(0).now();
        log.report(None, now);
        assert!(log.is_due(&warm_up(1), now));
    }
}
