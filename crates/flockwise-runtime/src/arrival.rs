//! When records arrived, and by which clock events from the future are judged.

use crate::broker::Broker;
use crate::clock::Moment;
use crate::pipeline::TimeMode;
use crate::reference_clock::ReferenceClock;
use crate::worker::Worker;

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
}

impl<B: Broker> Worker<B> {
    /// Notes that records arrive now. Returns the time by which events from the future are judged, milliseconds since the
    /// epoch; `None` in a replay.
    pub(crate) fn records_arrive(&mut self) -> Option<i64> {
        self.arrival.at = self.time_mode.clock().now();
        let TimeMode::Live(clock) = &self.time_mode else {
            return None;
        };
        if let Some(log_append_ms) = self.broker.log_append_ms() {
            let at = self.arrival.at;
            self.arrival.reference.note_stamp(log_append_ms, at);
        }
        Some(self.arrival.reference.now_ms(clock))
    }
}
