//! The queue of one partition: its records, separate from all others, without an allocation for each.
//!
//! librdkafka forwards every partition's queue to the consumer's queue. Once the application has
//! disabled that for a queue, it stays separate through all later assignments.

#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::client_context::KafkaContext;
use crate::client_queue::{ArrivalSignal, ConsumerQueue};
use crate::wakeup::Wakeup;

/// The most records that are taken from a queue at a time.
pub(crate) const SLICE_RECORDS: usize = 256;

/// One partition's queue.
pub(crate) struct PartitionQueue {
    queue: ConsumerQueue,
    arrivals: Arc<ArrivalSignal>,
    topic: CString,
    partition: i32,
    taken: Taken,
}

/// How far the records of a queue have been taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// Offset of the latest error, unless a record was taken there or further on since. librdkafka counts
    /// everything that is taken from a queue as read, the end of a partition and other errors included: its
    /// position is then past a record that was not delivered.
    misread: Option<i64>,
    /// The highest leader epoch of a record. librdkafka forgets it after an error; without it, the next start would
    /// take the partition for truncated.
    leader_epoch: Option<i32>,
}

impl Taken {
    fn error(&mut self, offset: i64) {
        self.misread = (offset >= 0).then_some(offset);
    }

    fn record(&mut self, offset: i64, leader_epoch: Option<i32>) {
        self.leader_epoch = self.leader_epoch.max(leader_epoch);
        if self.misread.is_some_and(|misread| misread <= offset) {
            self.misread = None;
        }
    }

    /// The next offset, and the leader epoch read up to, from librdkafka's values, which are negative if unknown.
    fn position(&self, offset: i64, leader_epoch: i32) -> (Option<i64>, Option<i32>) {
        if offset >= 0 && self.misread.is_some_and(|misread| misread + 1 == offset) {
            // librdkafka counted an error, which has no leader epoch.
            return (Some(offset - 1), self.leader_epoch);
        }
        let position = (offset >= 0).then_some(offset);
        let leader_epoch = position.and((leader_epoch >= 0).then_some(leader_epoch));
        (position, self.leader_epoch.max(leader_epoch))
    }
}

/// Where a partition's readable records end, and how far they have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The end offset as of the latest fetch; `None` before the first one.
    pub(crate) end: Option<i64>,
    /// The next offset to read, past control records and aborted records.
    pub(crate) position: Option<i64>,
    /// Leader epoch read up to: at least that of the record or control record before the position.
    pub(crate) leader_epoch: Option<i32>,
}

impl PartitionQueue {
    /// Separates a partition's queue. To be called before the partition is assigned. Wakes `wakeup` when
    /// records arrive in an empty queue.
    pub(crate) fn open(
        consumer: &Arc<BaseConsumer<KafkaContext>>,
        topic: &str,
        partition: i32,
        wakeup: &Wakeup,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let mut queue = ConsumerQueue::of_partition(consumer, &topic, partition)?;
        queue.separate();
        Some(Self {
            arrivals: queue.signal_arrivals(wakeup),
            queue,
            topic,
            partition,
            taken: Taken::default(),
        })
    }

    /// May the queue hold records?
    pub(crate) fn is_ready(&self) -> bool {
        self.arrivals.is_ready()
    }

