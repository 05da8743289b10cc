//! Topics: made, checked, altered and counted before any worker starts.

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
pub(crate) use lost_state::committed_once;
pub use lost_state::{Remains, Trace, lost_state};
pub use partitions::wrong_partitions;
pub use permissions::{Permission, Permissions, lacking};
pub use probe::{newer_than, try_transactions};
pub use reset::{Bounds, Reset, ResetRecord, bounds, reset};
pub use survey::{Found, FoundTopic, Survey, find, group, largest_record_bytes, survey};

/// Partitions of each input topic, in order. Waits at most the start timeout for a broker.
///
/// # Errors
/// [`Failure::Config`] names the topic that is missing, [`Failure::Fatal`] says why no broker answers.
pub fn input_partitions(settings: &KafkaSettings, names: &[String]) -> Result<Vec<u32>, Failure> {
    let admin = Admin::connect(settings)?;
    names
        .iter()
        .map(|name| clients::partitions(admin.consumer.client(), name))
        .collect()
}

/// Makes the internal topics that are missing, and checks that the others have the partitions they
/// should. Returns the names of those made.
///
/// # Errors
/// [`Failure::Config`] says what was found, what was expected and what to do; also where a topic is missing
/// that held state.
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

/// Could these topics be made? Asks the brokers, who do everything but make them.
///
/// # Errors
/// [`Failure::Config`] says why not, and what to do.
pub fn try_to_create(
    settings: &KafkaSettings,
    topics: &Topics,
    missing: &[Topic],
) -> Result<(), Failure> {
    Admin::connect(settings)?.try_to_create(topics, missing)
}

/// Changes settings of topics; those not named stay.
///
/// # Errors
/// [`Failure::Config`] names the topics that did not take them, and why.
pub fn alter_topics(settings: &KafkaSettings, alterations: &[Alteration]) -> Result<(), Failure> {
    if alterations.is_empty() {
        return Ok(());
    }
    alter::alter(Admin::connect(settings)?.native(), alterations)
}

/// A client of no group that asks about topics.
struct Admin {
    settings: KafkaSettings,
    consumer: BaseConsumer<KafkaContext>,
}

impl Admin {
    fn connect(settings: &KafkaSettings) -> Result<Self, Failure> {
        settings.check()?;
        let context = KafkaContext::new("admin");
        // Of no group: to be dropped, a member of one takes a tenth of a second. What is written counts, also
        // where its transaction is open.
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

    /// The client, for requests that rdkafka does not offer; valid as long as this.
    fn native(&self) -> *mut sys::rd_kafka_t {
        self.consumer.client().native_ptr()
    }
}
