//! Processes records in step across the input partitions.

use flockwise_codec::decode::SchemaId;
use flockwise_core::task::InputPartition;

use super::held_records::{Limits, Run};
use super::{InputAlignment, MAX_RELEASED_PER_CALL, RecordOutcome, WorkerAlignment};
use crate::batch::{Batch, Record};
use crate::broker::{Broker, Failure, Start};
use crate::decode_ahead::MAX_DECODED_AHEAD;
use crate::topics::{Topic, TopicPartition};
use crate::trainer_host::SAMPLES;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Opens partitions at the broker, and drops their held records.
    pub(crate) fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        for (topic_partition, _) in reads {
            if let Topic::Input(input) = topic_partition.topic {
                let reached_ms = self.reached_ms((input, topic_partition.partition));
                self.alignment.partitions.open(*topic_partition, reached_ms);
            }
        }
        self.broker.open(reads)
    }

    fn reached_ms(&self, input: InputPartition) -> i64 {
        let owner = self.pipeline.topics.task_of(input.1);
        let running = self.tasks.get(owner);
        let known =
            running.and_then(|running| running.task().inputs().find(|(known, _)| *known == input));
        known.map_or(i64::MIN, |(_, progress)| progress.time_ms)
    }

    /// Closes partitions at the broker, and drops their held records.
    pub(crate) fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.alignment.partitions.close(topic_partitions);
        self.broker.close(topic_partitions)
    }

    /// Pauses the input partitions with held records, and the samples topic while the trainer learns. Returns whether a
    /// held record may be processed soon: one that waits for its schema may not.
    pub(crate) fn pause(&mut self) -> bool {
        let is_learning = self.trainer.is_learning();
        let now = self.time_mode.clock().now();
        let InputAlignment {
            partitions, paused, ..
        } = &mut self.alignment;
        let paused_before = !paused.is_empty();
        paused.clear();
        paused.extend(partitions.holding());
        if is_learning {
            paused.push(SAMPLES);
        }
        if paused_before || !paused.is_empty() {
            self.broker.pause(paused);
        }
        partitions.is_waiting_for_others(now)
    }

    /// The event times up to which records may be processed now: see [`AlignedPartitions::limits`](super::AlignedPartitions::limits). A replay has
    /// none.
    fn limits(&mut self, next: Option<(TopicPartition, i64)>, position: usize) -> Limits {
        if !self.time_mode.is_live() {
            return Limits {
                own_ms: i64::MAX,
                others_ms: i64::MAX,
            };
        }
        let context = WorkerAlignment::new(
            &self.broker,
            self.time_mode.clock(),
            self.watermarks.furthest_behind(),
        );
        let limits = self.alignment.partitions.limits(next, position, &context);
        Limits {
            own_ms: limits.own_ms.min(self.learning_limit_ms()),
            ..limits
        }
    }

    /// Event time up to which records may be processed before the trainer has learnt more.
    fn learning_limit_ms(&self) -> i64 {
        self.period_end_ms()
            .map_or(i64::MAX, |end_ms| end_ms.saturating_sub(1))
    }

    /// Processes the records of a batch that are within the limit, and holds the others.
    pub(crate) fn process_batch(
        &mut self,
        batch: &Batch,
        now_ms: Option<i64>,
    ) -> Result<(), Failure> {
        self.alignment.partitions.begin(batch);
        self.alignment.limit_ms = i64::MIN;
        let mut indices = Vec::with_capacity(MAX_DECODED_AHEAD);
        let mut next = 0;
        while next < batch.len() {
            indices.clear();
            while next < batch.len() && indices.len() < MAX_DECODED_AHEAD {
                let record = batch.record(next);
                match self.alignment.partitions.is_holding(record.topic_partition) {
                    false => indices.push(next),
                    true => self.alignment.partitions.hold(record, None),
                }
                next += 1;
            }
            self.decode_ahead(batch, indices.iter().copied())?;
            self.prefetch(0..indices.len());
            for (slot, index) in indices.iter().enumerate() {
                let record = batch.record(*index);
                if let RecordOutcome::Held(time_ms) = self.align(&record, slot, *index, now_ms)? {
                    self.alignment.partitions.hold(record, time_ms);
                }
            }
        }
        self.alignment.partitions.end();
        Ok(())
    }

    /// Processes held records that are within the limit by now. Returns whether there were any.
    pub(crate) fn release(&mut self) -> Result<bool, Failure> {
        if !self.alignment.is_holding() {
            self.alignment.wait_counted = self.time_mode.clock().now();
            return Ok(false);
        }
        let now = self.time_mode.clock().now();
        let mut limits = self.limits(None, usize::MAX);
        let now_ms = self
            .arrival
            .records_arrive(&self.time_mode, self.broker.log_append_ms());
        let mut remaining = MAX_RELEASED_PER_CALL;
        while remaining > 0
            && let Some(topic_partition) = self.alignment.partitions.releasable(limits, now)
        {
            self.alignment.limit_ms = limits.lower_ms();
            remaining = remaining.saturating_sub(self.release_run(topic_partition, now_ms)?.max(1));
            limits = self.limits(None, usize::MAX);
        }
        let has_released = remaining < MAX_RELEASED_PER_CALL;
        if has_released {
            self.report_progress();
        }
        let is_waiting = self.alignment.partitions.is_waiting_for_others(now);
        if !has_released
            && is_waiting
            && let Some(topic_partition) = self.waiting_for()
        {
            let topic = self.pipeline.topics.name(topic_partition.topic);
            let waited = now.since(self.alignment.wait_counted);
            self.metrics
                .held_back(&topic, topic_partition.partition, waited);
        }
        self.alignment.wait_counted = now;
        Ok(has_released)
    }

    /// Processes the next held records of a partition. Returns their number.
    fn release_run(
        &mut self,
        topic_partition: TopicPartition,
        now_ms: Option<i64>,
    ) -> Result<usize, Failure> {
        let Some(mut run) = self.alignment.partitions.take(topic_partition) else {
            return Ok(0);
        };
        let (count, head_ms) = self.decode_run(topic_partition, &mut run, now_ms)?;
        self.prefetch(0..count);
        for slot in 0..count {
            let record = run.records.get(run.next + slot);
            self.receive(&record, slot, now_ms)?;
        }
        run.next += count;
        self.alignment
            .partitions
            .put_back(topic_partition, run, head_ms);
        Ok(count)
    }

    /// Decodes the next records of a run, up to the first one over the limit. Returns how many are within it, which
    /// must be processed at once, and the event time of the one over it. A call decodes few records, so that they stay
    /// in the processor's cache although many partitions have a run.
    fn decode_run(
        &mut self,
        topic_partition: TopicPartition,
        run: &mut Run,
        now_ms: Option<i64>,
    ) -> Result<(usize, Option<i64>), Failure> {
        let count = run.len().min(MAX_DECODED_AHEAD);
        for slot in 0..count {
            let record = run.records.get(run.next + slot);
            match std::mem::take(&mut run.head_is_decoded) {
                true => self.decoded_ahead.swap(slot, &mut run.head),
                false => self.decode_record(&record, slot)?,
            }
            if let Some(schema) = self.decoded_ahead.get(slot).unknown_schema {
                self.await_schema(&record, schema);
                return Ok((slot, None));
            }
            if slot == 0 {
                self.end_schema_wait(&record);
            }
            let Some(time_ms) = self.time_of(&record, slot, now_ms) else {
                continue;
            };
            if self.exceeds_limit(topic_partition, time_ms, usize::MAX) {
                self.decoded_ahead.swap(slot, &mut run.head);
                run.head_is_decoded = true;
                return Ok((slot, Some(time_ms)));
            }
            self.alignment.partitions.reach(topic_partition, time_ms);
        }
        Ok((count, None))
    }

    /// Processes a record unless it is over the limit or an earlier record of its partition is held. A record without
    /// an event, or with one too far in the future, counts as having the time that its partition has reached.
    fn align(
        &mut self,
        record: &Record<'_>,
        slot: usize,
        position: usize,
        now_ms: Option<i64>,
    ) -> Result<RecordOutcome, Failure> {
        let topic_partition = record.topic_partition;
        if !matches!(topic_partition.topic, Topic::Input(_)) {
            self.receive(record, slot, now_ms)?;
            return Ok(RecordOutcome::Processed);
        }
        if self.alignment.partitions.is_holding(topic_partition) {
            return Ok(RecordOutcome::Held(Some(i64::MAX)));
        }
        if let Some(schema) = self.decoded_ahead.get(slot).unknown_schema {
            self.await_schema(record, schema);
            return Ok(RecordOutcome::Held(None));
        }
        let time_ms = self.time_of(record, slot, now_ms);
        if let Some(time_ms) = time_ms
            && self.exceeds_limit(topic_partition, time_ms, position)
        {
            return Ok(RecordOutcome::Held(Some(time_ms)));
        }
        self.receive(record, slot, now_ms)?;
        if let Some(time_ms) = time_ms {
            self.alignment.partitions.reach(topic_partition, time_ms);
        }
        Ok(RecordOutcome::Processed)
    }

    /// Is the next event of a partition over the limit? Computes the limit again if the event is over the last one.
    fn exceeds_limit(
        &mut self,
        topic_partition: TopicPartition,
        time_ms: i64,
        position: usize,
    ) -> bool {
        if time_ms <= self.alignment.limit_ms
            || time_ms <= self.alignment.partitions.reached_ms(topic_partition)
        {
            return false;
        }
        let limits = self.limits(Some((topic_partition, time_ms)), position);
        self.alignment.limit_ms = limits.lower_ms();
        !self.alignment.partitions.admits(time_ms, limits)
    }

    /// The schema of the next record of a partition is not known: the partition is tried again later.
    fn await_schema(&mut self, record: &Record<'_>, schema: SchemaId) {
        let topic_partition = record.topic_partition;
        let now = self.time_mode.clock().now();
        let partitions = &mut self.alignment.partitions;
        let has_waited = partitions.awaits_schema(topic_partition);
        partitions.await_schema(topic_partition, now);
        if !has_waited {
            let topic = self.pipeline.topics.name(topic_partition.topic);
            let (partition, offset) = (topic_partition.partition, record.offset);
            tracing::warn!(
                topic,
                partition,
                offset,
                "no schema file has {schema}: paused the partition; add the schema's file to the directory `schemas` of the format"
            );
        }
    }

    /// The first held record of a partition is decoded: the partition no longer waits for its schema, if it did.
    fn end_schema_wait(&mut self, record: &Record<'_>) {
        let topic_partition = record.topic_partition;
        let partitions = &mut self.alignment.partitions;
        if partitions.awaits_schema(topic_partition) {
            partitions.schema_found(topic_partition);
            let topic = self.pipeline.topics.name(topic_partition.topic);
            let (partition, offset) = (topic_partition.partition, record.offset);
            tracing::info!(
                topic,
                partition,
                offset,
                "found the schema: resumed the partition"
            );
        }
    }

    /// Event time of a decoded record; `None` if it has no event, or one too far in the future.
    fn time_of(&self, record: &Record<'_>, slot: usize, now_ms: Option<i64>) -> Option<i64> {
        let decoded = self.decoded_ahead.get(slot);
        if record.value.is_none() || decoded.reject.is_some() {
            return None;
        }
        let time_ms = decoded.event.time_ms;
        let policy = &self.pipeline.task.time;
        (!policy.is_too_far_ahead(time_ms, now_ms)).then_some(time_ms)
    }

    /// Records in the meter how far apart in event time the partitions are.
    pub(crate) fn note_skew(&mut self) {
        let context = WorkerAlignment::new(
            &self.broker,
            self.time_mode.clock(),
            self.watermarks.furthest_behind(),
        );
        self.meter.skew_ms = self.alignment.partitions.skew_ms(&context);
    }

    /// What the held records wait for: an input partition of this worker, the repartition partition of another worker's
    /// task, or the samples topic if the trainer must learn first.
    fn waiting_for(&mut self) -> Option<TopicPartition> {
        let context = WorkerAlignment::new(
            &self.broker,
            self.time_mode.clock(),
            self.watermarks.furthest_behind(),
        );
        let limits = self.alignment.partitions.limits(None, usize::MAX, &context);
        if self.learning_limit_ms() < limits.lower_ms() {
            return Some(SAMPLES);
        }
        let own = self.alignment.partitions.held_back_by(&context);
        own.or_else(|| {
            Some(TopicPartition::repartition(
                self.watermarks.furthest_behind()?.0,
            ))
        })
    }
}
