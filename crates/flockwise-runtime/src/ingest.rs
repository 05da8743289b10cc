//! Ingest: what polled records and passing time do to the tasks.

use std::mem::take;

use flockwise_codec::decode::{Reason, Reject};
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::{Output, Untimely};
use flockwise_core::trainer::CAUGHT_UP;
use flockwise_vocabulary::task_id::TaskId;

use crate::batch::Record;
use crate::broker::{Broker, Failure};
use crate::decode_ahead::{Decoded, TaskMessage};
use crate::metrics::Counts;
use crate::reference_clock::log_clock_jump;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

/// Rows looked at in one call for customers without a segment.
const MAX_ASSIGNED_PER_CALL: u32 = 1000;

/// Rows of each task that one call sweeps, about: the sweep must not delay new records.
const MAX_SWEPT_PER_CALL: usize = 500;

impl<B: Broker> Worker<B> {
    /// Processes the polled records in order.
    pub(crate) fn process(&mut self) -> Result<(), Failure> {
        let batch = take(&mut self.batch);
        let now_ms = self
            .arrival
            .records_arrive(&self.time_mode, self.broker.log_append_ms());
        let result = self.process_batch(&batch, now_ms);
        self.batch = batch;
        self.report_progress();
        result
    }

    /// Reports the event time of each input to the broker, which reads inputs in step.
    pub(crate) fn report_progress(&mut self) {
        for (_, running) in self.tasks.dirty() {
            for (input, progress) in running.task().inputs() {
                self.broker.report_progress(input.into(), progress.time_ms);
            }
        }
    }

    /// Processes a record that [`Worker::decode_ahead`] has decoded into this place.
    pub(crate) fn receive(
        &mut self,
        record: &Record<'_>,
        place: usize,
        now_ms: Option<i64>,
    ) -> Result<(), Failure> {
        match record.topic_partition.topic {
            Topic::Input(_) => self.read_input(record, place, now_ms),
            Topic::Repartition => self.read_forwarded(record, place),
            Topic::Samples => self.train(record),
            Topic::Model => self.adopt(record),
            Topic::Lineage
            | Topic::Changelog
            | Topic::SegmentChanges
            | Topic::DeadLetters
            | Topic::Summaries
            | Topic::Pipeline => Ok(()),
        }
    }

    fn read_input(
        &mut self,
        record: &Record<'_>,
        place: usize,
        now_ms: Option<i64>,
    ) -> Result<(), Failure> {
        let Decoded {
            event,
            reject,
            trigger,
            owner,
            ..
        } = self.decoded_ahead.get(place);
        let partition = trigger.partition;
        let reader = self.pipeline.topics.task_of(partition);
        let Some(running) = self.tasks.get_mut(reader) else {
            return Ok(());
        };
        let input = (trigger.input, partition);
        let task = running.change(&mut self.transaction);
        task.advance_input(input, record.offset + 1);
        // A tombstone of a compacted topic: nothing has happened to a customer.
        if record.value.is_none() {
            self.transaction.counts().tombstones += 1;
            return Ok(());
        }
        self.transaction.counts().events += 1;
        if let Some(reject) = reject {
            return self.write_dead_letter(reader, record, &reject.clone());
        }
        if let Some(now_ms) = now_ms {
            self.arrival
                .reference()
                .note_record(record.timestamp_ms, now_ms);
        }
        let time_ms = event.time_ms;
        if let Err(untimely) = task.judge_time(input, time_ms, now_ms) {
            return self.write_dead_letter(reader, record, &rejected_time(untimely, time_ms));
        }
        if *owner == reader {
            return self.update(reader, place);
        }
        let forwarded =
            self.outbox
                .forward(&mut self.broker, &self.pipeline, *owner, event, record)?;
        if let Some(reject) = forwarded {
            return self.write_dead_letter(reader, record, &reject);
        }
        self.transaction.counts().forwarded_events += 1;
        Ok(())
    }

