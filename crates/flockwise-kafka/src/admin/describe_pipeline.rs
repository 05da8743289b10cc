//! Describes a pipeline's topics and group, without changing anything.

use std::collections::BTreeMap;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;

use super::admin_client::Admin;
use super::describe_requests::{self, Description, GroupDescription};
use super::lost_state::{self, Remains, Trace};
use super::permissions::Permissions;
use crate::classify_error;
use crate::offset_query;
use crate::retry::{REQUEST_TIMEOUT, retry_query};
use crate::settings::{KafkaSettings, MAX_MESSAGE_BYTES};

/// An existing topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTopic {
    /// Number of partitions.
    pub partitions: u32,
    /// Replicas of the partition that has the fewest.
    pub replication: u32,
    /// What the principal may do with the topic.
    pub rights: Permissions,
    /// Settings by key, defaults included; `None` without permission to describe them.
    pub settings: Option<BTreeMap<String, String>>,
}

/// The result of a topic lookup: `None` if the topic does not exist, a failure if it may not be described.
pub type Found = Result<Option<FoundTopic>, Failure>;

/// The parts of a cluster that concern a pipeline.
#[derive(Debug)]
pub struct Survey {
    /// Number of brokers.
    pub brokers: u32,
    /// The input topics, in the order of the configuration.
    pub inputs: Vec<Found>,
    /// The internal topics.
    pub internal: Vec<(Topic, Found)>,
    /// The pipeline's consumer group, or why it could not be described.
    pub group: Result<GroupDescription, Failure>,
    remains: Result<Remains, Failure>,
}

/// Surveys the cluster. Only the names in `topics` matter. Waits for a broker for the start timeout at most.
///
/// # Errors
/// [`Failure::Fatal`] says why no broker answers, [`Failure::Config`] why the brokers refuse.
pub fn survey(settings: &KafkaSettings, topics: &Topics) -> Result<Survey, Failure> {
    Admin::connect(settings)?.survey(topics)
}

/// Looks up these topics, in order.
///
/// # Errors
/// As [`survey`].
pub fn find(settings: &KafkaSettings, names: &[String]) -> Result<Vec<Found>, Failure> {
    Admin::connect(settings)?.find_all(names)
}

/// Describes the pipeline's consumer group.
///
/// # Errors
/// As [`survey`], and [`Failure::Config`] without permission to describe the group.
pub fn group(settings: &KafkaSettings) -> Result<GroupDescription, Failure> {
    Admin::connect(settings)?.group()
}

/// The largest record that a worker with these settings produces, bytes.
#[must_use]
pub fn largest_record_bytes(settings: &KafkaSettings) -> u32 {
    let configured = settings.properties.get("message.max.bytes");
    configured
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(MAX_MESSAGE_BYTES)
}

impl Survey {
    /// Partition counts of the existing internal topics.
    #[must_use]
    pub fn partitions(&self) -> Vec<(Topic, u32)> {
        let found = self.internal.iter().filter_map(|(topic, found)| {
            let found = found.as_ref().ok()?.as_ref()?;
            Some((*topic, found.partitions))
        });
        found.collect()
    }

    /// What earlier runs of the pipeline have left behind.
    ///
    /// # Errors
    /// [`Failure::Config`] if the survey could not find out.
    pub fn remains(&self) -> Result<Remains, Failure> {
        match &self.remains {
            Ok(remains) => Ok(remains.clone()),
            Err(failure) => Err(Failure::Config(failure.to_string())),
        }
    }
}

impl Admin {
    pub(super) fn survey(&self, topics: &Topics) -> Result<Survey, Failure> {
        let internal = Topics::internal();
        let mut names = topics.inputs.clone();
        names.extend(internal.map(|topic| topics.name(topic)));
        let mut found = self.find_all(&names)?.into_iter();
        let inputs = found.by_ref().take(topics.inputs.len()).collect();
        let internal: Vec<(Topic, Found)> = internal.into_iter().zip(found).collect();
        Ok(Survey {
            brokers: self.brokers()?,
            inputs,
            group: self.group(),
            remains: self.remains(topics, &internal),
            internal,
        })
    }

    fn remains(&self, topics: &Topics, internal: &[(Topic, Found)]) -> Result<Remains, Failure> {
        let partitions: Vec<(String, u32)> = internal
            .iter()
            .filter_map(|(topic, found)| {
                Some((topics.name(*topic), found.as_ref().ok()?.as_ref()?))
            })
            .flat_map(|(name, found)| {
                (0..found.partitions).map(move |number| (name.clone(), number))
            })
            .collect();
        let ends = offset_query::ask(&self.consumer, &partitions, Offset::End)?;
        let ends: Vec<(&str, bool)> = partitions
            .iter()
            .zip(ends)
            .map(|((name, _), end)| (name.as_str(), end != Offset::Offset(0)))
            .collect();
        let state = |(topic, found): &(Topic, Found)| {
            let name = topics.name(*topic);
            let is_written = ends.iter().any(|(of, written)| *written && *of == name);
            let state = match found {
                Ok(None) => Trace::Missing,
                Ok(Some(_)) if !is_written => Trace::Empty,
                // A topic that may not be described is reported elsewhere.
                Ok(Some(_)) | Err(_) => Trace::Written,
            };
            (*topic, state)
        };
        let committed = lost_state::committed(self.native(), &self.settings.group)?;
        Ok(Remains {
            topics: internal.iter().map(state).collect(),
            has_offsets: internal
                .iter()
                .any(|(topic, _)| committed.contains_key(&topics.name(*topic))),
        })
    }

    fn find_all(&self, names: &[String]) -> Result<Vec<Found>, Failure> {
        let describe = retry_query(|| {
            let topics = describe_requests::topics(self.native(), names)?;
            // Retries what may be temporary, such as a leader election.
            match topics
                .iter()
                .find(|found| matches!(found, Err(Failure::Fatal(_))))
            {
                Some(Err(Failure::Fatal(reason))) => Err(Failure::Fatal(reason.clone())),
                _ => Ok(topics),
            }
        })?;
        let there: Vec<String> = names
            .iter()
            .zip(&describe)
            .filter(|(_, found)| matches!(found, Ok(Some(_))))
            .map(|(name, _)| name.clone())
            .collect();
        // Without permission, the answer omits the topic. Without an answer, no settings are known either.
        let mut settings = describe_requests::settings(self.native(), &there).unwrap_or_default();
        let found = names.iter().zip(describe).map(|(name, found)| {
            found.map(|found| found.map(|found| FoundTopic::of(found, settings.remove(name))))
        });
        Ok(found.collect())
    }

    fn brokers(&self) -> Result<u32, Failure> {
        retry_query(|| {
            let metadata = self
                .consumer
                .fetch_metadata(Some(&self.settings.group), REQUEST_TIMEOUT)
                .map_err(|error| classify_error::plain("listing the brokers", &error))?;
            Ok(u32::try_from(metadata.brokers().len()).unwrap_or(u32::MAX))
        })
    }

    pub(super) fn group(&self) -> Result<GroupDescription, Failure> {
        let group = &self.settings.group;
        let doing = format!("describing group {group}");
        retry_query(|| {
            describe_requests::group(self.native(), group)
                .map_err(|code| describe_requests::failure(&doing, code))
        })
    }
}

impl FoundTopic {
    fn of(describe: Description, settings: Option<BTreeMap<String, String>>) -> Self {
        Self {
            partitions: describe.partitions,
            replication: describe.replication,
            rights: describe.rights,
            settings,
        }
    }
}
