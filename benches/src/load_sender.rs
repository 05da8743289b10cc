//! A sender for measurements. It uses little CPU, since it shares the machine with the measured program, and it
//! measures how far it falls behind its schedule.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Serialize;

use crate::bench_broker::{Kafka, TIMEOUT};
use crate::load_lines::{Line, Lines};
use crate::schedule::Schedule;

/// Interval between sends.
const SLICE: Duration = Duration::from_millis(1);

/// Maximum number of records in a slice if the sender has no schedule.
const MAX_SLICE: u64 = 1000;

/// Sends the lines of a load in order, each once.
pub(crate) struct LoadSender<'a> {
    producer: BaseProducer,
    topic: &'a str,
    lines: &'a Lines,
    sent: u64,
}

impl<'a> LoadSender<'a> {
    pub(crate) fn new(kafka: &Kafka, topic: &'a str, lines: &'a Lines) -> Result<Self> {
        let mut config = kafka.client();
        config
            .set("enable.idempotence", "true")
            // A delivery report costs as much as sending the record.
            .set("delivery.report.only.error", "true")
            .set("compression.type", "none")
            // With less, many small batches keep the broker busier than Flockwise.
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

    /// Sends every line when it is due, or as soon as possible after that.
    pub(crate) fn send_on_schedule(mut self, schedule: Schedule) -> Result<Lag> {
        let mut lag = Lag::new(schedule)?;
        while self.sent < self.lines.len() {
            let from = self.sent;
            self.send_to(schedule.due_by(Instant::now()))?;
            if self.sent > from {
                lag.note(from, self.sent - self.unacknowledged())?;
            }
            thread::sleep(SLICE);
        }
        self.producer.flush(TIMEOUT)?;
        Ok(lag)
    }

    /// Stays up to `by` lines ahead of the number of processed lines.
    pub(crate) fn send_ahead(mut self, by: u64, processed: &AtomicU64) -> Result<()> {
        while self.sent < self.lines.len() {
            let most = processed.load(Ordering::Relaxed).saturating_add(by);
            if self.sent < most {
                self.send_to(most.min(self.sent + MAX_SLICE))?;
            } else {
                thread::sleep(SLICE);
            }
        }
        Ok(self.producer.flush(TIMEOUT)?)
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
        while let Err((error, unsent)) = self.producer.send(record) {
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            ensure!(is_full, "sending: {error}");
            self.producer.poll(SLICE);
            record = unsent;
        }
        Ok(())
    }

    /// Number of records that the broker has not acknowledged.
    fn unacknowledged(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }
}

/// How far a sender was behind its schedule at the end of each measured slice.
pub(crate) struct Lag {
    schedule: Schedule,
    sent: Histogram<u64>,
    stored: Histogram<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LagFigures {
    /// Time from when the first event of a slice was due until the whole slice was handed to the producer, 99th
    /// percentile.
    pub(crate) sent_p99_ms: f64,
    /// At that moment, the age of the oldest event that the broker had not acknowledged, 99th percentile.
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

    /// Records a sent slice that began with event `from`. The broker has acknowledged all events before `stored`.
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
