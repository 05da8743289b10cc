//! What a batch of records does to the tasks.

use std::time::Duration;

use flockwise_codec::decode::{Reason, Reject};
use flockwise_core::change::Trigger;
use flockwise_core::task::Untimely;

use crate::batch::Record;
use crate::broker::{Broker, Failure};
use crate::outbox::parse_origin;
use crate::shard::{OpenTask, Shard};
use crate::topics::Topic;

/// Without an event for so long, a task's time moves on by the wall clock.
const IDLE: Duration = Duration::from_secs(10);

/// Rows looked at in a turn for customers without a segment.
const PLACED_A_TURN: u32 = 1000;

/// Rows of each task that the sweep looks at in a turn, about: what is due must not hold up what comes.
const SWEPT_A_TURN: usize = 500;

impl<B: Broker> Shard<B> {
    /// Deals with the records polled, in order.
    pub(crate) fn process(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        let now_ms = self.pace.now_ms();
        self.polled = self.pace.clock().now();
        let mut result = Ok(());
        for record in batch.records() {
            result = self.receive(&record, now_ms);
            if result.is_err() {
                break;
            }
        }
        self.batch = batch;
        self.tell_progress();
        result
    }

    /// Tells the broker how far inputs are, so that it reads them in step.
    fn tell_progress(&mut self) {
        for open in self.tasks.values().filter(|open| open.is_dirty) {
            for (input, progress) in open.task.inputs() {
                self.broker.lead(input.into(), progress.time_ms);
            }
        }
    }

    fn receive(&mut self, record: &Record<'_>, now_ms: Option<i64>) -> Result<(), Failure> {
        match record.source.topic {
            Topic::Input(input) => self.read_input(input, record, now_ms),
            Topic::Repartition => self.read_forwarded(record),
            Topic::Deltas => self.train(record),
            Topic::Model => self.adopt(record),
            Topic::Changelog | Topic::SegmentChanges | Topic::DeadLetters => Ok(()),
        }
    }

    fn read_input(
        &mut self,
        input: u16,
        record: &Record<'_>,
        now_ms: Option<i64>,
    ) -> Result<(), Failure> {
        let partition = record.source.partition;
        let owner = partition % self.pipeline.topics.state_partitions;
        if !self.tasks.contains_key(&owner) {
            return Ok(());
        }
        self.is_pending = true;
        self.meter.events += 1;
        self.received_ms.push(record.timestamp_ms);
        let decoded = self.decode(input, record);
        let Some(open) = self.tasks.get_mut(&owner) else {
            return Ok(());
        };
        open.is_dirty = true;
        open.task
            .advance_input((input, partition), record.offset + 1);
        let judged = decoded.and_then(|()| {
            let time_ms = self.event.time_ms;
            open.task
                .judge_time((input, partition), time_ms, now_ms)
                .map_err(|untimely| refuse(untimely, time_ms))
        });
        if let Err(reject) = judged {
            self.meter.dead_letters[reject.reason as usize] += 1;
            return self.outbox.dead_letter(
                &mut self.broker,
                &self.pipeline,
                owner,
                record,
                &reject,
            );
        }
        let customer_id = self.event.customer_id();
        let home = self.pipeline.partitioner.partition(
            customer_id.as_bytes(),
            self.pipeline.topics.state_partitions,
        );
        if home == owner {
            return self.update(
                owner,
                Trigger {
                    input,
                    partition,
                    offset: record.offset,
                },
            );
        }
        self.meter.forwarded_events += 1;
        self.outbox
            .forward(&mut self.broker, &self.pipeline, home, customer_id, record)
    }

    fn read_forwarded(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let number = record.source.partition;
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        open.is_dirty = true;
        open.task.advance_repartition(record.offset + 1);
        self.is_pending = true;
        let origin = record
            .origin
            .and_then(|origin| parse_origin(&self.pipeline, origin));
        let decoded = match origin {
            Some((input, _, _)) => self.decode(input, record),
            None => Err(Reject {
                reason: Reason::MissingField,
                detail: "a forwarded event without a known origin".to_owned(),
            }),
        };
        match (decoded, origin) {
            (Ok(()), Some((input, partition, offset))) => {
                self.received_ms.push(record.timestamp_ms);
                self.update(
                    number,
                    Trigger {
                        input,
                        partition,
                        offset,
                    },
                )
            }
            (Ok(()), None) => Ok(()),
            (Err(reject), _) => {
                self.meter.dead_letters[reject.reason as usize] += 1;
                self.outbox
                    .dead_letter(&mut self.broker, &self.pipeline, number, record, &reject)
            }
        }
    }

    fn decode(&mut self, input: u16, record: &Record<'_>) -> Result<(), Reject> {
        let decoder = &self.pipeline.decoders[usize::from(input)];
        decoder.decode(&self.pipeline.task.plan, record.value, &mut self.event)
    }

