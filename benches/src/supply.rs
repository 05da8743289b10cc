//! A sender that costs little, since it shares the machine with what is measured, and that says by how much it
//! falls behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Serialize;

use crate::broker::{Kafka, PATIENCE};
use crate::lines::{Line, Lines};
use crate::schedule::Schedule;

/// What is due is sent this often.
const SLICE: Duration = Duration::from_millis(1);

/// Where nobody says how much may be sent, it is sent in slices of so many.
const AT_ONCE: u64 = 1000;

/// Sends the lines of a load in order, each once.
pub(crate) struct Supply<'a> {
    producer: BaseProducer,
    topic: &'a str,
    lines: &'a Lines,
    sent: u64,
}

impl<'a> Supply<'a> {
    pub(crate) fn new(kafka: &Kafka, topic: &'a str, lines: &'a Lines) -> Result<Self> {
        let mut config = kafka.client();
        config
            .set("enable.idempotence", "true")
            // A report of every record costs as much as the record.
            .set("delivery.report.only.error", "true")
            .set("compression.type", "none")
            // With less, so many small batches keep the broker busier than Flockwise.
            .set("linger.ms", "5")
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "1000000");
        Ok(Self {
            producer: config.create()?,
            topic,
            lines,
            sent: 0,
        })
    }

    /// Sends every line when it is due, or as soon as possible.
    pub(crate) fn steadily(mut self, schedule: Schedule) -> Result<Lag> {
        let mut lag = Lag::new(schedule)?;
        while self.sent < self.lines.len() {
            let from = self.sent;
            self.send_to(schedule.due_by(Instant::now()))?;
            if self.sent > from {
                lag.note(from, self.sent - self.unstored())?;
            }
            thread::sleep(SLICE);
        }
        self.producer.flush(PATIENCE)?;
        Ok(lag)
    }

    /// Keeps so many lines ahead of those that are worked off.
    pub(crate) fn ahead(mut self, by: u64, worked_off: &AtomicU64) -> Result<()> {
        while self.sent < self.lines.len() {
            let most = worked_off.load(Ordering::Relaxed).saturating_add(by);
            if self.sent < most {
                self.send_to(most.min(self.sent + AT_ONCE))?;
            } else {
                thread::sleep(SLICE);
            }
        }
        Ok(self.producer.flush(PATIENCE)?)
    }

    fn send_to(&mut self, end: u64) -> Result<()> {
        let end = end.min(self.lines.len());
        for line in self.lines.some(self.sent..end) {
            self.send(&line)?;
        }
        self.sent = end;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn send(&self, line: &Line<'_>) -> Result<()> {
        let mut record = BaseRecord::to(self.topic)
            .partition(line.partition.cast_signed())
            .key(line.key)
            .payload(line.value);
        while let Err((error, again)) = self.producer.send(record) {
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            ensure!(is_full, "sending: {error}");
            self.producer.poll(SLICE);
            record = again;
        }
        Ok(())
    }

    /// Records that the broker has not said it has.
    fn unstored(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }
}

/// How far a sender was behind its schedule, slice by slice, of the slices that count.
pub(crate) struct Lag {
    schedule: Schedule,
    sent: Histogram<u64>,
    stored: Histogram<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LagFigures {
    /// From when the first event of a slice was due until all of the slice was handed to the producer.
    pub(crate) sent_p99_ms: f64,
    /// By then, how long ago the oldest event was due that the broker did not have.
    pub(crate) stored_p99_ms: f64,
}

impl Lag {
    fn new(schedule: Schedule) -> Result<Self> {
        Ok(Self {
            schedule,
            sent: Histogram::new(3)?,
            stored: Histogram::new(3)?,
        })
    }

    /// A slice has been sent that began with this event; those before `stored` the broker has.
    fn note(&mut self, from: u64, stored: u64) -> Result<()> {
        if self.schedule.counts(from) {
            self.sent.record(self.schedule.microseconds_since(from)?)?;
            self.stored
                .record(self.schedule.microseconds_since(stored)?)?;
        }
        Ok(())
    }

    pub(crate) fn figures(&self) -> LagFigures {
        let p99 = |lags: &Histogram<u64>| lags.value_at_quantile(0.99) as f64 / 1e3;
        LagFigures {
            sent_p99_ms: p99(&self.sent),
            stored_p99_ms: p99(&self.stored),
        }
    }
}
