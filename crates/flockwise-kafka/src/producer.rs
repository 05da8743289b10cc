//! Records on their way out, without an allocation and without a delivery report for each.
//!
//! Only failures are reported. librdkafka counts what is in flight itself, and its flush waits for
//! that count on a condition variable.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, ThreadedProducer};
use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as vtype;

use crate::events::Events;
use crate::faults;

/// Under which a forwarded record carries its time, in digits. Kafka's own timestamp of it is when it
/// was forwarded: retention goes by that, and would remove old events before they are read.
pub(crate) const TIMESTAMP_HEADER: &CStr = c"flockwise.timestamp";

/// Where a shard's records go.
pub(crate) struct Outlet {
    /// In the order of [`place`].
    topics: Vec<NonNull<sys::rd_kafka_topic_t>>,
    names: Vec<String>,
    producer: ThreadedProducer<Events>,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for Outlet {}

/// Blocks while the queue is full; its records time out, so this ends.
const FLAGS: i32 = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_BLOCK;

impl Outlet {
    /// An outlet to every topic of the pipeline.
    pub(crate) fn new(
        producer: ThreadedProducer<Events>,
        topics: &Topics,
    ) -> Result<Self, Failure> {
        let inputs = (0..topics.inputs.len()).filter_map(|input| u16::try_from(input).ok());
        let names: Vec<String> = Topics::internal()
            .into_iter()
            .chain(inputs.map(Topic::Input))
            .map(|topic| topics.name(topic))
            .collect();
        let mut outlet = Self {
            topics: Vec::with_capacity(names.len()),
            names,
            producer,
        };
        for name in &outlet.names {
            let handle = outlet
                .handle(name)
                .ok_or_else(|| faults::missing_topic(name))?;
            outlet.topics.push(handle);
        }
        Ok(outlet)
    }

    fn handle(&self, name: &str) -> Option<NonNull<sys::rd_kafka_topic_t>> {
        let name = CString::new(name).ok()?;
        let client = self.producer.client().native_ptr();
        // SAFETY: the client lives as long as self, the name as long as the call.
        NonNull::new(unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) })
    }

    /// The client behind it.
    pub(crate) fn producer(&self) -> &ThreadedProducer<Events> {
        &self.producer
    }

    /// Hands a record over; whether it arrives is known after [`Outlet::flush`].
    pub(crate) fn send(&self, record: &Outgoing<'_>) -> Result<(), Failure> {
        let place = place(record.topic);
        let topic = self.topics[place];
        let code = if record.timestamp_ms.is_none() && record.headers.is_empty() {
            produce(topic, record)
        } else {
            self.produce_with_extras(topic, record)
        };
        match code {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(self.refusal(code, place, record)),
        }
    }

    /// Waits until nothing is in flight; `false` if that takes longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        let client = self.producer.client().native_ptr();
        // SAFETY: the client lives as long as self.
        let result = unsafe { sys::rd_kafka_flush(client, patience_ms) };
        result == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    fn produce_with_extras(
        &self,
        topic: NonNull<sys::rd_kafka_topic_t>,
        record: &Outgoing<'_>,
    ) -> RDKafkaErrorCode {
        let (key, key_bytes) = pointer(record.key);
        let (value, value_bytes) = pointer(record.value);
        let (sent_ms, timestamp_ms) = match record.topic {
            Topic::Repartition => (record.timestamp_ms, None),
            _ => (None, record.timestamp_ms),
        };
        let headers = headers(record.headers, sent_ms);
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
                vtype::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp_ms.unwrap_or(0),
                vtype::RD_KAFKA_VTYPE_HEADERS,
                headers,
                vtype::RD_KAFKA_VTYPE_END,
            );
            if result != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null()
            {
                sys::rd_kafka_headers_destroy(headers);
            }
            result.into()
        }
    }

    fn refusal(&self, code: RDKafkaErrorCode, place: usize, record: &Outgoing<'_>) -> Failure {
        let name = &self.names[place];
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let doing = format!(
            "sending {bytes} bytes to {name}/{}: {code}",
            record.partition
        );
        match faults::way_out(code) {
            Some(way_out) => Failure::Config(format!("{doing}; {way_out}")),
            None if code == RDKafkaErrorCode::Fatal => Failure::Fatal(doing),
            None => Failure::Abort(doing),
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        for topic in &self.topics {
            // SAFETY: our own reference, given back once, while the client lives.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}

fn place(topic: Topic) -> usize {
    match topic {
        Topic::Repartition => 0,
        Topic::Deltas => 1,
        Topic::Model => 2,
        Topic::Changelog => 3,
        Topic::SegmentChanges => 4,
        Topic::DeadLetters => 5,
        Topic::Input(input) => 6 + usize::from(input),
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

/// Null stands for none; an empty slice has an address.
fn pointer(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| {
        (bytes.as_ptr().cast(), bytes.len())
    })
}

fn headers(headers: &[(&str, &[u8])], sent_ms: Option<i64>) -> *mut sys::rd_kafka_headers_t {
    if headers.is_empty() && sent_ms.is_none() {
        return ptr::null_mut();
    }
    // SAFETY: a new list, ours until it is handed over.
    let list = unsafe { sys::rd_kafka_headers_new(headers.len() + 1) };
    for (name, value) in headers {
        add_header(list, name.as_bytes(), value);
    }
    if let Some(sent_ms) = sent_ms {
        let name = TIMESTAMP_HEADER.to_bytes();
        add_header(list, name, sent_ms.to_string().as_bytes());
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
