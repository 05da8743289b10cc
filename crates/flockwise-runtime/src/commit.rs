//! Commit in three visible phases: state out, transaction, settle.

use std::time::{Duration, Instant};

use crate::broker::{Broker, Failure};
use crate::shard::Shard;
use crate::topics::Source;

impl<B: Broker> Shard<B> {
    /// Commits what was processed, if anything: rows, bookmarks and positions in the transaction that
    /// holds the changes, mini-batches, dead letters and forwards already.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if !self.is_pending {
            return Ok(());
        }
        let started = Instant::now();
        self.write_state()?;
        let positions: Vec<(Source, i64)> = self
            .advanced
            .iter()
            .map(|(source, offset)| (*source, *offset))
            .collect();
        self.broker.commit(&positions)?;
        self.settle();
        self.report(started);
        self.committed = Instant::now();
        Ok(())
    }

    fn write_state(&mut self) -> Result<(), Failure> {
        for (number, open) in self.tasks.iter_mut().filter(|(_, open)| open.is_dirty) {
            self.outbox
                .state(&mut self.broker, &self.pipeline, *number, &open.task)?;
        }
        Ok(())
    }

    fn settle(&mut self) {
        for open in self.tasks.values_mut().filter(|open| open.is_dirty) {
            open.task.settle();
            open.is_dirty = false;
        }
        self.advanced.clear();
        self.is_pending = false;
    }

    fn report(&mut self, started: Instant) {
        self.meter.commits += 1;
        self.meter.commit.push(started.elapsed());
        self.meter.customers = self
            .tasks
            .values()
            .map(|open| open.task.rows().len() as u64)
            .sum();
        if let Some(now_ms) = self.pace.now_ms() {
            let since = |ms: &i64| Duration::from_millis((now_ms - ms).max(0) as u64);
            self.meter
                .end_to_end
                .extend(self.received_ms.iter().map(since));
            for (source, time_ms) in std::mem::take(&mut self.event_times) {
                let topic = self.pipeline.topics.name(source.topic);
                let lag = self.broker.lag(source);
                self.metrics
                    .input(&topic, source.partition, since(&time_ms), lag);
            }
        }
        self.received_ms.clear();
        self.meter.export(&self.metrics);
    }
}
