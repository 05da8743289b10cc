//! Decodes the next records of a batch, and prefetches the rows of their customers.

use std::fmt::Display;
use std::ops::Range;

use flockwise_codec::decode::Undecoded;
use flockwise_codec::forward::{ForwardError, decode_forward};
use flockwise_codec::task_command::{TaskCommandError, decode_task_command, holds_command};
use flockwise_codec::watermarks::{decode_watermarks, holds_watermarks};
use flockwise_core::change::Trigger;
use flockwise_vocabulary::task_id::TaskId;

use super::{DecodeAhead, TaskMessage, not_forwarded};
use crate::batch::{Batch, Record};
use crate::broker::{Broker, Failure};
use crate::topics::Topic;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Decodes the records at these indices of the batch into the slots from 0 on. At most [`super::MAX_DECODED_AHEAD`].
    ///
    /// # Errors
    /// [`Failure::Config`] if another instance sends what this one cannot read: see [`ForwardError`] and
    /// [`TaskCommandError`].
    pub(crate) fn decode_ahead(
        &mut self,
        batch: &Batch,
        indices: impl ExactSizeIterator<Item = usize>,
    ) -> Result<(), Failure> {
        for (slot, index) in indices.enumerate() {
            self.decode_record(&batch.record(index), slot)?;
        }
        Ok(())
    }

    /// Decodes a record into a slot.
    ///
    /// # Errors
    /// As [`Worker::decode_ahead`].
    pub(crate) fn decode_record(
        &mut self,
        record: &Record<'_>,
        slot: usize,
    ) -> Result<(), Failure> {
        match record.topic_partition.topic {
            Topic::Input(input) => self.decode(record, input, slot),
            Topic::Repartition => self.decode_forwarded(record, slot)?,
            _ => {}
        }
        Ok(())
    }

    fn decode(&mut self, record: &Record<'_>, input: u16, slot: usize) {
        let decoded = &mut self.decoded_ahead.decoded[slot];
        let pipeline = &self.pipeline;
        let decoder = &mut self.decoders[usize::from(input)];
        let (plan, event) = (&pipeline.task.plan, &mut decoded.event);
        let mut result = decoder.decode(plan, record.value, event);
        if let Err(Undecoded::UnknownSchema(id)) = result
            && let Some(schema) = pipeline.schemas.find(input, id)
        {
            decoder.learn(id, &schema);
            result = decoder.decode(plan, record.value, event);
        }
        (decoded.reject, decoded.unknown_schema) = match result {
            Ok(()) => (None, None),
            Err(Undecoded::Reject(reject)) => (Some(reject), None),
            Err(Undecoded::UnknownSchema(id)) => match decoder.reject_unknown(id) {
                Some(reject) => (Some(reject), None),
                None => (None, Some(id)),
            },
        };
        decoded.message = None;
        decoded.timestamp_ms = record.timestamp_ms;
        decoded.trigger = Trigger {
            input,
            partition: record.topic_partition.partition,
            offset: record.offset,
        };
        decoded.owner = pipeline.owner(decoded.event.customer_id());
    }

    fn decode_forwarded(&mut self, record: &Record<'_>, slot: usize) -> Result<(), Failure> {
        let decoded = &mut self.decoded_ahead.decoded[slot];
        let value = record.value.unwrap_or_default();
        decoded.owner = TaskId(record.topic_partition.partition);
        decoded.timestamp_ms = record.timestamp_ms;
        decoded.reject = None;
        decoded.unknown_schema = None;
        decoded.message = None;
        if holds_watermarks(value) {
            match decode_watermarks(value) {
                Ok(watermarks) => decoded.message = Some(TaskMessage::Watermarks(watermarks)),
                Err(error) => decoded.reject = Some(not_forwarded(&error)),
            }
            return Ok(());
        }
        if holds_command(value) {
            match decode_task_command(value) {
                Ok(command) => decoded.message = Some(TaskMessage::Command(command)),
                Err(error @ TaskCommandError::Malformed(_)) => {
                    decoded.reject = Some(not_forwarded(&error));
                }
                Err(error @ TaskCommandError::Unknown(_)) => {
                    return Err(self.unreadable(record, &error));
                }
            }
            return Ok(());
        }
        match decode_forward(&self.pipeline.task.plan, value, &mut decoded.event) {
            Ok(origin) => {
                decoded.timestamp_ms = origin.timestamp_ms;
                decoded.trigger = Trigger {
                    input: self.outbox.input(origin.topic),
                    partition: origin.partition,
                    offset: origin.offset,
                };
            }
            Err(error @ ForwardError::Malformed) => {
                decoded.reject = Some(not_forwarded(&error));
            }
            Err(error) => return Err(self.unreadable(record, &error)),
        }
        Ok(())
    }

    /// The failure for a record that another instance sent and this one cannot read.
    fn unreadable(&self, record: &Record<'_>, error: &impl Display) -> Failure {
        let topic = self.pipeline.topics.name(Topic::Repartition);
        let (partition, offset) = (record.topic_partition.partition, record.offset);
        Failure::Config(format!(
            "{topic}, partition {partition}, offset {offset}: {error}"
        ))
    }

    /// Prefetches the customers of the events in these slots. Adjacent events of one task are prefetched in one call:
    /// usually they come together.
    pub(crate) fn prefetch(&mut self, slots: Range<usize>) {
        let DecodeAhead { decoded, customers } = &mut self.decoded_ahead;
        let events = decoded[slots].iter().filter(|next| next.holds_event());
        let mut runs = events.peekable();
        while let Some(first) = runs.next() {
            customers.clear();
            customers.push(first.event.customer_hash());
            while let Some(next) = runs.next_if(|next| next.owner == first.owner) {
                customers.push(next.event.customer_hash());
            }
            if let Some(running) = self.tasks.get_mut(first.owner) {
                running.beside_transaction().prefetch(customers);
            }
        }
    }
}
