//! Gathers a topic's records, to hand them to librdkafka many at a time.
//!
//! One call for many records of a partition takes its locks and reads the clock once. librdkafka copies the records
//! during the call, so nothing that it keeps points to them.

#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ops::Range;
use std::ptr::{self, NonNull};

use flockwise_runtime::broker::Outgoing;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;
use rdkafka_sys as sys;

use crate::polled_producer::PolledProducer;

/// Records that are gathered, at most.
const MAX_RECORDS: usize = 1024;

/// Bytes of keys and values after which no more records are gathered.
const MAX_BYTES: usize = 1 << 20;

/// The gathered records of a topic. It must be dropped before its producer.
pub(crate) struct TopicBatch {
    topic: NonNull<sys::rd_kafka_topic_t>,
    records: Vec<Gathered>,
    /// The keys and values of the records.
    bytes: Vec<u8>,
    /// The records of a partition in librdkafka's form. Empty between calls.
    messages: Vec<sys::rd_kafka_message_t>,
}

/// A record. Its key and value are ranges of the batch's bytes.
struct Gathered {
    partition: u32,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// A record that librdkafka refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) partition: u32,
    /// Length of key and value.
    pub(crate) bytes: usize,
}

// SAFETY: librdkafka counts references to a topic atomically and locks it in every call. `messages` is empty outside
// `hand_over`, so no other pointer exists.
unsafe impl Send for TopicBatch {}

impl TopicBatch {
    /// An empty batch; `None` if librdkafka does not accept the topic's name.
    pub(crate) fn new(producer: &PolledProducer, topic: &str) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        let client = producer.client().native_ptr();
        // SAFETY: client and name live during the call; null stands for the client's topic configuration.
        let topic = unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        Some(Self {
            topic: NonNull::new(topic)?,
            records: Vec::new(),
            bytes: Vec::new(),
            messages: Vec::new(),
        })
    }

    /// Gathers a record without headers. Returns whether the batch is full: it must be handed over then.
    pub(crate) fn gather(&mut self, outgoing: &Outgoing<'_>) -> bool {
        let (key, value) = (self.keep(outgoing.key), self.keep(outgoing.value));
        self.records.push(Gathered {
            partition: outgoing.partition,
            key,
            value,
        });
        self.records.len() >= MAX_RECORDS || self.bytes.len() >= MAX_BYTES
    }

    fn keep(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let bytes = bytes?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    /// Discards the gathered records.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
    }

    /// Hands all gathered records to librdkafka, those of a partition in order, and empties the batch. While
    /// librdkafka's queue is full, calls `make_room`, which says whether to try again.
    ///
    /// # Errors
    /// With the first record that librdkafka refuses. It may have taken others.
    pub(crate) fn hand_over(&mut self, make_room: impl FnMut() -> bool) -> Result<(), Refused> {
        // The sort is stable.
        self.records.sort_by_key(|record| record.partition);
        let handed_over = self.produce_all(make_room);
        self.messages.clear();
        self.clear();
        handed_over
    }

    fn produce_all(&mut self, mut make_room: impl FnMut() -> bool) -> Result<(), Refused> {
        let bytes = &self.bytes;
        for records in self
            .records
            .chunk_by(|left, right| left.partition == right.partition)
        {
            self.messages.clear();
            let messages = records.iter().map(|record| message(bytes, record));
            self.messages.extend(messages);
            produce(
                self.topic,
                records[0].partition,
                &mut self.messages,
                &mut make_room,
            )?;
        }
        Ok(())
    }
}

impl Drop for TopicBatch {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and released once.
        unsafe { sys::rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}

/// A record in librdkafka's form. It points into `bytes`.
fn message(bytes: &[u8], record: &Gathered) -> sys::rd_kafka_message_t {
    let (key, key_len) = pointer(bytes, record.key.as_ref());
    let (payload, len) = pointer(bytes, record.value.as_ref());
    sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: 0,
        payload,
        len,
        key,
        key_len,
        offset: 0,
        _private: ptr::null_mut(),
    }
}

/// Null for nothing: a null value is a tombstone, an empty one is not.
fn pointer(bytes: &[u8], range: Option<&Range<usize>>) -> (*mut c_void, usize) {
    range.map_or((ptr::null_mut(), 0), |range| {
        let bytes = &bytes[range.clone()];
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}

/// Produces in order: records behind one that found no room find none either, so none overtakes another.
fn produce(
    topic: NonNull<sys::rd_kafka_topic_t>,
    partition: u32,
    messages: &mut [sys::rd_kafka_message_t],
    make_room: &mut impl FnMut() -> bool,
) -> Result<(), Refused> {
    let mut rest = messages;
    loop {
        // At most MAX_RECORDS.
        let count = rest.len() as i32;
        // SAFETY: the topic is a live reference. The messages point to bytes that live during the call, which copies
        // them, does not write to them, and writes only to the messages.
        let taken = unsafe {
            sys::rd_kafka_produce_batch(
                topic.as_ptr(),
                partition.cast_signed(),
                sys::RD_KAFKA_MSG_F_COPY,
                rest.as_mut_ptr(),
                count,
            )
        };
        if taken == count {
            return Ok(());
        }
        let is_refused = |message: &sys::rd_kafka_message_t| {
            message.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        };
        let first = rest.iter().position(is_refused).unwrap_or(0);
        let refused = Refused {
            code: rest[first].err.into(),
            partition,
            bytes: rest[first].len + rest[first].key_len,
        };
        if refused.code != RDKafkaErrorCode::QueueFull || !make_room() {
            return Err(refused);
        }
        rest = &mut rest[first..];
    }
}
