//! What warm-up has and waits for, in the log.

use std::time::Duration;

use flockwise_core::trainer::WarmUp;

use crate::clock::Moment;

/// Not more often than this.
const SELDOM: Duration = Duration::from_secs(60);
/// At least this often while it lasts.
const OFTEN: Duration = Duration::from_secs(600);
/// A change of so much of what is wanted is worth a line.
const MATERIAL: f64 = 0.1;

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct WarmUpLog {
    told: Option<(Moment, WarmUp)>,
}

impl WarmUpLog {
    /// Tells how warm-up stands, if that is due.
    pub(crate) fn report(&mut self, warm_up: Option<WarmUp>, now: Moment) {
        let Some(warm_up) = warm_up else {
            self.told = None;
            return;
        };
        if self.is_due(&warm_up, now) {
            self.told = Some((now, warm_up));
            tracing::info!(
                customers = warm_up.customers,
                customers_wanted = warm_up.customers_wanted,
                "no segments yet: {warm_up}"
            );
        }
    }

    fn is_due(&self, warm_up: &WarmUp, now: Moment) -> bool {
        let Some((at, told)) = &self.told else {
            return true;
        };
        let since = now.since(*at);
        since >= OFTEN || since >= SELDOM && (warm_up.share() - told.share()).abs() >= MATERIAL
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
