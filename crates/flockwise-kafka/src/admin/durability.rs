//! Which settings an internal topic needs so that nothing is lost, and what one that differs can cost.

use std::collections::BTreeMap;

use flockwise_runtime::store::MAX_CHECKPOINT_AGE;
use flockwise_runtime::topics::{Topic, Topics};

use crate::settings::MAX_MESSAGE_BYTES;

/// How bad it is that something is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth mending; nothing of the state can be lost by it alone.
    Warning,
    /// State can be lost or the pipeline stops: `run` refuses to start.
    Problem,
}

/// A setting of an internal topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Kafka's name of it.
    pub key: &'static str,
    /// The value that a topic is made with, and altered to.
    pub value: String,
    /// What it is worth when it differs.
    pub severity: Severity,
    /// What happens otherwise, as the rest of a sentence.
    pub why: &'static str,
    rule: Rule,
}

/// Which other values will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// None.
    Exactly,
    /// Larger ones, and -1 for no limit.
    AtLeast,
    /// Larger ones; those from this one on are worth a warning alone.
    AtLeastOrSo(i64),
}

/// Replicas that a topic gets where there are as many brokers: one may be lost while another is restarted.
pub(crate) const REPLICATION: u32 = 3;

/// Kafka's default, and twice what copies beside the changelog are trusted for.
const DELETE_RETENTION_MS: i64 = 2 * MAX_CHECKPOINT_AGE.as_millis() as i64;

/// Is the state of the pipeline in it? The other internal topics are written for others to read.
#[must_use]
pub fn holds_state(topic: Topic) -> bool {
    matches!(
        topic,
        Topic::Repartition | Topic::Samples | Topic::Model | Topic::Changelog | Topic::Pipeline
    )
}

/// The settings of an internal topic with so many replicas.
#[must_use]
pub fn topic_settings(topic: Topic, replication: u32) -> Vec<TopicSetting> {
    let severity = if holds_state(topic) {
        Severity::Problem
    } else {
        Severity::Warning
    };
    let exactly = |key, value: &str, why| TopicSetting {
        key,
        value: value.to_owned(),
        severity,
        why,
        rule: Rule::Exactly,
    };
    let mut settings = vec![cleanup_policy(topic, severity), message_bytes(topic)];
    if matches!(topic, Topic::Repartition | Topic::Samples) {
        // Records that are processed are deleted by Flockwise. Of the mini-batches a new trainer reads the last
        // four half-lives again: some megabytes a year.
        let why = "records would be deleted before they are read";
        settings.push(exactly("retention.ms", "-1", why));
        settings.push(exactly("retention.bytes", "-1", why));
    }
    if topic == Topic::Changelog {
        settings.push(delete_retention());
    }
    if replication > 1 {
        let why = "a replica that lacks committed records could become the leader, and they would be lost";
        settings.push(exactly("unclean.leader.election.enable", "false", why));
    }
    settings.push(in_sync(severity, replication));
    settings
}

fn cleanup_policy(topic: Topic, severity: Severity) -> TopicSetting {
    let (value, why) = if Topics::is_compacted(topic) {
        (
            "compact",
            "old records would be deleted, and with them what they hold",
        )
    } else {
        (
            "delete",
            "of the records with one key only the last would be kept",
        )
    };
    TopicSetting {
        key: "cleanup.policy",
        value: value.to_owned(),
        severity,
        why,
        rule: Rule::Exactly,
    }
}

/// Changes and lineage are small; everything else may be as large as an event or a model.
fn message_bytes(topic: Topic) -> TopicSetting {
    let severity = match topic {
        Topic::SegmentChanges | Topic::Lineage => Severity::Warning,
        _ => Severity::Problem,
    };
    TopicSetting {
        key: "max.message.bytes",
        value: MAX_MESSAGE_BYTES.to_string(),
        severity,
        why: "a large record would be refused and stop the pipeline",
        rule: Rule::AtLeast,
    }
}

fn delete_retention() -> TopicSetting {
    TopicSetting {
        key: "delete.retention.ms",
        value: DELETE_RETENTION_MS.to_string(),
        severity: Severity::Problem,
        why: "local copies and standbys are trusted for 12 hours without having seen a deletion, and would \
              bring removed customers back",
        rule: Rule::AtLeastOrSo(MAX_CHECKPOINT_AGE.as_millis() as i64),
    }
}

fn in_sync(severity: Severity, replication: u32) -> TopicSetting {
    let value = if replication >= REPLICATION { "2" } else { "1" };
    TopicSetting {
        key: "min.insync.replicas",
        value: value.to_owned(),
        severity,
        why: "a record could be acknowledged by one replica alone, and be lost with it",
        rule: Rule::AtLeast,
    }
}

impl TopicSetting {
    /// How bad a value is; `None` where it will do.
    #[must_use]
    pub fn judge(&self, found: &str) -> Option<Severity> {
        let (Ok(number), Ok(wanted)) = (found.parse::<i64>(), self.value.parse::<i64>()) else {
            return (found != self.value).then_some(self.severity);
        };
        match self.rule {
            Rule::Exactly => (number != wanted).then_some(self.severity),
            _ if number == -1 || number >= wanted => None,
            Rule::AtLeastOrSo(enough) if number >= enough => Some(Severity::Warning),
            Rule::AtLeast | Rule::AtLeastOrSo(_) => Some(self.severity),
        }
    }
}

