//! Produces records, many at a time and without a delivery report for each.
//!
//! Only failures are reported. librdkafka itself counts the records in flight, and its flush waits for
//! that count on a condition variable.

#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;
use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as vtype;

use crate::errors;
use crate::inflight_buffers::InflightArenas;
use crate::polled_producer::PolledProducer;
use crate::produce_batch::ProduceBatch;

/// A worker's producer for all topics of the pipeline.
pub(crate) struct BatchProducer {
    /// In the order of [`place`].
    topics: Vec<TopicHandle>,
    producer: PolledProducer,
    /// How long records may wait for room in librdkafka's queue.
    patience: Duration,
    /// A record of the open transaction was refused, so the transaction must be aborted.
    is_void: bool,
    /// Declared after the producer, so that it is dropped after it.
    inflight: InflightArenas,
}

/// One topic, with its gathered records.
struct TopicHandle {
    name: String,
    handle: NonNull<sys::rd_kafka_topic_t>,
    batches: ProduceBatch,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for BatchProducer {}

/// Larger records are not gathered: they take the room of many, and if they are too large for the topic,
/// the sender should know immediately.
const LARGE_BYTES: usize = 64 << 10;

/// Records of higher partitions are not gathered, but left to librdkafka's own queues.
const MOST_PARTITIONS: u32 = 1 << 16;

/// How long to wait for room in librdkafka's full queue before trying again.
const ROOM_STEP: Duration = Duration::from_millis(5);

/// Copies the record, and blocks while the queue is full. That ends, since queued records time out.
const FLAGS: i32 = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_BLOCK;

impl BatchProducer {
    /// A producer for every topic of the pipeline.
    pub(crate) fn new(
        producer: PolledProducer,
        topics: &Topics,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let inputs = (0..topics.inputs.len()).filter_map(|input| u16::try_from(input).ok());
        let all = Topics::internal()
            .into_iter()
            .chain(inputs.map(Topic::Input));
        let mut producer = Self {
            topics: Vec::new(),
            producer,
            patience,
            is_void: false,
            inflight: InflightArenas::default(),
        };
        for topic in all {
            let name = topics.name(topic);
            let handle = producer
                .handle(&name)
                .ok_or_else(|| errors::missing_topic(&name))?;
            producer.topics.push(TopicHandle {
                name,
                handle,
                batches: ProduceBatch::default(),
            });
        }
        Ok(producer)
    }

    fn handle(&self, name: &str) -> Option<NonNull<sys::rd_kafka_topic_t>> {
        let name = CString::new(name).ok()?;
        let client = self.producer.client().native_ptr();
        // SAFETY: the client lives as long as self, the name as long as the call.
        NonNull::new(unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) })
    }

    /// The underlying client.
    pub(crate) fn producer(&self) -> &PolledProducer {
        &self.producer
    }

    /// Takes a record. Its delivery is known after [`BatchProducer::hand_over`] and [`BatchProducer::flush`].
    pub(crate) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), Failure> {
        let place = place(record.topic);
        if is_plain(record) {
            if self.keep(place, record) {
                return Ok(());
            }
            self.hand_over_to(place)?;
            if self.keep(place, record) {
                return Ok(());
            }
        }
        // Records that were sent before must go first.
        self.hand_over_to(place)?;
        match self.produce(place, record) {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(self.refusal(code, place, record.partition, bytes(record))),
        }
    }

    fn keep(&mut self, place: usize, record: &Outgoing<'_>) -> bool {
        let batches = &mut self.topics[place].batches;
        batches.keep(record.partition, record.key, record.value)
    }

    /// Hands the gathered records to librdkafka.
    pub(crate) fn hand_over(&mut self) -> Result<(), Failure> {
        (0..self.topics.len()).try_for_each(|place| self.hand_over_to(place))
    }

    /// Discards the gathered records, for an abort.
    pub(crate) fn forget(&mut self) {
        self.topics.iter_mut().for_each(|way| way.batches.clear());
        self.is_void = false;
    }

    fn hand_over_to(&mut self, place: usize) -> Result<(), Failure> {
        if self.is_void {
            let text = "a record of this transaction was refused before";
            return Err(Failure::Abort(text.to_owned()));
        }
        if self.inflight.is_full() && !self.flush(self.patience) {
            self.is_void = true;
            return Err(Failure::Abort("records were not stored in time".to_owned()));
        }
        let (client, start) = (self.producer.client().native_ptr(), Instant::now());
        let patience = self.patience;
        let way = &mut self.topics[place];
        let handed_over = way
            .batches
            .hand_over(way.handle, &mut self.inflight, &mut || {
                beat();
                // Waits here and not within the call, which holds the topic locked.
                flush(client, ROOM_STEP);
                start.elapsed() < patience
            });
        handed_over.map_err(|refused| {
            self.is_void = true;
            self.refusal(refused.code, place, refused.partition, refused.bytes)
        })
    }

    /// Waits until nothing is in flight; `false` if that takes longer than `patience`.
    pub(crate) fn flush(&mut self, patience: Duration) -> bool {
        let is_empty = flush(self.producer.client().native_ptr(), patience);
        if is_empty {
            self.inflight.reclaim();
        }
        is_empty
    }

    fn produce(&self, place: usize, record: &Outgoing<'_>) -> RDKafkaErrorCode {
        let topic = self.topics[place].handle;
        if record.headers.is_empty() {
            produce(topic, record)
        } else {
            self.produce_with_headers(topic, record)
        }
    }

    fn produce_with_headers(
        &self,
        topic: NonNull<sys::rd_kafka_topic_t>,
        record: &Outgoing<'_>,
    ) -> RDKafkaErrorCode {
        let (key, key_bytes) = pointer(record.key);
        let (value, value_bytes) = pointer(record.value);
        let headers = headers(record.headers);
        // SAFETY: each tag is followed by what librdkafka reads for it. Key and value are copied
        // during the call; the headers are taken over if it succeeds and freed here if it does not.
        unsafe {
            let result = sys::rd_kafka_producev(
                self.producer.client().native_ptr(),
                vtype::RD_KAFKA_VTYPE_RKT,
                topic.as_ptr(),
                vtype::RD_KAFKA_VTYPE_PARTITION,
                record.partition.cast_signed(),
                vtype::RD_KAFKA_VTYPE_MSGFLAGS,
                FLAGS,
                vtype::RD_KAFKA_VTYPE_KEY,
                key,
                key_bytes,
                vtype::RD_KAFKA_VTYPE_VALUE,
                value,
                value_bytes,
                vtype::RD_KAFKA_VTYPE_HEADERS,
                headers,
                vtype::RD_KAFKA_VTYPE_END,
            );
            if result != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                sys::rd_kafka_headers_destroy(headers);
            }
            result.into()
        }
    }

    fn refusal(
        &self,
        code: RDKafkaErrorCode,
        place: usize,
        partition: u32,
        bytes: usize,
    ) -> Failure {
        let name = &self.topics[place].name;
        let doing = format!("sending {bytes} bytes to {name}/{partition}: {code}");
        match errors::remedy(code) {
            Some(remedy) => Failure::Config(format!("{doing}; {remedy}")),
            None if code == RDKafkaErrorCode::Fatal => Failure::Fatal(doing),
            None => Failure::Abort(doing),
        }
    }
}

