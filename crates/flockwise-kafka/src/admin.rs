//! Creates, checks and alters topics, and counts their partitions, before any worker starts.

mod alter;
mod create;
mod describe;
mod durability;
mod lost_state;
mod partitions;
mod permissions;
mod probe;
mod request;
mod reset;
mod survey;

use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys as sys;

use crate::clients;
use crate::context::KafkaContext;
use crate::settings::KafkaSettings;

pub use alter::Alteration;
pub(crate) use create::admin_client;
pub use describe::{GroupDescription, GroupMember};
pub use durability::{
    Severity, TopicSetting, differing, holds_state, replication, topic_settings, unwritable,
};
pub use lost_state::{Remains, Trace, lost_state};
pub(crate) use lost_state::{committed, committed_once};
pub use partitions::wrong_partitions;
pub use permissions::{Permission, Permissions, lacking};
pub use probe::{newer_than, try_transactions};
pub use reset::{Bounds, Reset, ResetRecord, bounds, reset};
pub use survey::{Found, FoundTopic, Survey, find, group, largest_record_bytes, survey};

/// The number of partitions of each topic in `names`, in order. Waits for a broker for the start timeout at most.
///
/// # Errors
/// [`Failure::Config`] names the missing topic, [`Failure::Fatal`] says why no broker answers.
pub fn input_partitions(settings: &KafkaSettings, names: &[String]) -> Result<Vec<u32>, Failure> {
    let admin = Admin::connect(settings)?;
    names
        .iter()
        .map(|name| clients::partitions(admin.consumer.client(), name))
        .collect()
}

/// Creates the missing internal topics and checks the partition counts of the existing ones. Returns
/// the names of the created topics.
///
/// # Errors
/// [`Failure::Config`] says what was found, what was expected and what to do. A missing topic that held
/// state is an error too.
pub fn ensure_topics(settings: &KafkaSettings, topics: &Topics) -> Result<Vec<String>, Failure> {
    let admin = Admin::connect(settings)?;
    let survey = admin.survey(topics)?;
    if let Some(lost) = lost_state(topics, &survey.remains()?) {
        return Err(Failure::Config(lost));
    }
    let mut missing = Vec::new();
    for (topic, found) in &survey.internal {
        match found {
            Ok(None) => missing.push(*topic),
            Ok(Some(_)) => {}
            Err(failure) => return Err(Failure::Config(failure.to_string())),
        }
    }
    if let Some((_, wrong)) = wrong_partitions(topics, &survey.partitions())
        .into_iter()
        .next()
    {
        return Err(Failure::Config(wrong));
    }
    admin.create(topics, &missing)?;
    Ok(missing.iter().map(|topic| topics.name(*topic)).collect())
}

/// Checks that these topics could be created. The brokers validate the request without creating them.
///
/// # Errors
/// [`Failure::Config`] says why they could not, and what to do.
pub fn try_to_create(
    settings: &KafkaSettings,
    topics: &Topics,
    missing: &[Topic],
) -> Result<(), Failure> {
    Admin::connect(settings)?.try_to_create(topics, missing)
}

/// Changes settings of topics. Settings that are not named keep their values.
///
/// # Errors
/// [`Failure::Config`] names the topics that rejected the change, and why.
pub fn alter_topics(settings: &KafkaSettings, alterations: &[Alteration]) -> Result<(), Failure> {
    if alterations.is_empty() {
        return Ok(());
    }
    alter::alter(Admin::connect(settings)?.native(), alterations)
}

/// A client outside the group, for admin requests and metadata.
struct Admin {
    settings: KafkaSettings,
    consumer: BaseConsumer<KafkaContext>,
}

impl Admin {
    fn connect(settings: &KafkaSettings) -> Result<Self, Failure> {
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
    fn native(&self) -> *mut sys::rd_kafka_t {
        self.consumer.client().native_ptr()
    }
}
