//! Topics as the brokers have them: only asks, changes nothing.

use std::collections::BTreeMap;

use flockwise_runtime::broker::Failure;
use rdkafka::admin::{AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};

use super::{Admin, block_on};
use crate::persistence::ATTEMPT;
use crate::settings::{KafkaSettings, MAX_MESSAGE_BYTES};

/// A topic as the brokers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTopic {
    /// How many.
    pub partitions: u32,
    /// Its settings, defaults included; `None` without permission to describe them.
    pub settings: Option<BTreeMap<String, String>>,
}

/// Looks each topic up, in order: `None` is a topic that is not there, a failure one that may not be
/// asked about. Waits at most the start timeout for a broker.
///
/// # Errors
/// [`Failure::Config`] says why no broker answers.
pub fn survey(
    settings: &KafkaSettings,
    names: &[String],
) -> Result<Vec<Result<Option<FoundTopic>, Failure>>, Failure> {
    let admin = Admin::connect(settings)?;
    let found: Vec<_> = names.iter().map(|name| admin.find(name)).collect();
    let mut described = admin.describe(names);
    let topic = |(name, found): (&String, Result<Option<u32>, Failure>)| {
        let found = found?;
        Ok(found.map(|partitions| FoundTopic {
            partitions,
            settings: described.remove(name),
        }))
    };
    Ok(names.iter().zip(found).map(topic).collect())
}

/// The largest record that a shard with these settings produces.
#[must_use]
pub fn largest_record_bytes(settings: &KafkaSettings) -> u32 {
    let configured = settings.properties.get("message.max.bytes");
    configured
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(MAX_MESSAGE_BYTES)
}

impl Admin {
    /// Settings by topic, as far as they may be seen.
    fn describe(&self, names: &[String]) -> BTreeMap<String, BTreeMap<String, String>> {
        // Nobody waits long for what is only looked at.
        let options = AdminOptions::new().request_timeout(Some(ATTEMPT));
        let topics: Vec<_> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        let answers = block_on(self.client.describe_configs(&topics, &options));
        let answers = answers.unwrap_or_default().into_iter();
        answers
            .filter_map(|answer| settings_of(answer.ok()?))
            .collect()
    }
}

fn settings_of(resource: ConfigResource) -> Option<(String, BTreeMap<String, String>)> {
    let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
        return None;
    };
    let entries = resource.entries.into_iter();
    let settings = entries.filter_map(|entry| Some((entry.name, entry.value?)));
    Some((name, settings.collect()))
}
