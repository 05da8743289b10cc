//! Creates and alters the internal topics before a start.

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::consumer::Consumer;

use super::admin_client::Admin;
use super::alter_topics::{self, Alteration};
use super::lost_state::lost_state;
use super::partition_counts::wrong_partitions;
use crate::clients;
use crate::settings::KafkaSettings;

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
    alter_topics::alter(Admin::connect(settings)?.native(), alterations)
}
