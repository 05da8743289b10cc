//! Progress of a program over time, and the CPU time that it took.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::bench_broker::{Kafka, TIMEOUT};
use crate::process_figures;
use crate::program::Instance;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Timeout of a run.
pub(crate) const RUN_TIMEOUT: Duration = Duration::from_secs(900);

/// Reads the committed offsets of a group, as a lag tool does.
pub(crate) struct ChangeWatcher {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl ChangeWatcher {
    pub(crate) fn new(kafka: &Kafka, group: &str, topic: &str) -> Result<Self> {
        let mut config = kafka.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        // Otherwise every look-up would wait for the end of a transaction.
        config.set("isolation.level", "read_uncommitted");
        Ok(Self {
            consumer: config.create()?,
            partitions: kafka.partitions(topic)?,
        })
    }

    /// Number of committed events; 0 while the group does not exist.
    pub(crate) fn committed(&self) -> u64 {
        let offsets = self
            .consumer
            .committed_offsets(self.partitions.clone(), TIMEOUT);
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

/// The progress of a process at one moment.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sample {
    seconds: f64,
    events: u64,
    cpu_seconds: f64,
}

/// The samples of one process's run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trace(Vec<Sample>);

/// The cost and speed of a part of a run.
pub(crate) struct RunPart {
    pub(crate) cpu_seconds_a_million: f64,
    pub(crate) events_a_second: f64,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a sample.
    pub(crate) fn note(&mut self, process: u32, start: Instant, events: u64) -> Result<()> {
        self.0.push(Sample {
            seconds: start.elapsed().as_secs_f64(),
            events,
            cpu_seconds: process_figures::cpu_seconds(process)?,
        });
        Ok(())
    }

    /// Samples a process until `events` events are committed.
    pub(crate) fn follow(
        instance: &mut Instance,
        watch: &ChangeWatcher,
        events: u64,
    ) -> Result<Self> {
        Self::follow_with(instance, watch, events, |_| {})
    }

    /// The same, and calls `tell` with the number of committed events at each sample.
    pub(crate) fn follow_with(
        instance: &mut Instance,
        watch: &ChangeWatcher,
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
                start.elapsed() < RUN_TIMEOUT,
                "{committed} events after {RUN_TIMEOUT:?}"
            );
            thread::sleep(SAMPLE_INTERVAL);
        }
    }

    /// The whole run: CPU time from the start of the process, time from the first committed event.
    pub(crate) fn whole(&self) -> Result<RunPart> {
        let (first, last) = self.end_offsets()?;
        Ok(RunPart {
            cpu_seconds_a_million: last.cpu_seconds / last.events as f64 * 1e6,
            events_a_second: rate(first, last),
        })
    }

    /// The run from when half of the events were committed.
    pub(crate) fn second_half(&self) -> Result<RunPart> {
        let (_, last) = self.end_offsets()?;
        let half = self
            .0
            .iter()
            .find(|sample| sample.events * 2 >= last.events);
        let half = half.unwrap_or(last);
        let events = (last.events - half.events) as f64;
        Ok(RunPart {
            cpu_seconds_a_million: (last.cpu_seconds - half.cpu_seconds) / events * 1e6,
            events_a_second: rate(half, last),
        })
    }

    /// Events per second between the moments at which `from` and `to` events were committed.
    pub(crate) fn rate_between(&self, from: u64, to: u64) -> Result<f64> {
        let first = |events| self.0.iter().find(|sample| sample.events >= events);
        let (from, to) = first(from)
            .zip(first(to))
            .context("the run ended before it committed enough events")?;
        ensure!(from.events < to.events, "too few events to compute a rate");
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
