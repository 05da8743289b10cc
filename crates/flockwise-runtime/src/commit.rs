//! Commit in three visible phases: state out, transaction, settle.

use std::time::Duration;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::shard::Shard;
use crate::topics::Source;
use crate::training::DELTAS;

impl<B: Broker> Shard<B> {
    /// Commits what was processed, if anything: rows, bookmarks and positions in the transaction that
    /// holds the changes, mini-batches, dead letters and forwards already.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if !self.is_pending {
            return Ok(());
        }
        let started = self.pace.clock().now();
        let committed_ms = self.pace.clock().latest_ms();
        self.write_state()?;
        self.broker.commit(&self.positions())?;
        self.settle();
        self.committed_ms = committed_ms;
        self.weigh()?;
        self.report(started);
        self.committed = self.pace.clock().now();
        Ok(())
    }

    fn write_state(&mut self) -> Result<(), Failure> {
        self.note_positions();
        for (number, open) in self.tasks.iter_mut().filter(|(_, open)| open.is_dirty) {
            self.outbox
                .state(&mut self.broker, &self.pipeline, *number, &open.task)?;
        }
        Ok(())
    }

    /// Passes control records: every record handed out has been processed by now.
    fn note_positions(&mut self) {
        for (number, open) in self.tasks.iter_mut().filter(|(_, open)| open.is_dirty) {
            let inputs: Vec<_> = open.task.inputs().collect();
            for (input, progress) in inputs {
                let known = progress.next_offset;
                let position = self.broker.position(input.into()).unwrap_or(known);
                open.task.advance_input(input, position.max(known));
            }
            let known = open.task.repartition_offset();
            let source = Source::repartition(*number);
            let position = self.broker.position(source).unwrap_or(known);
            open.task.advance_repartition(position.max(known));
        }
    }

    /// The next offset of everything that the tasks with something new read.
    fn positions(&self) -> Vec<(Source, i64)> {
        let mut positions: Vec<(Source, i64)> = Vec::new();
        for (number, open) in self.tasks.iter().filter(|(_, open)| open.is_dirty) {
            let repartition = Source::repartition(*number);
            positions.push((repartition, open.task.repartition_offset()));
            let inputs = open.task.inputs();
            positions.extend(inputs.map(|(input, progress)| (input.into(), progress.next_offset)));
        }
        positions.extend(self.deltas_offset.map(|offset| (DELTAS, offset)));
        positions
    }

    fn settle(&mut self) {
        for open in self.tasks.values_mut().filter(|open| open.is_dirty) {
            open.settle();
        }
        self.deltas_offset = None;
        self.is_pending = false;
    }

    /// Counts what the state takes of the memory allowed.
    ///
    /// # Errors
    /// Where it is too much.
    pub(crate) fn weigh(&mut self) -> Result<(), Failure> {
        self.weigh_with(0)
    }

    /// The same, with so many bytes of what is not a task yet.
    pub(crate) fn weigh_with(&mut self, more: usize) -> Result<(), Failure> {
        let tasks = self.tasks.values().map(|open| open.task.bytes());
        let bytes = tasks.sum::<usize>() + more;
        let memory = &self.pipeline.memory;
        let was_nearly_full = memory.is_nearly_full();
        memory.change(self.meter.state_bytes, bytes as u64);
        self.meter.state_bytes = bytes as u64;
        if memory.is_nearly_full() && !was_nearly_full {
            tracing::warn!(
                mebibytes = memory.used() >> 20,
                "the customers' state takes most of what `memory` under [state] allows"
            );
        }
        memory.check()
    }

    fn report(&mut self, started: Moment) {
        self.meter.commits += 1;
        self.meter.stopped = self.stopped();
        self.meter.commit.push(self.pace.clock().since(started));
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
            self.report_lags(now_ms);
        }
        self.received_ms.clear();
        self.meter.export(&self.metrics);
    }

    fn report_lags(&self, now_ms: i64) {
        for open in self.tasks.values() {
            for ((input, partition), progress) in open.task.inputs() {
                let source = (input, partition).into();
                let topic = &self.pipeline.topics.inputs[usize::from(input)];
                let behind =
                    Duration::from_millis(now_ms.saturating_sub(progress.time_ms).max(0) as u64);
                self.metrics
                    .input(topic, partition, behind, self.broker.lag(source));
            }
        }
    }
}