    fn read_forwarded(&mut self, record: &Record<'_>, place: usize) -> Result<(), Failure> {
        let task_id = TaskId(record.topic_partition.partition);
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        let task = running.change(&mut self.transaction);
        task.advance_repartition(record.offset + 1);
        let decoded = self.decoded_ahead.get(place);
        if let Some(reject) = &decoded.reject {
            return self.write_dead_letter(task_id, record, &reject.clone());
        }
        match &decoded.message {
            None => self.update(task_id, place),
            Some(TaskMessage::Watermarks(watermarks)) => {
                running.receive_watermarks(watermarks, self.arrival.at());
                Ok(())
            }
            Some(TaskMessage::Command(command)) => {
                self.transaction.counts().task_commands[command.index()] += 1;
                task.apply(command, self.model.versions(), &mut self.output);
                self.flush_output(task_id)
            }
        }
    }

    /// Counts an event for its customer.
    fn update(&mut self, task_id: TaskId, place: usize) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        let Decoded {
            event,
            trigger,
            timestamp_ms,
            ..
        } = self.decoded_ahead.get(place);
        self.transaction.counts().received_ms.push(*timestamp_ms);
        running.process(
            &mut self.transaction,
            (event, *trigger, self.arrival.at()),
            self.model.versions(),
            &mut self.output,
        );
        self.flush_output(task_id)
    }

    /// Advances, by the clock, the stream time of tasks that have had no event for a while and have none to read.
    pub(crate) fn advance_idle_tasks(&mut self) -> Result<(), Failure> {
        let Some(clock_ms) = self.time_mode.now_ms() else {
            return Ok(());
        };
        log_clock_jump(self.time_mode.clock());
        let (broker, now) = (&self.broker, self.time_mode.clock().now());
        let alignment = &self.alignment;
        let has_lag = |topic_partition: &TopicPartition| {
            alignment.kept(*topic_partition) > 0
                || broker.lag(*topic_partition).is_some_and(|lag| lag > 0)
        };
        let is_waiting = |task_id: TaskId, running: &RunningTask| {
            running.task().watermark_ms() != CAUGHT_UP
                || running.inputs.iter().any(has_lag)
                || has_lag(&TopicPartition::repartition(task_id))
        };
        let idle = self.tasks.iter().filter_map(|(task_id, running)| {
            let to_ms = running.idle().stream_ms(now, clock_ms)?;
            (!is_waiting(task_id, running)).then_some((task_id, to_ms))
        });
        let idle: Vec<(TaskId, i64)> = idle.collect();
        idle.into_iter()
            .try_for_each(|(task_id, to_ms)| self.advance_task(task_id, to_ms))
    }

    /// Is there a model, and may there be customers without a segment?
    pub(crate) fn has_unassigned(&self) -> bool {
        let mut tasks = self.tasks.values();
        self.model.versions().is_some() && tasks.any(RunningTask::has_unassigned)
    }

    /// Assigns a slice of the customers without a segment. `false` if there are none to look at.
    pub(crate) fn assign_initial_segments(&mut self) -> Result<bool, Failure> {
        let mut tasks = self.tasks.iter();
        let waiting = tasks.find(|(_, running)| running.has_unassigned());
        let Some(task_id) = waiting.map(|(task_id, _)| task_id) else {
            return Ok(false);
        };
        drop(tasks);
        let (Some(versions), Some(running)) = (self.model.versions(), self.tasks.get_mut(task_id))
        else {
            return Ok(false);
        };
        running.assign_some(MAX_ASSIGNED_PER_CALL, versions, &mut self.output);
        self.flush_and_settle(task_id)?;
        Ok(true)
    }

    /// Has the sweep customers to score?
    pub(crate) fn has_due(&self) -> bool {
        let mut tasks = self.tasks.values();
        tasks.any(|running| running.task().has_due())
    }

    /// Sweeps a slice of each task that is behind. `false` if none is.
    pub(crate) fn sweep_some(&mut self) -> Result<bool, Failure> {
        let tasks = self.tasks.iter();
        let behind = tasks.filter(|(_, running)| running.task().has_due());
        let task_ids: Vec<TaskId> = behind.map(|(task_id, _)| task_id).collect();
        for task_id in &task_ids {
            let Some(running) = self.tasks.get_mut(*task_id) else {
                continue;
            };
            let (task, versions) = (running.beside_transaction(), self.model.versions());
            task.sweep_some(MAX_SWEPT_PER_CALL, versions, &mut self.output);
            self.flush_and_settle(*task_id)?;
        }
        Ok(!task_ids.is_empty())
    }

    /// Advances a task's stream time, and sweeps it up to there.
    pub(crate) fn advance_task(&mut self, task_id: TaskId, to_ms: i64) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        let (task, versions) = (running.beside_transaction(), self.model.versions());
        task.advance_time(to_ms, versions, &mut self.output);
        self.flush_and_settle(task_id)
    }

    /// After time has passed over a task: sends what that produced, and settles what it left unchanged.
    fn flush_and_settle(&mut self, task_id: TaskId) -> Result<(), Failure> {
        self.flush_output(task_id)?;
        if let Some(running) = self.tasks.get_mut(task_id) {
            running.settle_if_unchanged(&mut self.transaction);
        }
        Ok(())
    }

    /// Sends and counts what a task has produced.
    fn flush_output(&mut self, task_id: TaskId) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(());
        };
        let is_silent = self.output.changes.is_empty()
            && self.output.mini_batches.is_empty()
            && !running.task().has_expired();
        // What changes nothing is never rolled back, and counts at once.
        let counts = match is_silent && !running.is_changed() {
            true => self.meter.beside_transactions(),
            false => self.transaction.counts(),
        };
        let history = self.pipeline.task.history;
        count(&mut self.output, counts, history);
        if is_silent {
            return Ok(());
        }
        running.change(&mut self.transaction);
        if let Some(versions) = self.model.versions() {
            let changes = self.output.changes.iter();
            for change in changes.filter(|change| !history.withholds(change.occurred_ms)) {
                let customer_id = running.task().rows().customer_id(change.row);
                self.outbox
                    .change(&mut self.broker, versions, task_id, customer_id, change)?;
            }
        }
        for batch in &self.output.mini_batches {
            self.outbox.mini_batch(&mut self.broker, batch)?;
        }
        self.output.changes.clear();
        self.output.mini_batches.clear();
        Ok(())
    }
}

