//! What a batch of records does to the tasks.

use std::mem::take;

use flockwise_codec::decode::{Reason, Reject};
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::{Output, Untimely};
use flockwise_core::trainer::CAUGHT_UP;

use crate::batch::Record;
use crate::broker::{Broker, Failure};
use crate::decode_ahead::Decoded;
use crate::metrics::Counts;
use crate::pipeline::TimeMode;
use crate::reference_clock::log_clock_jump;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

/// Rows looked at in a turn for customers without a segment.
const MAX_ASSIGNED_PER_CALL: u32 = 1000;

/// Rows of each task that the sweep looks at in a turn, about: what is due must not hold up what comes.
const MAX_SWEPT_PER_CALL: usize = 500;

impl<B: Broker> Worker<B> {
    /// Deals with the records polled, in order.
    pub(crate) fn process(&mut self) -> Result<(), Failure> {
        let batch = take(&mut self.batch);
        self.polled = self.time_mode.clock().now();
        let now_ms = self.reference_ms();
        let result = self.process_batch(&batch, now_ms);
        self.batch = batch;
        self.report_progress();
        result
    }

    /// What time it is, for events from the future; `None` in a replay.
    pub(crate) fn reference_ms(&mut self) -> Option<i64> {
        let TimeMode::Live(clock) = &self.time_mode else {
            return None;
        };
        if let Some(log_append_ms) = self.broker.log_append_ms() {
            self.reference.note_stamp(log_append_ms, self.polled);
        }
        Some(self.reference.now_ms(clock))
    }

    /// Tells the broker how far inputs are, so that it reads them in step.
    pub(crate) fn report_progress(&mut self) {
        for running in self.tasks.values().filter(|running| running.is_dirty()) {
            for (input, progress) in running.task().inputs() {
                self.broker.report_progress(input.into(), progress.time_ms);
            }
        }
    }

    /// Deals with a record, of which [`Worker::decode_ahead`] has put what is in it at this place.
    pub(crate) fn receive(
        &mut self,
        record: &Record<'_>,
        place: usize,
        now_ms: Option<i64>,
    ) -> Result<(), Failure> {
        match record.source.topic {
            Topic::Input(_) => self.read_input(record, place, now_ms),
            Topic::Repartition => self.read_forwarded(record, place),
            Topic::Samples => self.train(record),
            Topic::Model => self.adopt(record),
            Topic::Lineage
            | Topic::Changelog
            | Topic::SegmentChanges
            | Topic::DeadLetters
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
            home,
            ..
        } = self.decoded_ahead.get(place);
        let partition = trigger.partition;
        let owner = self.pipeline.topics.task_of(partition);
        let Some(running) = self.tasks.get_mut(&owner) else {
            return Ok(());
        };
        let input = (trigger.input, partition);
        let task = running.change(&mut self.transaction);
        task.advance_input(input, record.offset + 1);
        // A compacted topic removes a key by it: nothing has happened to a customer.
        if record.value.is_none() {
            self.transaction.counts().tombstones += 1;
            return Ok(());
        }
        self.transaction.counts().events += 1;
        if let Some(reject) = reject {
            return self.refuse(owner, record, &reject.clone());
        }
        if let Some(now_ms) = now_ms {
            self.reference.note_record(record.timestamp_ms, now_ms);
        }
        let time_ms = event.time_ms;
        if let Err(untimely) = task.judge_time(input, time_ms, now_ms) {
            return self.refuse(owner, record, &refusal(untimely, time_ms));
        }
        if *home == owner {
            return self.update(owner, place);
        }
        let forwarded =
            self.outbox
                .forward(&mut self.broker, &self.pipeline, *home, event, record)?;
        if let Some(reject) = forwarded {
            return self.refuse(owner, record, &reject);
        }
        self.transaction.counts().forwarded_events += 1;
        Ok(())
    }

    fn read_forwarded(&mut self, record: &Record<'_>, place: usize) -> Result<(), Failure> {
        let number = record.source.partition;
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        let task = running.change(&mut self.transaction);
        task.advance_repartition(record.offset + 1);
        let decoded = self.decoded_ahead.get(place);
        if let Some(reject) = &decoded.reject {
            return self.refuse(number, record, &reject.clone());
        }
        if let Some(watermarks) = &decoded.watermarks {
            running.receive_watermarks(watermarks, self.polled);
            return Ok(());
        }
        self.update(number, place)
    }

    fn refuse(&mut self, number: u32, record: &Record<'_>, reject: &Reject) -> Result<(), Failure> {
        self.transaction.counts().dead_letters[reject.reason as usize] += 1;
        self.transaction
            .counts()
            .received_ms
            .push(record.timestamp_ms);
        self.outbox
            .dead_letter(&mut self.broker, &self.pipeline, number, record, reject)
    }

