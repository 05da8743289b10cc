//! Records of a topic that wait to be handed to librdkafka, many of a partition at a time.
//!
//! One call for many records finds their partition, takes its locks and looks at the clocks once.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::inflight_buffers::{Arena, InflightArenas, Span};

/// Records that wait at most.
const MOST_RECORDS: usize = 1024;

/// A topic's records, in the order of each partition.
#[derive(Default)]
pub(crate) struct ProduceBatch {
    arena: Arena,
    count: usize,
    /// By number.
    partitions: Vec<Vec<Entry>>,
    messages: Vec<sys::rd_kafka_message_t>,
}

/// Where a record lies.
struct Entry {
    key: Option<Span>,
    value: Option<Span>,
}

/// A record that was not taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) partition: u32,
    pub(crate) bytes: usize,
}

// SAFETY: the pointers in `messages` are made and used within one call of `hand_over`.
unsafe impl Send for ProduceBatch {}

impl ProduceBatch {
    /// Keeps a copy of a record; `false` where it must be handed over first.
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

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.partitions.iter_mut().for_each(Vec::clear);
        self.arena.clear();
        self.count = 0;
    }

    /// Hands all of it over and keeps nothing; what the records point into is lent. `make_room` is called
    /// where librdkafka's queue is full, and says whether there is reason to try again.
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
        // Also where it was refused: some may have been taken.
        inflight.put_in_flight(&mut self.arena);
        self.clear();
        result
    }
}

/// A record as librdkafka takes it; it points into the piece.
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

/// Null stands for none; an empty one has an address.
fn pointer(arena: &Arena, span: Option<Span>) -> (*mut c_void, usize) {
    span.map_or((ptr::null_mut(), 0), |span| {
        let bytes = arena.bytes(span);
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}

/// In order: what follows one that found no room finds none either, so none overtakes another.
fn produce(
    topic: NonNull<sys::rd_kafka_topic_t>,
    partition: i32,
    messages: &mut [sys::rd_kafka_message_t],
    make_room: &mut dyn FnMut() -> bool,
) -> Result<(), Refused> {
    let mut rest = messages;
    loop {
        let count = i32::try_from(rest.len()).unwrap_or(i32::MAX);
        // SAFETY: the topic handle is the caller's. Keys are copied during the call. Values are read until
        // their messages are destroyed, and neither written to nor freed by librdkafka without flags for
        // it; the caller lends them until then, see `InflightArenas`.
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
