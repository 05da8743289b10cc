//! The permissions that the principal needs.

use flockwise_kafka::admin::{Permission, Permissions, lacking};
use flockwise_runtime::topics::Topic;

use crate::admin::finding::Finding;

/// A problem if any of the needed permissions is missing.
pub(super) fn missing_permissions(
    about: &str,
    rights: &Permissions,
    needed: &[Permission],
) -> Option<Finding> {
    let lacking: Vec<String> = lacking(rights, needed)
        .iter()
        .map(Permission::to_string)
        .collect();
    (!lacking.is_empty()).then(|| {
        let text = format!(
            "the principal lacks {} on it; `flockwise check --acls` prints all permissions that are needed",
            lacking.join(" and ")
        );
        Finding::problem(about, text)
    })
}

/// The permissions that a pipeline needs on a topic.
pub(super) fn needed(topic: Topic) -> &'static [Permission] {
    match topic {
        // Without Delete, processed events would stay and fill the brokers' disks.
        Topic::Repartition => &[Permission::Read, Permission::Write, Permission::Delete],
        Topic::Samples | Topic::Model | Topic::Changelog | Topic::Summaries | Topic::Pipeline => {
            &[Permission::Read, Permission::Write]
        }
        Topic::Lineage | Topic::SegmentChanges | Topic::DeadLetters => &[Permission::Write],
        Topic::Input(_) => &[Permission::Read],
    }
}
