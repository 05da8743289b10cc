//! Which partitions hold records from a time or later.

use flockwise_runtime::broker::Failure;
use rdkafka::Offset;

use super::admin_client::Admin;
use crate::offset_query;
use crate::settings::KafkaSettings;

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