    fn update(&mut self, number: u32, trigger: Trigger) -> Result<(), Failure> {
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        open.task.process(
            &self.event,
            trigger,
            self.versions.as_ref(),
            &mut self.output,
        );
        open.stream_ms = open.task.stream_ms();
        open.last_event = self.polled;
        self.give_out(number)
    }

    /// Moves the time of tasks on by the wall clock that have had no event for a while and have none to
    /// come.
    pub(crate) fn let_time_pass(&mut self) -> Result<(), Failure> {
        if !self.pace.is_live() {
            return Ok(());
        }
        let (broker, now) = (&self.broker, self.pace.clock().now());
        let is_waiting = |open: &OpenTask| {
            open.inputs
                .iter()
                .any(|source| broker.lag(*source).is_some_and(|lag| lag > 0))
        };
        let due: Vec<(u32, i64)> = self
            .tasks
            .iter()
            .filter(|(_, open)| open.stream_ms > i64::MIN)
            .map(|(number, open)| (*number, open, now.since(open.last_event)))
            .filter(|(_, open, idle)| *idle >= IDLE && !is_waiting(open))
            .map(|(number, open, idle)| {
                (
                    number,
                    open.stream_ms.saturating_add(idle.as_millis() as i64),
                )
            })
            .collect();
        due.into_iter()
            .try_for_each(|(number, to_ms)| self.pass_time(number, to_ms))
    }

    /// Is there a model, and customers whom nobody has looked at since it came?
    pub(crate) fn has_unplaced(&self) -> bool {
        self.versions.is_some() && self.tasks.values().any(|open| open.unplaced.is_some())
    }

    /// Gives some of the customers without a segment one, a slice a turn; `true` where there was one to
    /// look at.
    pub(crate) fn place_some(&mut self) -> Result<bool, Failure> {
        let waiting = self
            .tasks
            .iter_mut()
            .find(|(_, open)| open.unplaced.is_some());
        let (Some(versions), Some((number, open))) = (&self.versions, waiting) else {
            return Ok(false);
        };
        let (number, from) = (*number, open.unplaced.unwrap_or(0));
        open.unplaced = open
            .task
            .place_unplaced(from, PLACED_A_TURN, versions, &mut self.output);
        self.give_out(number)?;
        self.let_stand(number);
        Ok(true)
    }

    /// Are there customers due whom the sweep has not come to?
    pub(crate) fn has_due(&self) -> bool {
        self.tasks.values().any(|open| open.task.has_due())
    }

    /// Goes on with the sweep of tasks that are behind, a slice a turn; `true` where there was one.
    pub(crate) fn sweep_some(&mut self) -> Result<bool, Failure> {
        let behind = self.tasks.iter().filter(|(_, open)| open.task.has_due());
        let numbers: Vec<u32> = behind.map(|(number, _)| *number).collect();
        for number in &numbers {
            let Some(open) = self.tasks.get_mut(number) else {
                continue;
            };
            let versions = self.versions.as_ref();
            open.task
                .sweep_some(SWEPT_A_TURN, versions, &mut self.output);
            self.give_out(*number)?;
            self.let_stand(*number);
        }
        Ok(!numbers.is_empty())
    }

    /// Time that has passed and changed no row is no part of a transaction, and need not be taken back
    /// with one.
    fn let_stand(&mut self, number: u32) {
        let Some(open) = self.tasks.get_mut(&number).filter(|open| !open.is_dirty) else {
            return;
        };
        if open.task.rows().touched().next().is_some() {
            open.is_dirty = true;
            self.is_pending = true;
        } else {
            open.task.settle();
            open.is_ahead = true;
        }
    }

    /// Sweeps one task up to a time.
    pub(crate) fn pass_time(&mut self, number: u32, to_ms: i64) -> Result<(), Failure> {
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        open.task
            .advance_time(to_ms, self.versions.as_ref(), &mut self.output);
        self.give_out(number)?;
        self.let_stand(number);
        Ok(())
    }

    /// Sends what a task gave out and counts it.
    fn give_out(&mut self, number: u32) -> Result<(), Failure> {
        self.count();
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        let is_silent = self.output.changes.is_empty() && self.output.mini_batches.is_empty();
        if is_silent && !open.task.has_departed() {
            return Ok(());
        }
        self.is_pending = true;
        open.is_dirty = true;
        if let Some(versions) = &self.versions {
            for change in &self.output.changes {
                let customer_id = open.task.rows().customer_id(change.row);
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

    fn count(&mut self) {
        let output = &mut self.output;
        for change in &output.changes {
            self.meter.changes[change.cause as usize] += 1;
            *self
                .moves
                .entry((change.cause, change.from, change.to))
                .or_default() += 1;
        }
        for (total, suppressed) in self
            .meter
            .flips_suppressed
            .iter_mut()
            .zip(&output.suppressed)
        {
            *total += suppressed;
        }
        self.meter.duplicates += output.duplicates;
        self.meter.sweep_scorings += output.swept;
        output.suppressed = Default::default();
        output.duplicates = 0;
        output.swept = 0;
    }
}

fn refuse(untimely: Untimely, time_ms: i64) -> Reject {
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