    fn update(&mut self, number: u32, place: usize) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(&number) else {
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
            (event, *trigger, self.polled),
            self.versions.as_ref(),
            &mut self.output,
        );
        self.flush_output(number)
    }

    /// Moves the time of tasks on by the clock that have had no event for a while and have none to come.
    pub(crate) fn advance_idle_tasks(&mut self) -> Result<(), Failure> {
        let Some(clock_ms) = self.time_mode.now_ms() else {
            return Ok(());
        };
        log_clock_jump(self.time_mode.clock());
        let (broker, now) = (&self.broker, self.time_mode.clock().now());
        let aligned = &self.input_alignment;
        let has_lag = |source: &TopicPartition| {
            aligned.kept(*source) > 0 || broker.lag(*source).is_some_and(|lag| lag > 0)
        };
        let is_waiting = |number: u32, running: &RunningTask| {
            running.task().watermark_ms() != CAUGHT_UP
                || running.inputs.iter().any(has_lag)
                || has_lag(&TopicPartition::repartition(number))
        };
        let idle = self.tasks.iter().filter_map(|(number, running)| {
            let to_ms = running.idle().stream_ms(now, clock_ms)?;
            (!is_waiting(*number, running)).then_some((*number, to_ms))
        });
        let idle: Vec<(u32, i64)> = idle.collect();
        idle.into_iter()
            .try_for_each(|(number, to_ms)| self.advance_task(number, to_ms))
    }

    /// Is there a model, and customers whom nobody has looked at since it came?
    pub(crate) fn has_unassigned(&self) -> bool {
        self.versions.is_some() && self.tasks.values().any(|running| running.has_unassigned())
    }

    /// Gives some of the customers without a segment one, a slice a turn; `true` where there was one to
    /// look at.
    pub(crate) fn assign_initial_segments(&mut self) -> Result<bool, Failure> {
        let waiting = self
            .tasks
            .iter_mut()
            .find(|(_, running)| running.has_unassigned());
        let (Some(versions), Some((number, running))) = (&self.versions, waiting) else {
            return Ok(false);
        };
        let number = *number;
        running.assign_some(MAX_ASSIGNED_PER_CALL, versions, &mut self.output);
        self.flush_and_settle(number)?;
        Ok(true)
    }

    /// Are there customers due whom the sweep has not come to?
    pub(crate) fn has_due(&self) -> bool {
        self.tasks.values().any(|running| running.task().has_due())
    }

    /// Goes on with the sweep of tasks that are behind, a slice a turn; `true` where there was one.
    pub(crate) fn sweep_some(&mut self) -> Result<bool, Failure> {
        let behind = self
            .tasks
            .iter()
            .filter(|(_, running)| running.task().has_due());
        let numbers: Vec<u32> = behind.map(|(number, _)| *number).collect();
        for number in &numbers {
            let Some(running) = self.tasks.get_mut(number) else {
                continue;
            };
            let versions = self.versions.as_ref();
            running
                .beside_transaction()
                .sweep_some(MAX_SWEPT_PER_CALL, versions, &mut self.output);
            self.flush_and_settle(*number)?;
        }
        Ok(!numbers.is_empty())
    }

    /// Sweeps one task up to a time.
    pub(crate) fn advance_task(&mut self, number: u32, to_ms: i64) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        running
            .beside_transaction()
            .advance_time(to_ms, self.versions.as_ref(), &mut self.output);
        self.flush_and_settle(number)
    }

    /// After time has passed over a task: sends what that produced, and settles what it left unchanged.
    fn flush_and_settle(&mut self, number: u32) -> Result<(), Failure> {
        self.flush_output(number)?;
        if let Some(running) = self.tasks.get_mut(&number) {
            running.settle_if_unchanged(&mut self.transaction);
        }
        Ok(())
    }

    /// Sends what a task gave out and counts it.
    fn flush_output(&mut self, number: u32) -> Result<(), Failure> {
        let Some(running) = self.tasks.get_mut(&number) else {
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
        if let Some(versions) = &self.versions {
            let changes = self.output.changes.iter();
            for change in changes.filter(|change| !history.withholds(change.occurred_ms)) {
                let customer_id = running.task().rows().customer_id(change.row);
                self.outbox
                    .change(&mut self.broker, versions, number, customer_id, change)?;
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

/// Moves what a task counted to where it counts.
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
    counts.duplicates += take(&mut output.duplicates);
    counts.sweep_scorings += take(&mut output.swept);
    counts.sweep_outliers += take(&mut output.swept_outliers);
}

/// What is wrong with an event's time.
fn refusal(untimely: Untimely, time_ms: i64) -> Reject {
    let time = flockwise_codec::time::write_time(time_ms);
    match untimely {
        Untimely::TooLate => Reject {
            reason: Reason::TooLate,
            detail: format!("{time} is further behind its partition than `time.lateness` allows"),
        },
        Untimely::TooFarAhead => Reject {
            reason: Reason::TooFarAhead,
            detail: format!("{time} is further ahead of the clock than `time.max_ahead` allows"),
        },
    }
}
