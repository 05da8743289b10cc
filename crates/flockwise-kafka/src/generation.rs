//! The group's generation, which rdkafka keeps to itself.

#![allow(unsafe_code)]

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys as sys;

use crate::context::KafkaContext;

/// The generation of the group that a member is in; `None` while it is in none.
pub(crate) fn generation(consumer: &BaseConsumer<KafkaContext>) -> Option<i64> {
    let client = consumer.client().native_ptr();
    // SAFETY: the consumer outlives the call, the metadata is a copy of its own, null where there is
    // none, is asked once and then freed.
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