impl Drop for BatchProducer {
    fn drop(&mut self) {
        for way in &self.topics {
            // SAFETY: our own reference, released once, while the client lives.
            unsafe { sys::rd_kafka_topic_destroy(way.handle.as_ptr()) };
        }
    }
}

/// May the record be gathered with others?
fn is_plain(record: &Outgoing<'_>) -> bool {
    record.headers.is_empty() && record.partition < MOST_PARTITIONS && bytes(record) <= LARGE_BYTES
}

fn bytes(record: &Outgoing<'_>) -> usize {
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
}

/// Waits until librdkafka holds no message any more. Returns `false` if that takes longer than `patience`.
fn flush(client: *mut sys::rd_kafka_t, patience: Duration) -> bool {
    let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client belongs to the calling producer, which outlives the call.
    let result = unsafe { sys::rd_kafka_flush(client, patience_ms) };
    result == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

fn place(topic: Topic) -> usize {
    match topic {
        Topic::Repartition => 0,
        Topic::Samples => 1,
        Topic::Model => 2,
        Topic::Lineage => 3,
        Topic::Changelog => 4,
        Topic::SegmentChanges => 5,
        Topic::DeadLetters => 6,
        Topic::Pipeline => 7,
        Topic::Summaries => 8,
        Topic::Input(input) => 9 + usize::from(input),
    }
}

fn produce(topic: NonNull<sys::rd_kafka_topic_t>, record: &Outgoing<'_>) -> RDKafkaErrorCode {
    let (key, key_bytes) = pointer(record.key);
    let (value, value_bytes) = pointer(record.value);
    // SAFETY: the topic handle is ours; key and value are copied during the call and not written to.
    unsafe {
        let result = sys::rd_kafka_produce(
            topic.as_ptr(),
            record.partition.cast_signed(),
            FLAGS,
            value.cast_mut(),
            value_bytes,
            key,
            key_bytes,
            ptr::null_mut(),
        );
        if result == 0 {
            RDKafkaErrorCode::NoError
        } else {
            sys::rd_kafka_last_error().into()
        }
    }
}

/// Null stands for `None`; an empty slice has an address.
fn pointer(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| {
        (bytes.as_ptr().cast(), bytes.len())
    })
}

fn headers(headers: &[(&str, &[u8])]) -> *mut sys::rd_kafka_headers_t {
    // SAFETY: the new list is ours until it is handed over.
    let list = unsafe { sys::rd_kafka_headers_new(headers.len()) };
    for (name, value) in headers {
        add_header(list, name.as_bytes(), value);
    }
    list
}

fn add_header(list: *mut sys::rd_kafka_headers_t, name: &[u8], value: &[u8]) {
    // SAFETY: name and value are copied, with the lengths given; the list is the caller's own.
    unsafe {
        sys::rd_kafka_header_add(
            list,
            name.as_ptr().cast(),
            name.len().cast_signed(),
            value.as_ptr().cast(),
            value.len().cast_signed(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_its_place() {
        for (expected, topic) in Topics::internal().into_iter().enumerate() {
            assert_eq!(place(topic), expected);
        }
        assert_eq!(place(Topic::Input(0)), Topics::internal().len());
    }
}
