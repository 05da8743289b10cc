//! When records arrived, and by which clock events from the future are judged.

use crate::clock::Moment;
use crate::pipeline::TimeMode;
use crate::reference_clock::ReferenceClock;

/// When the present batch arrived, and the reference clock.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Read once for each batch, not for each event.
    at: Moment,
    reference: ReferenceClock,
}

impl Arrival {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            at: now,
            reference: ReferenceClock::default(),
        }
    }

    pub(crate) fn at(&self) -> Moment {
        self.at
    }

    pub(crate) fn reference(&mut self) -> &mut ReferenceClock {
        &mut self.reference
    }

    /// Notes that records arrive now. `log_append_ms` is the latest time that a broker has stamped. Returns the time by
    /// which events from the future are judged, milliseconds since the epoch; `None`: none is refused.
    pub(crate) fn records_arrive(
        &mut self,
        time_mode: &TimeMode,
        log_append_ms: Option<i64>,
    ) -> Option<i64> {
        self.at = time_mode.clock().now();
        let clock = match time_mode {
            TimeMode::Live(clock) => clock,
            TimeMode::Replay { judged_at_ms } => return *judged_at_ms,
        };
        if let Some(log_append_ms) = log_append_ms {
            self.reference.note_stamp(log_append_ms, self.at);
        }
        Some(self.reference.now_ms(clock))
    }
}
