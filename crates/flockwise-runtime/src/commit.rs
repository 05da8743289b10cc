//! A commit in three phases: write state, commit the transaction, settle what is in memory.

use std::time::Duration;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::event_time_alignment::next_offset;
use crate::running_task::RunningTask;
use crate::topics::TopicPartition;
use crate::trainer_host::SAMPLES;
use crate::worker::Worker;

/// A worker with tasks commits at least this often, even without changes.
const RENEW_EVERY: Duration = Duration::from_secs(30);

impl<B: Broker> Worker<B> {
    /// Commits the open transaction, if there is one. It holds changes, samples, dead letters and forwarded events
    /// already; rows, task positions and offsets join them here.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if !self.transaction.is_open() {
            return Ok(());
        }
        let started = self.time_mode.clock().now();
        let started_ms = self.time_mode.clock().latest_ms();
        self.write_state()?;
        self.broker.commit(&self.positions())?;
        self.tasks.commit();
        self.transaction
            .commit(&mut self.meter, self.time_mode.now_ms());
        let memory_checked = self.check_memory();
        self.report_commit(started);
        self.commits
            .committed(self.time_mode.clock().now(), started_ms);
        self.metrics.progress.committed(self.number());
        memory_checked
    }

    /// Commits again if a summary is overdue, or if nothing was committed for a while. The latter shows whether the brokers
    /// accept commits before anything depends on it.
    pub(crate) fn renew_if_due(&mut self) -> Result<(), Failure> {
        let is_live = self.time_mode.is_live() && self.tasks.is_assigned();
        let is_idle = is_live && !self.transaction.is_open() && !self.tasks.is_empty();
        if !is_idle {
            return Ok(());
        }
        let now = self.time_mode.clock().now();
        let renewed = match now.since(self.commits.latest()) < RENEW_EVERY {
            true => self.tasks.with_overdue_summary(now),
            false => self.tasks.ids(),
        };
        if renewed.is_empty() {
            return Ok(());
        }
        self.metrics.progress.pending(self.number());
        self.commit_also(&renewed)
    }

    fn write_state(&mut self) -> Result<(), Failure> {
        self.note_positions();
        for (task_id, running) in self.tasks.dirty() {
            self.outbox
                .state(&mut self.broker, &self.pipeline, task_id, running.task())?;
        }
        if self.time_mode.is_live() {
            self.send_summaries()?;
        }
        Ok(())
    }

    fn send_summaries(&mut self) -> Result<(), Failure> {
        let now = self.time_mode.clock().now();
        for (task_id, running) in self.tasks.dirty_mut() {
            if running.summary().is_due(now) {
                self.outbox
                    .summary(&mut self.broker, task_id, running.task())?;
                running.summary_sent(now);
            }
        }
        Ok(())
    }

    /// Moves positions past control records: every polled record is processed, unless alignment holds it back. The position
    /// of a truncated input moves back to where it is read on.
    fn note_positions(&mut self) {
        for (task_id, running) in self.tasks.dirty_mut() {
            let task = running.change(&mut self.transaction);
            let inputs: Vec<_> = task.inputs().collect();
            for (input, progress) in inputs {
                let topic_partition = input.into();
                let position = next_offset(&self.broker, &self.alignment, topic_partition);
                task.advance_input(input, position.unwrap_or(progress.next_offset));
                let leader_epoch = self.broker.leader_epoch(topic_partition);
                task.set_leader_epoch(input, leader_epoch);
            }
            let known = task.repartition_offset();
            let topic_partition = TopicPartition::repartition(task_id);
            let position = self.broker.position(topic_partition).unwrap_or(known);
            task.advance_repartition(position.max(known));
        }
    }

    /// The next offset of everything that the dirty tasks read.
    fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let mut positions: Vec<(TopicPartition, i64)> = Vec::new();
        for (task_id, running) in self.tasks.dirty() {
            let task = running.task();
            let repartition = TopicPartition::repartition(task_id);
            positions.push((repartition, task.repartition_offset()));
            let inputs = task.inputs();
            positions.extend(inputs.map(|(input, progress)| (input.into(), progress.next_offset)));
        }
        let samples = self.transaction.samples_offset();
        positions.extend(samples.map(|offset| (SAMPLES, offset)));
        positions
    }

    /// Compares the memory of the worker's tasks with the budget.
    ///
    /// # Errors
    /// If it exceeds the budget.
    pub(crate) fn check_memory(&mut self) -> Result<(), Failure> {
        self.check_memory_with(0)
    }

    /// As [`Worker::check_memory`], with `more` bytes of what is being restored.
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
                "the customers' state takes more than four fifths of `memory` under [state]; above the limit the process stops. \
                 Raise `memory`, or start more instances"
            );
        }
        memory.check()
    }

    fn report_commit(&mut self, started: Moment) {
        self.meter.commits += 1;
        self.meter
            .commit
            .push(self.time_mode.clock().since(started));
        self.report_gauges();
    }

    /// Exports the meter with current gauges and lags.
    pub(crate) fn report_gauges(&mut self) {
        let tasks = self.tasks.values().map(RunningTask::task);
        self.meter.customers = tasks.map(|task| task.rows().len() as u64).sum();
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.tasks_behind = self.tasks_behind();
        self.meter.halted = self.halted();
        self.meter.awaiting_schema = self.alignment.awaiting_schema() as u64;
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
                let topic_partition = (input, partition).into();
                let topic = &self.pipeline.topics.inputs[usize::from(input)];
                let kept = self.alignment.kept(topic_partition) as u64;
                let lag = self.broker.lag(topic_partition).map(|lag| lag + kept);
                self.metrics
                    .lags
                    .report(topic, partition, progress.time_ms, lag);
            }
        }
    }
}
