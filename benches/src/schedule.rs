//! Events that are due at fixed times, independent of earlier ones.
//!
//! Latency counts from when an event was due, so it includes the delay of events that were sent late.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::BorrowedMessage;
use serde::Serialize;

/// When each event of a round is due.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
    /// Number of events before the measured ones.
    warm_up: u64,
    pub(crate) total: u64,
}

impl Schedule {
    /// A schedule of `rate` events per second, which starts in one second.
    pub(crate) fn new(rate: f64, warm_up: u64, total: u64) -> Self {
        Self {
            start: Instant::now() + Duration::from_secs(1),
            rate,
            warm_up,
            total,
        }
    }

    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// Number of events that are due by an instant.
    pub(crate) fn due_by(&self, instant: Instant) -> u64 {
        let passed = instant.saturating_duration_since(self.start);
        (passed.as_secs_f64() * self.rate) as u64
    }

    /// True if this event is measured.
    pub(crate) fn counts(&self, number: u64) -> bool {
        number >= self.warm_up
    }

    /// Microseconds since an event was due.
    pub(crate) fn microseconds_since(&self, number: u64) -> Result<u64> {
        Ok(u64::try_from(self.due(number).elapsed().as_micros())?)
    }

    /// Waits until an event is due.
    pub(crate) fn wait_for(&self, number: u64) {
        let left = self.due(number).saturating_duration_since(Instant::now());
        if !left.is_zero() {
            thread::sleep(left);
        }
    }

    /// Time by which all changes must have arrived.
    fn deadline(&self) -> Instant {
        self.due(self.total) + Duration::from_secs(60)
    }

    pub(crate) fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

/// Reads `changes` changes and calls `each` for every one.
pub(crate) fn await_changes(
    listener: &BaseConsumer,
    changes: u64,
    deadline: Instant,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let mut missing = changes;
    while missing > 0 {
        ensure!(
            Instant::now() < deadline,
            "{missing} changes did not arrive in time"
        );
        if let Some(Ok(change)) = listener.poll(Duration::from_millis(100)) {
            each(&change)?;
            missing -= 1;
        }
    }
    Ok(())
}

/// Latencies of the measured events.
pub(crate) struct Latencies {
    schedule: Schedule,
    microseconds: Histogram<u64>,
}

impl Latencies {
    fn of(schedule: Schedule) -> Result<Self> {
        Ok(Self {
            schedule,
            microseconds: Histogram::new(3)?,
        })
    }

    /// Reads `changes` changes. `number` returns the number of the event that caused a change.
    pub(crate) fn listen(
        schedule: Schedule,
        listener: &BaseConsumer,
        changes: u64,
        mut number: impl FnMut(&BorrowedMessage<'_>) -> Result<u64>,
    ) -> Result<Self> {
        let mut latencies = Self::of(schedule)?;
        await_changes(listener, changes, schedule.deadline(), |change| {
            latencies.record(number(change)?)
        })?;
        Ok(latencies)
    }

    /// Records that the change of this event is readable now.
    fn record(&mut self, number: u64) -> Result<()> {
        if self.schedule.counts(number) {
            self.microseconds
                .record(self.schedule.microseconds_since(number)?)?;
        }
        Ok(())
    }

    pub(crate) fn figures(&self) -> Figures {
        let ms = |quantile| self.microseconds.value_at_quantile(quantile) as f64 / 1e3;
        Figures {
            events: self.microseconds.len(),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: self.microseconds.max() as f64 / 1e3,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) events: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// The wall clock, ms since the epoch.
pub(crate) fn now_ms() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(now.as_millis())?)
}