    /// Takes at most `most` (and at most [`SLICE_RECORDS`]) records without waiting, calls `each` with them in
    /// order, and returns how many there were.
    pub(crate) fn take(&mut self, most: usize, mut each: impl FnMut(&Message)) -> usize {
        let most = most.min(SLICE_RECORDS);
        let mut messages = [ptr::null_mut::<sys::rd_kafka_message_t>(); SLICE_RECORDS];
        // Cleared before polling, so that a record that arrives meanwhile sets it again.
        self.arrivals.set_ready(false);
        // SAFETY: the array has room for `most` pointers; the queue lives during the call.
        let taken = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, messages.as_mut_ptr(), most)
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        if taken == most {
            self.arrivals.set_ready(true);
        }
        let messages = messages.iter().take(taken);
        for message in messages.filter_map(|raw| NonNull::new(*raw)).map(Message) {
            self.note(&message);
            each(&message);
        }
        taken
    }

    fn note(&mut self, message: &Message) {
        match message.is_error() {
            true => self.taken.error(message.offset()),
            false => self.taken.record(message.offset(), message.leader_epoch()),
        }
    }

    /// Where the records end and how far they have been read, without asking the broker.
    pub(crate) fn extent(&self) -> Extent {
        let (position, leader_epoch) = self.position();
        Extent {
            end: self.end(),
            position,
            leader_epoch,
        }
    }

    fn client(&self) -> *mut sys::rd_kafka_t {
        self.queue.client().client().native_ptr()
    }

    fn end(&self) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        let client = self.client();
        // SAFETY: the client lives as long as `self`; the rest is borrowed for the call.
        let answer = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                client,
                self.topic.as_ptr(),
                self.partition,
                &mut low,
                &mut high,
            )
        };
        let known = answer == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
        known.then_some(high)
    }

    /// See [`Taken::position`].
    fn position(&self) -> (Option<i64>, Option<i32>) {
        let client = self.client();
        // SAFETY: the client lives as long as `self`; the list is created, read and freed here; its one element lives as
        // long as the list.
        let (offset, leader_epoch) = unsafe {
            let list = sys::rd_kafka_topic_partition_list_new(1);
            let element =
                sys::rd_kafka_topic_partition_list_add(list, self.topic.as_ptr(), self.partition);
            sys::rd_kafka_position(client, list);
            let offset = (*element).offset;
            let leader_epoch = sys::rd_kafka_topic_partition_get_leader_epoch(element);
            sys::rd_kafka_topic_partition_list_destroy(list);
            (offset, leader_epoch)
        };
        self.taken.position(offset, leader_epoch)
    }
}

/// A record, or an error of its partition, in librdkafka's memory. Only [`PartitionQueue::take`] makes one, from a message
/// that librdkafka has handed over: it is valid, and nobody else's, until dropped.
pub(crate) struct Message(NonNull<sys::rd_kafka_message_t>);

impl Message {
    fn fields(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the message is valid and not written to while `self` lives.
        unsafe { self.0.as_ref() }
    }

    fn is_error(&self) -> bool {
        self.fields().err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Code and text of the error that stands in place of a record; `None` for a record.
    pub(crate) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        if !self.is_error() {
            return None;
        }
        let fields = self.fields();
        let text = self.bytes(fields.payload, fields.len).unwrap_or_default();
        Some((
            fields.err.into(),
            String::from_utf8_lossy(text).into_owned(),
        ))
    }

    /// The record's offset, or where the error happened.
    pub(crate) fn offset(&self) -> i64 {
        self.fields().offset
    }

    /// Epoch of the leader that appended the record; `None` if unknown.
    fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is valid while `self` lives.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.0.as_ptr()) };
        (epoch >= 0).then_some(epoch)
    }

    /// Milliseconds since the epoch; -1 if the record has no timestamp.
    pub(crate) fn timestamp_ms(&self) -> i64 {
        self.timestamp().0
    }

    /// Did the broker set the timestamp when it appended the record?
    pub(crate) fn is_stamped_by_broker(&self) -> bool {
        self.timestamp().1 == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME
    }

    fn timestamp(&self) -> (i64, sys::rd_kafka_timestamp_type_t) {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid while `self` lives.
        let time_ms = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        (time_ms, kind)
    }

    /// The record's key; `None` if it has none.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.bytes(self.fields().key, self.fields().key_len)
    }

    /// The record's value; `None` for a tombstone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.bytes(self.fields().payload, self.fields().len)
    }

    /// Bytes of the message, from its own pointer and length.
    fn bytes(&self, start: *const c_void, length: usize) -> Option<&[u8]> {
        // SAFETY: `start` is null, or points to `length` bytes of the message, which are valid while `self` lives.
        (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and what was borrowed from it has borrowed `self`.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_not_read_and_takes_no_leader_epoch_back() {
        let mut taken = Taken::default();
        assert_eq!(taken.position(-1001, -1), (None, None));
        taken.record(6, Some(5));
        taken.record(7, Some(7));
        assert_eq!(taken.position(8, 7), (Some(8), Some(7)));
        // librdkafka counts an error as read, and reports no leader epoch.
        taken.error(8);
        assert_eq!(taken.position(9, -1), (Some(8), Some(7)));
        taken.record(8, Some(7));
        assert_eq!(taken.position(9, -1), (Some(9), Some(7)));
        taken.record(9, Some(8));
        assert_eq!(taken.position(10, 8), (Some(10), Some(8)));
        // A control record of a later leader follows the last record.
        assert_eq!(taken.position(11, 9), (Some(11), Some(9)));
    }
}
