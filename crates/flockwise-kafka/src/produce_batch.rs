//! Gathers a topic's records, to hand them to librdkafka many of a partition at a time.
//!
//! One call for many records finds their partition, takes its locks and reads the clocks once.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::inflight_buffers::{Arena, InflightArenas, Span};

/// The most records that are gathered.
const MOST_RECORDS: usize = 1024;

/// A topic's gathered records, in order within each partition.
#[derive(Default)]
pub(crate) struct ProduceBatch {
    arena: Arena,
    count: usize,
    /// Indexed by partition number.
    partitions: Vec<Vec<Entry>>,
    messages: Vec<sys::rd_kafka_message_t>,
}

/// Where a record's key and value lie in the arena.
struct Entry {
    key: Option<Span>,
    value: Option<Span>,
}

/// A record that librdkafka refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) partition: u32,
    pub(crate) bytes: usize,
}

// SAFETY: the pointers in `messages` are created and used within one call of `hand_over`.
unsafe impl Send for ProduceBatch {}

impl ProduceBatch {
    /// Copies a record into the batch. Returns `false` if there is no room: the batch must be handed over first.
    pub(crate) fn keep(
        &mut self,
        partition: u32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> bool {
        if self.count >= MOST_RECORDS {
            return false;
        }
        let Some(entry) = self.entry(key, value) else {
            return false;
        };
        let place = partition as usize;
        if place >= self.partitions.len() {
            self.partitions.resize_with(place + 1, Vec::new);
        }
        self.partitions[place].push(entry);
        self.count += 1;
        true
    }

    fn entry(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Entry> {
        let mut span = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => self.arena.keep(bytes).map(Some),
            None => Some(None),
        };
        Some(Entry {
            key: span(key)?,
            value: span(value)?,
        })
    }

    /// Discards the gathered records.
    pub(crate) fn clear(&mut self) {
        self.partitions.iter_mut().for_each(Vec::clear);
        self.arena.clear();
        self.count = 0;
    }

    /// Hands all records to librdkafka and empties the batch. The arena that they point into is then in
    /// flight. `make_room` is called if librdkafka's queue is full, and returns whether to try again.
    pub(crate) fn hand_over(
        &mut self,
        topic: NonNull<sys::rd_kafka_topic_t>,
        inflight: &mut InflightArenas,
        make_room: &mut dyn FnMut() -> bool,
    ) -> Result<(), Refused> {
        if self.count == 0 {
            return Ok(());
        }
        let mut result = Ok(());
        for (partition, entries) in (0..).zip(&self.partitions) {
            if entries.is_empty() || result.is_err() {
                continue;
            }
            self.messages.clear();
            let messages = entries.iter().map(|entry| message(&self.arena, entry));
            self.messages.extend(messages);
            result = produce(topic, partition, &mut self.messages, make_room);
        }
        // Even if a record was refused: librdkafka may have taken some.
        inflight.put_in_flight(&mut self.arena);
        self.clear();
        result
    }
}

/// A record in librdkafka's form. It points into the arena.
fn message(arena: &Arena, entry: &Entry) -> sys::rd_kafka_message_t {
    let (key, key_len) = pointer(arena, entry.key);
    let (payload, len) = pointer(arena, entry.value);
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

/// Null stands for `None`; empty bytes have an address.
fn pointer(arena: &Arena, span: Option<Span>) -> (*mut c_void, usize) {
    span.map_or((ptr::null_mut(), 0), |span| {
        let bytes = arena.bytes(span);
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}

/// Produces in order: records behind one that found no room find none either, so none overtakes another.
fn produce(
    topic: NonNull<sys::rd_kafka_topic_t>,
    partition: i32,
    messages: &mut [sys::rd_kafka_message_t],
    make_room: &mut dyn FnMut() -> bool,
) -> Result<(), Refused> {
    let mut rest = messages;
    loop {
        let count = i32::try_from(rest.len()).unwrap_or(i32::MAX);
        // SAFETY: the topic handle is the caller's. Keys are copied during the call. librdkafka reads values
        // until their messages are destroyed, and without flags for it neither writes to nor frees them. The
        // caller keeps them until then, see `InflightArenas`.
        let taken = unsafe {
            sys::rd_kafka_produce_batch(topic.as_ptr(), partition, 0, rest.as_mut_ptr(), count)
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
            partition: partition.cast_unsigned(),
            bytes: rest[first].len + rest[first].key_len,
        };
        if refused.code != RDKafkaErrorCode::QueueFull || !make_room() {
            return Err(refused);
        }
        rest = &mut rest[first..];
    }
}