/// What differs from what it should be, as sentences without the topic's name.
#[must_use]
pub fn differing(
    wanted: &[TopicSetting],
    found: &BTreeMap<String, String>,
) -> Vec<(Severity, String)> {
    let judged = wanted.iter().filter_map(|setting| {
        let value = found.get(setting.key)?;
        let severity = setting.judge(value)?;
        let TopicSetting {
            key,
            value: expected,
            why,
            ..
        } = setting;
        let text = format!("{key} is {value}, expected {expected}: {why}");
        Some((severity, text))
    });
    judged.collect()
}

/// What is wrong with the number of a topic's replicas on a cluster of so many brokers.
#[must_use]
pub fn replication(topic: Topic, found: u32, brokers: u32) -> Option<(Severity, String)> {
    let wanted = brokers.min(REPLICATION);
    if found >= wanted {
        return None;
    }
    let (severity, why) = match found {
        0 | 1 if holds_state(topic) => {
            (Severity::Problem, "it is lost with the disk of one broker")
        }
        0 | 1 => (Severity::Warning, "it is lost with the disk of one broker"),
        _ => (
            Severity::Warning,
            "nothing can be written, or a record has one copy, while a broker is down",
        ),
    };
    Some((
        severity,
        format!(
            "has {found} {} on a cluster of {brokers} brokers, expected {wanted}: {why}; add replicas with \
             kafka-reassign-partitions.sh",
            if found == 1 { "replica" } else { "replicas" },
        ),
    ))
}

/// More replicas are asked for than there are: no record would be taken.
#[must_use]
pub fn unwritable(
    found: &BTreeMap<String, String>,
    replication: u32,
) -> Option<(Severity, String)> {
    let in_sync: u32 = found.get("min.insync.replicas")?.parse().ok()?;
    (in_sync > replication).then(|| {
        let text = format!(
            "min.insync.replicas is {in_sync} and there are {replication} replicas: no record can be written; \
             lower it or add replicas"
        );
        (Severity::Problem, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(topic: Topic, replication: u32, key: &str, value: &str) -> Option<Severity> {
        let found = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let differing = differing(&topic_settings(topic, replication), &found);
        differing.first().map(|(severity, _)| *severity)
    }

    #[test]
    fn a_setting_that_can_lose_state_is_a_problem() {
        use Severity::{Problem, Warning};
        for (topic, replication, key, value, expected) in [
            (
                Topic::Changelog,
                3,
                "cleanup.policy",
                "delete",
                Some(Problem),
            ),
            (
                Topic::Changelog,
                3,
                "cleanup.policy",
                "compact,delete",
                Some(Problem),
            ),
            (Topic::Changelog, 3, "cleanup.policy", "compact", None),
            (Topic::Changelog, 3, "retention.ms", "604800000", None),
            (
                Topic::Changelog,
                3,
                "delete.retention.ms",
                "3600000",
                Some(Problem),
            ),
            (
                Topic::Changelog,
                3,
                "delete.retention.ms",
                "43200000",
                Some(Warning),
            ),
            (Topic::Changelog, 3, "delete.retention.ms", "86400000", None),
            (
                Topic::Repartition,
                3,
                "retention.ms",
                "604800000",
                Some(Problem),
            ),
            (Topic::Repartition, 3, "retention.ms", "-1", None),
            (
                Topic::Repartition,
                3,
                "retention.bytes",
                "1000000",
                Some(Problem),
            ),
            (
                Topic::Repartition,
                3,
                "cleanup.policy",
                "compact",
                Some(Problem),
            ),
            (
                Topic::Samples,
                3,
                "retention.ms",
                "604800000",
                Some(Problem),
            ),
            (Topic::Model, 3, "cleanup.policy", "delete", Some(Problem)),
            (
                Topic::Model,
                3,
                "unclean.leader.election.enable",
                "true",
                Some(Problem),
            ),
            (
                Topic::Model,
                1,
                "unclean.leader.election.enable",
                "true",
                None,
            ),
            (
                Topic::SegmentChanges,
                3,
                "unclean.leader.election.enable",
                "true",
                Some(Warning),
            ),
            (
                Topic::Changelog,
                3,
                "min.insync.replicas",
                "1",
                Some(Problem),
            ),
            (Topic::Changelog, 2, "min.insync.replicas", "1", None),
            (
                Topic::DeadLetters,
                3,
                "max.message.bytes",
                "1048588",
                Some(Problem),
            ),
            (
                Topic::Lineage,
                3,
                "max.message.bytes",
                "1048588",
                Some(Warning),
            ),
            (Topic::DeadLetters, 3, "max.message.bytes", "9000000", None),
            (Topic::DeadLetters, 3, "retention.ms", "604800000", None),
        ] {
            let found = judged(topic, replication, key, value);
            assert_eq!(found, expected, "{topic:?} {replication} {key}={value}");
        }
    }

    #[test]
    fn one_replica_is_a_problem_where_there_could_be_more() {
        let severity = |topic, found, brokers| {
            replication(topic, found, brokers).map(|(severity, _)| severity)
        };
        assert_eq!(severity(Topic::Changelog, 1, 1), None);
        assert_eq!(severity(Topic::Changelog, 1, 3), Some(Severity::Problem));
        assert_eq!(severity(Topic::Changelog, 2, 3), Some(Severity::Warning));
        assert_eq!(severity(Topic::Changelog, 3, 5), None);
        assert_eq!(severity(Topic::DeadLetters, 1, 3), Some(Severity::Warning));
        // Two of three brokers are down: three replicas are three.
        assert_eq!(severity(Topic::Changelog, 3, 1), None);
    }

    #[test]
    fn more_replicas_in_sync_than_there_are_cannot_be_written_to() {
        let found = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
        assert!(unwritable(&found, 1).is_some());
        assert_eq!(unwritable(&found, 2), None);
    }
}
