//! How far a program came when, and what it had cost by then.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::broker::{Kafka, PATIENCE};
use crate::probe;
use crate::program::Instance;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Slower than any machine that this is worth measuring on.
pub(crate) const LONGEST: Duration = Duration::from_secs(900);

/// Looks at the offsets that a group has committed, as any lag tool would.
pub(crate) struct ChangeDetector {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl ChangeDetector {
    pub(crate) fn new(kafka: &Kafka, group: &str, topic: &str) -> Result<Self> {
        let mut config = kafka.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        // Else every look would wait for the end of a transaction.
        config.set("isolation.level", "read_uncommitted");
        Ok(Self {
            consumer: config.create()?,
            partitions: kafka.partitions(topic)?,
        })
    }

    /// Events committed; 0 while the group is not there yet.
    pub(crate) fn committed(&self) -> u64 {
        let offsets = self
            .consumer
            .committed_offsets(self.partitions.clone(), PATIENCE);
        let Ok(offsets) = offsets else { return 0 };
        let committed = offsets
            .elements()
            .into_iter()
            .map(|partition| match partition.offset() {
                Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
                _ => 0,
            });
        committed.sum()
    }
}

/// How far a process was at a moment.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sample {
    seconds: f64,
    events: u64,
    cpu_seconds: f64,
}

/// The run of one process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trace(Vec<Sample>);

/// Part of a run.
pub(crate) struct Stretch {
    pub(crate) cpu_seconds_a_million: f64,
    pub(crate) events_a_second: f64,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes how far a process has come, and when.
    pub(crate) fn note(&mut self, process: u32, start: Instant, events: u64) -> Result<()> {
        self.0.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            events,
            cpu_seconds: probe::cpu_seconds(process)?,
        });
        Ok(())
    }

    /// Looks until so many events are committed.
    pub(crate) fn follow(
        instance: &mut Instance,
        watch: &ChangeDetector,
        events: u64,
    ) -> Result<Self> {
        Self::follow_telling(instance, watch, events, |_| {})
    }

    /// The same, and tells each time how many there are.
    pub(crate) fn follow_telling(
        instance: &mut Instance,
        watch: &ChangeDetector,
        events: u64,
        tell: impl Fn(u64),
    ) -> Result<Self> {
        let (mut trace, start) = (Self::new(), Instant::now());
        loop {
            instance.process.check_alive()?;
            let committed = watch.committed();
            tell(committed);
            if committed > 0 {
                trace.note(instance.process.id(), start, committed)?;
            }
            if committed >= events {
                return Ok(trace);
            }
            ensure!(
                start.elapsed() < LONGEST,
                "{committed} events after {LONGEST:?}"
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// All of it: CPU from the start of the process, time from the first event seen.
    pub(crate) fn whole(&self) -> Result<Stretch> {
        let (first, last) = self.end_offsets()?;
        Ok(Stretch {
            cpu_seconds_a_million: last.cpu_seconds / last.events as f64 * 1e6,
            events_a_second: rate(first, last),
        })
    }

    /// From when half of the events were through.
    pub(crate) fn second_half(&self) -> Result<Stretch> {
        let (_, last) = self.end_offsets()?;
        let half = self
            .0
            .iter()
            .find(|sample| sample.events * 2 >= last.events);
        let half = half.unwrap_or(last);
        let events = (last.events - half.events) as f64;
        Ok(Stretch {
            cpu_seconds_a_million: (last.cpu_seconds - half.cpu_seconds) / events * 1e6,
            events_a_second: rate(half, last),
        })
    }

    /// Events a second from when so many were through until so many were.
    pub(crate) fn rate_between(&self, from: u64, to: u64) -> Result<f64> {
        let first = |events| self.0.iter().find(|sample| sample.events >= events);
        let (from, to) = first(from).zip(first(to)).context("it did not get there")?;
        ensure!(from.events < to.events, "too few events to tell a rate");
        Ok(rate(from, to))
    }

    fn end_offsets(&self) -> Result<(&Sample, &Sample)> {
        self.0
            .first()
            .zip(self.0.last())
            .context("nothing was processed")
    }
}

fn rate(from: &Sample, to: &Sample) -> f64 {
    (to.events - from.events) as f64 / (to.seconds - from.seconds)
}