/// Moves the counts of a task's output to `counts`.
fn count(output: &mut Output, counts: &mut Counts, history: HistoryPolicy) {
    for change in &output.changes {
        if history.withholds(change.occurred_ms) {
            counts.changes_withheld += 1;
            continue;
        }
        counts.changes[change.cause as usize] += 1;
        let step = (change.cause, change.from, change.to);
        *counts.moves.entry(step).or_default() += 1;
    }
    let suppressed = take(&mut output.suppressed);
    for (total, suppressed) in counts.suppressed_changes.iter_mut().zip(suppressed) {
        *total += suppressed;
    }
    let duplicates = take(&mut output.duplicates);
    for (total, duplicates) in counts.duplicates.iter_mut().zip(duplicates) {
        *total += duplicates;
    }
    counts.sweep_scorings += take(&mut output.swept);
    counts.sweep_outliers += take(&mut output.swept_outliers);
}

/// Why an event's time is rejected.
fn rejected_time(untimely: Untimely, time_ms: i64) -> Reject {
    let time = flockwise_codec::time::write_time(time_ms);
    match untimely {
        Untimely::TooLate => Reject {
            reason: Reason::TooLate,
            detail: format!(
                "time {time} is further behind its input partition than `time.lateness` allows"
            ),
        },
        Untimely::TooFarAhead => Reject {
            reason: Reason::TooFarAhead,
            detail: format!(
                "time {time} is further ahead of the clock than `time.max_ahead` allows"
            ),
        },
    }
}
