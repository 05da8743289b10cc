//! The group's generation, which rdkafka does not expose.

#![allow(unsafe_code)]

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys as sys;

use crate::client_context::KafkaContext;

/// The generation of the group that the consumer is a member of; `None` while it is not a member.
pub(crate) fn generation(consumer: &BaseConsumer<KafkaContext>) -> Option<i64> {
    let client = consumer.client().native_ptr();
    // SAFETY: the consumer outlives the call. The metadata is a copy that we own, or null; it is read
    // once and then freed.
    let generation = unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(client);
        if metadata.is_null() {
            return None;
        }
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    };
    (generation >= 0).then_some(i64::from(generation))
}
