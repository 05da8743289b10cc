//! Creates topics.

use std::thread;
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use tracing::{info, warn};

use super::admin_client::Admin;
use super::describe_requests;
use super::durable_settings::{REPLICATION, topic_settings};
use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::retry::QUERY_TIMEOUT;
use crate::settings::KafkaSettings;

/// Create the topics, or only check that they could be created?
#[derive(Clone, Copy, PartialEq, Eq)]
enum CreateMode {
    Create,
    ValidateOnly,
}

impl Admin {
    /// Creates topics with three replicas, or one per broker if there are fewer, and waits until they exist.
    pub(super) fn create(&self, topics: &Topics, missing: &[Topic]) -> Result<(), Failure> {
        self.with_replicas(topics, missing, CreateMode::Create)?;
        missing
            .iter()
            .try_for_each(|topic| self.await_topic(&topics.name(*topic)))
    }

    /// Sends the same requests for validation only.
    pub(super) fn try_to_create(&self, topics: &Topics, missing: &[Topic]) -> Result<(), Failure> {
        self.with_replicas(topics, missing, CreateMode::ValidateOnly)
    }

    /// Lowers the number of replicas only if the brokers answer that there are too few brokers for it.
    fn with_replicas(
        &self,
        topics: &Topics,
        missing: &[Topic],
        mode: CreateMode,
    ) -> Result<(), Failure> {
        let mut missing = missing.to_vec();
        let mut replication = REPLICATION;
        while !missing.is_empty() {
            missing = self.request(topics, &missing, replication, mode)?;
            replication = replication.saturating_sub(1).max(1);
        }
        Ok(())
    }

    /// Returns the topics for which there are too few brokers.
    fn request(
        &self,
        topics: &Topics,
        missing: &[Topic],
        replication: u32,
        mode: CreateMode,
    ) -> Result<Vec<Topic>, Failure> {
        let wanted: Vec<TopicSpec> = missing
            .iter()
            .map(|topic| TopicSpec::new(topics, *topic, replication))
            .collect();
        let new: Vec<NewTopic<'_>> = wanted.iter().map(TopicSpec::as_new_topic).collect();
        let options = AdminOptions::new()
            .request_timeout(Some(QUERY_TIMEOUT))
            .operation_timeout(Some(QUERY_TIMEOUT))
            .validate_only(mode == CreateMode::ValidateOnly);
        let client = admin_client(&self.settings)?;
        let results = pollster::block_on(client.create_topics(&new, &options))
            .map_err(|error| classify_error::plain("creating topics", &error))?;
        let mut too_few = Vec::new();
        for (wanted, result) in wanted.iter().zip(results) {
            match result {
                Ok(topic) if mode == CreateMode::Create => log_created(&topic, replication),
                // Another instance, started at the same moment, was first.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) if replication > 1 => {
                    too_few.push(wanted.topic);
                }
                Err((name, code)) => return Err(creation_failure(&name, code)),
            }
        }
        Ok(too_few)
    }

    /// Waits for the topic's metadata, which reaches the brokers a moment after the creation.
    fn await_topic(&self, name: &String) -> Result<(), Failure> {
        for _ in 0..100 {
            let found = describe_requests::topics(self.native(), std::slice::from_ref(name));
            if let Ok([Ok(Some(_))]) = found.as_deref() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(classify_error::missing_topic(name))
    }
}

/// A topic to create.
struct TopicSpec {
    topic: Topic,
    name: String,
    partitions: u32,
    replication: u32,
    settings: Vec<(&'static str, String)>,
}

impl TopicSpec {
    fn new(topics: &Topics, topic: Topic, replication: u32) -> Self {
        let settings = topic_settings(topic, replication).into_iter();
        Self {
            topic,
            name: topics.name(topic),
            partitions: topics.partitions(topic),
            replication,
            settings: settings
                .map(|setting| (setting.key, setting.value))
                .collect(),
        }
    }

    fn as_new_topic(&self) -> NewTopic<'_> {
        let replication = TopicReplication::Fixed(self.replication.cast_signed());
        let topic = NewTopic::new(&self.name, self.partitions.cast_signed(), replication);
        self.settings
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value))
    }
}

fn log_created(topic: &str, replication: u32) {
    info!(topic, replication, "topic created");
    if replication == 1 {
        warn!(
            topic,
            "the topic has one replica, since there is one broker: it is lost if that broker's disk fails"
        );
    }
}

fn creation_failure(name: &str, code: RDKafkaErrorCode) -> Failure {
    let remedy = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "give the principal Create on topics prefixed with `app`, or create the topics by hand as \
             `flockwise topics` lists them"
        }
        RDKafkaErrorCode::InvalidReplicationFactor => "no broker can hold it",
        _ => "create it by hand as `flockwise topics` lists it",
    };
    Failure::Config(format!(
        "topic {name} could not be created: {code}; {remedy}"
    ))
}

pub(crate) fn admin_client(settings: &KafkaSettings) -> Result<AdminClient<KafkaContext>, Failure> {
    AdminClient::from_config_and_context(&settings.admin(), KafkaContext::new("admin"))
        .map_err(|error| classify_error::plain("creating an admin client", &error))
}
