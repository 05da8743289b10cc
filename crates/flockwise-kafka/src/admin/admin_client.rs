//! The client of all admin requests.

use std::time::Duration;

use flockwise_runtime::broker::Failure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys as sys;

use crate::client_context::KafkaContext;
use crate::clients;
use crate::settings::KafkaSettings;

/// A client outside the group, for admin requests and metadata.
pub(super) struct Admin {
    pub(super) settings: KafkaSettings,
    pub(super) consumer: BaseConsumer<KafkaContext>,
}

impl Admin {
    /// Waits for a broker for the start timeout at most.
    pub(super) fn connect(settings: &KafkaSettings) -> Result<Self, Failure> {
        settings.check()?;
        let context = KafkaContext::new("admin");
        // Not a group member: dropping a member takes 100 ms. Reads uncommitted, so that the records of open
        // transactions count.
        let mut config = settings.admin();
        config.set("isolation.level", "read_uncommitted");
        let consumer = clients::consumer(&config, context.clone())?;
        let asked = &settings.group;
        clients::reach(consumer.client(), &context, settings, asked, || {
            consumer.poll(Duration::ZERO);
        })?;
        let settings = settings.clone();
        Ok(Self { settings, consumer })
    }

    /// The native client, for requests that rdkafka lacks. Valid as long as `self`.
    pub(super) fn native(&self) -> *mut sys::rd_kafka_t {
        self.consumer.client().native_ptr()
    }
}
