//! Checks the consumer group: permissions, partition assignors, and members that are not this pipeline's.

use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{GroupDescription, GroupMember, Permission};
use flockwise_runtime::broker::Failure;

use super::missing_permissions::missing_permissions;
use crate::admin::finding::Finding;
use crate::kafka_settings::reason;

/// Checks the consumer group, whose id is `app`.
pub(super) fn findings(
    app: &str,
    settings: &KafkaSettings,
    group: &Result<GroupDescription, Failure>,
) -> Vec<Finding> {
    let about = format!("group {app}");
    let group = match group {
        Ok(group) => group,
        Err(failure @ Failure::Config(_)) => {
            return vec![Finding::problem(&about, reason(failure))];
        }
        Err(failure) => return vec![Finding::warning(&about, reason(failure))],
    };
    if let Some(missing_permissions) =
        missing_permissions(&about, &group.rights, &[Permission::Read])
    {
        return vec![missing_permissions];
    }
    let property = |key: &str| settings.properties.get(key).map(String::as_str);
    let is_next = property("group.protocol") == Some("consumer");
    let assignors = property("partition.assignment.strategy").unwrap_or("range");
    let mut findings = vec![Finding::ok(&about, members(group.members.len()))];
    findings.extend(protocol(group, is_next, assignors).map(|text| Finding::problem(&about, text)));
    findings.extend(stranger(app, group).map(|text| Finding::warning(&about, text)));
    findings
}

fn members(count: usize) -> String {
    match count {
        0 => "no members".to_owned(),
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    }
}

/// Why the group's coordinator would reject a new member; `None` if it would not.
fn protocol(group: &GroupDescription, is_next: bool, assignors: &str) -> Option<String> {
    if group.members.is_empty() || is_next || group.is_next_protocol == Some(true) {
        // Members of the KIP-848 protocol share no assignor. Brokers convert a group between the protocols, or refuse to.
        return None;
    }
    let is_shared = assignors
        .split(',')
        .any(|assignor| assignor.trim() == group.assignor);
    (!is_shared && !group.assignor.is_empty()).then(|| {
        format!(
            "its members use the assignor {:?}, but this configuration has {assignors:?}: all members need the same \
             partition.assignment.strategy; stop them, or correct it under [kafka.properties]",
            group.assignor
        )
    })
}

/// A warning about a member that is not an instance of this app.
fn stranger(app: &str, group: &GroupDescription) -> Option<String> {
    let is_ours = |member: &&GroupMember| {
        let rest = member.instance_id.strip_prefix(app);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let stranger = group.members.iter().find(|member| !is_ours(member))?;
    Some(format!(
        "the member with client.id {:?} at {} is not an instance of this pipeline and may take partitions from it; give it another group.id",
        stranger.client_id, stranger.host
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(instance_id: &str, assignor: &str) -> GroupDescription {
        GroupDescription {
            members: vec![GroupMember {
                instance_id: instance_id.to_owned(),
                client_id: "x".to_owned(),
                host: "/127.0.0.1".to_owned(),
            }],
            assignor: assignor.to_owned(),
            ..GroupDescription::default()
        }
    }

    #[test]
    fn members_must_share_an_assignor() {
        let ours = group("shop-0123456789abcdef-0", "range");
        assert_eq!(protocol(&ours, false, "range"), None);
        assert_eq!(protocol(&ours, false, "roundrobin, range"), None);
        assert!(protocol(&ours, false, "roundrobin").is_some());
        // A group that rebalances has no assignor yet.
        assert_eq!(protocol(&group("shop-a-0", ""), false, "range"), None);
        assert_eq!(protocol(&GroupDescription::default(), false, "range"), None);
    }

    #[test]
    fn who_is_not_of_this_app_is_named() {
        assert_eq!(stranger("shop", &group("shop-a-0", "range")), None);
        for other in ["", "shopping-a-0", "other"] {
            let text = stranger("shop", &group(other, "range")).unwrap_or_default();
            assert!(text.contains("client.id \"x\""), "{text}");
        }
    }
}
