//! Commit in three visible phases: state out, transaction, settle.

use std::time::Duration;

use crate::aligned_input::next_offset;
use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::topics::TopicPartition;
use crate::trainer_host::SAMPLES;
use crate::worker::Worker;

/// A worker commits at least this often, also with nothing new.
const RENEW_EVERY: Duration = Duration::from_secs(30);

impl<B: Broker> Worker<B> {
    /// Commits what was processed, if anything: rows, bookmarks and positions in the transaction that
    /// holds the changes, mini-batches, dead letters and forwards already.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if !self.transaction.is_open() {
            return Ok(());
        }
        let started = self.time_mode.clock().now();
        let committed_ms = self.time_mode.clock().latest_ms();
        self.write_state()?;
        self.broker.commit(&self.positions())?;
        self.commit_tasks();
        self.committed_ms = committed_ms;
        let memory_checked = self.check_memory();
        self.report(started);
        self.note_commit();
        memory_checked
    }

    /// A worker that has had nothing to commit for a while commits where it stands: that shows whether the brokers
    /// would take a commit, before anything depends on it.
    pub(crate) fn renew_if_due(&mut self) -> Result<(), Failure> {
        let is_idle = self.time_mode.is_live() && self.is_assigned && !self.transaction.is_open();
        let clock = self.time_mode.clock();
        if !is_idle || self.tasks.is_empty() || clock.since(self.committed) < RENEW_EVERY {
            return Ok(());
        }
        self.metrics.progress.pending(self.number());
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        self.commit_also(&numbers)
    }

    fn note_commit(&mut self) {
        self.committed = self.time_mode.clock().now();
        self.metrics.progress.committed(self.number());
    }

    fn write_state(&mut self) -> Result<(), Failure> {
        self.note_positions();
        for (number, running) in self
            .tasks
            .iter_mut()
            .filter(|(_, running)| running.is_dirty())
        {
            self.outbox
                .state(&mut self.broker, &self.pipeline, *number, running.task())?;
        }
        Ok(())
    }

    /// Passes control records: every record handed out has been processed by now, except for those that are kept. The
    /// position of an input goes back where its partition was truncated and is read on from there.
    fn note_positions(&mut self) {
        for (number, running) in self
            .tasks
            .iter_mut()
            .filter(|(_, running)| running.is_dirty())
        {
            let task = running.change(&mut self.transaction);
            let inputs: Vec<_> = task.inputs().collect();
            for (input, progress) in inputs {
                let (source, known) = (input.into(), progress.next_offset);
                let position =
                    next_offset(&self.broker, &self.input_alignment, source).unwrap_or(known);
                task.advance_input(input, position);
                let leader_epoch = self.broker.leader_epoch(source);
                task.set_leader_epoch(input, leader_epoch);
            }
            let known = task.repartition_offset();
            let source = TopicPartition::repartition(*number);
            let position = self.broker.position(source).unwrap_or(known);
            task.advance_repartition(position.max(known));
        }
    }

    /// The next offset of everything that the tasks with something new read.
    fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let mut positions: Vec<(TopicPartition, i64)> = Vec::new();
        for (number, running) in self.tasks.iter().filter(|(_, running)| running.is_dirty()) {
            let repartition = TopicPartition::repartition(*number);
            positions.push((repartition, running.task().repartition_offset()));
            let inputs = running.task().inputs();
            positions.extend(inputs.map(|(input, progress)| (input.into(), progress.next_offset)));
        }
        positions.extend(
            self.transaction
                .samples_offset()
                .map(|offset| (SAMPLES, offset)),
        );
        positions
    }

    fn commit_tasks(&mut self) {
        for running in self.tasks.values_mut().filter(|running| running.is_dirty()) {
            running.commit();
        }
        self.transaction
            .commit(&mut self.meter, self.time_mode.now_ms());
    }

    /// Counts what the state takes of the memory allowed.
    ///
    /// # Errors
    /// Where it is too much.
    pub(crate) fn check_memory(&mut self) -> Result<(), Failure> {
        self.check_memory_with(0)
    }

    /// The same, with so many bytes of what is not a task yet.
    pub(crate) fn check_memory_with(&mut self, more: usize) -> Result<(), Failure> {
        let tasks = self.tasks.values().map(|running| running.task().bytes());
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
        self.meter
            .commit
            .push(self.time_mode.clock().since(started));
        self.report_standing();
    }

    /// Shows how many customers there are and how far inputs are read: also where nothing is committed.
    pub(crate) fn report_standing(&mut self) {
        let rows = self
            .tasks
            .values()
            .map(|running| running.task().rows().len() as u64);
        self.meter.customers = rows.sum();
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.tasks_behind = self.tasks_behind();
        if self.time_mode.is_live() {
            self.report_lags();
        }
        self.note_skew();
        self.reported = self.time_mode.clock().now();
        self.meter.export(&self.metrics);
    }

    fn report_lags(&self) {
        for running in self.tasks.values() {
            for ((input, partition), progress) in running.task().inputs() {
                let source = (input, partition).into();
                let topic = &self.pipeline.topics.inputs[usize::from(input)];
                let kept = self.input_alignment.kept(source) as u64;
                let lag = self.broker.lag(source).map(|lag| lag + kept);
                self.metrics
                    .lags
                    .report(topic, partition, progress.time_ms, lag);
            }
        }
    }
}
