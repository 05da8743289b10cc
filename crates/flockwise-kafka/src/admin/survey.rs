//! Topics as the brokers have them: only asks, changes nothing.

use std::collections::BTreeMap;

use flockwise_runtime::broker::Failure;
use rdkafka::admin::{AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};

use super::{Admin, admin_client, block_on};
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

/// What looking a topic up brought: `None` is one that is not there, a failure one that may not be asked about.
pub type Found = Result<Option<FoundTopic>, Failure>;

/// Looks each topic up, in order. Waits at most the start timeout for a broker.
///
/// # Errors
/// [`Failure::Config`] says why no broker answers.
pub fn survey(settings: &KafkaSettings, names: &[String]) -> Result<Vec<Found>, Failure> {
    let admin = Admin::connect(settings)?;
    let mut found = admin.find_all(names);
    let mut described = admin.describe(names)?;
    for (name, found) in names.iter().zip(&mut found) {
        if let Ok(Some(found)) = found {
            found.settings = described.remove(name);
        }
    }
    Ok(found)
}

/// As [`survey`], without the settings, which take a tenth of a second more.
///
/// # Errors
/// As [`survey`].
pub fn count(settings: &KafkaSettings, names: &[String]) -> Result<Vec<Found>, Failure> {
    Ok(Admin::connect(settings)?.find_all(names))
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
    fn find_all(&self, names: &[String]) -> Vec<Found> {
        let found = |partitions| FoundTopic {
            partitions,
            settings: None,
        };
        let find = |name: &String| Ok(self.find(name)?.map(found));
        names.iter().map(find).collect()
    }

    /// Settings by topic, as far as they may be seen.
    fn describe(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, Failure> {
        let client = admin_client(&self.settings)?;
        // Nobody waits long for what is only looked at.
        let options = AdminOptions::new().request_timeout(Some(ATTEMPT));
        let topics: Vec<_> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        let answers = block_on(client.describe_configs(&topics, &options));
        let answers = answers.unwrap_or_default().into_iter();
        Ok(answers
            .filter_map(|answer| settings_of(answer.ok()?))
            .collect())
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
