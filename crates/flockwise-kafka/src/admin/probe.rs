//! Checks that need a trial.

use flockwise_runtime::broker::Failure;
use rdkafka::Offset;
use rdkafka::producer::Producer;

use super::connection::Admin;
use crate::clients;
use crate::context::KafkaContext;
use crate::errors::{self, ErrorAction};
use crate::offset_query;
use crate::retry::{REQUEST_TIMEOUT, retry_query};
use crate::settings::KafkaSettings;

/// Checks that this principal may use transactions. Initialises `settings.transactional_id` without opening a
/// transaction. No worker may use that id, so that none is fenced. Brokers forget the id after
/// `transactional.id.expiration.ms`.
///
/// # Errors
/// [`Failure::Config`] says what is not permitted, and what to do.
pub fn try_transactions(settings: &KafkaSettings) -> Result<(), Failure> {
    let context = KafkaContext::new("probe");
    let producer = clients::producer(&settings.producer(), context)?;
    let doing = format!("trying a transaction as {}", settings.transactional_id);
    retry_query(|| {
        producer
            .init_transactions(REQUEST_TIMEOUT)
            .map_err(|error| match errors::action(&doing, &error) {
                ErrorAction::Retry(text) => Failure::Fatal(text),
                ErrorAction::Fail(failure) => failure,
            })
    })
}

/// The partitions that hold a record with a timestamp of `time_ms` or later, milliseconds since the epoch.
///
/// # Errors
/// If the brokers do not answer.
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
