//! What can only be found out by trying.

use flockwise_runtime::broker::Failure;
use rdkafka::Offset;
use rdkafka::producer::Producer;

use super::Admin;
use crate::clients;
use crate::context::KafkaContext;
use crate::errors::{self, Answer};
use crate::offset_query;
use crate::retry::{ATTEMPT, retry_query};
use crate::settings::KafkaSettings;

/// May this principal have transactions? Takes `settings.transactional_id`, which no worker has, and opens none:
/// nobody is fenced, and the brokers forget the id after `transactional.id.expiration.ms`.
///
/// # Errors
/// [`Failure::Config`] says what is not allowed, and what to do.
pub fn try_transactions(settings: &KafkaSettings) -> Result<(), Failure> {
    let context = KafkaContext::new("probe");
    let producer = clients::producer(&settings.producer(), context)?;
    let doing = format!("trying a transaction as {}", settings.transactional_id);
    retry_query(|| {
        producer
            .init_transactions(ATTEMPT)
            .map_err(|error| match errors::answer(&doing, &error) {
                Answer::Retry(text) => Failure::Fatal(text),
                Answer::Fail(failure) => failure,
            })
    })
}

/// Which of these partitions hold a record with a timestamp later than this instant, milliseconds since the
/// epoch?
///
/// # Errors
/// Where the brokers do not answer.
pub fn newer_than(
    settings: &KafkaSettings,
    partitions: &[(String, u32)],
    time_ms: i64,
) -> Result<Vec<(String, u32)>, Failure> {
    let admin = Admin::connect(settings)?;
    let found = offset_query::ask(&admin.consumer, partitions, Offset::Offset(time_ms))?;
    let newer = partitions
        .iter()
        .zip(found)
        .filter(|(_, found)| matches!(found, Offset::Offset(_)))
        .map(|(partition, _)| partition.clone());
    Ok(newer.collect())
}
