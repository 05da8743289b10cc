//! The settings that an internal topic needs to lose no records, and what other values can cause.

use std::collections::BTreeMap;

use flockwise_runtime::store::MAX_CHECKPOINT_AGE;
use flockwise_runtime::topics::{Topic, Topics};

use crate::settings::MAX_MESSAGE_BYTES;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Should be fixed. Cannot lose state on its own.
    Warning,
    /// Can lose state or stop the pipeline: `run` refuses to start.
    Problem,
}

/// The expected value of one setting of an internal topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Kafka's key of the setting.
    pub key: &'static str,
    /// The value that topics are created with, and altered to.
    pub value: String,
    /// Severity of an unacceptable value.
    pub severity: Severity,
    /// What an unacceptable value can cause. A clause, for use after a colon.
    pub why: &'static str,
    rule: Rule,
}

/// Which other values are acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// None.
    Exactly,
    /// Larger ones, and -1, which means no limit.
    AtLeast,
    /// As `AtLeast`. Smaller values from this one up are only a warning.
    AtLeastOrSo(i64),
}

/// Replicas of a new topic, if there are enough brokers: one may be lost while another restarts.
pub(crate) const REPLICATION: u32 = 3;

/// Kafka's default, and twice the age up to which checkpoints and standbys are trusted.
const DELETE_RETENTION_MS: i64 = 2 * MAX_CHECKPOINT_AGE.as_millis() as i64;

/// Does the topic hold state of the pipeline? The other internal topics are output for other readers.
#[must_use]
pub fn holds_state(topic: Topic) -> bool {
    matches!(
        topic,
        Topic::Repartition | Topic::Samples | Topic::Model | Topic::Changelog | Topic::Pipeline
    )
}

/// The expected settings of an internal topic with this number of replicas.
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
        // Flockwise itself deletes forwarded records once they are processed. Mini-batches stay, since a new
        // trainer reads the last four half-lives again: a few megabytes a year.
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
            "old records would be deleted, and their contents lost",
        )
    } else {
        ("delete", "only the last record of each key would be kept")
    };
    TopicSetting {
        key: "cleanup.policy",
        value: value.to_owned(),
        severity,
        why,
        rule: Rule::Exactly,
    }
}

/// Segment changes, lineage and summaries are small. All other records may be as large as an event or a model.
fn message_bytes(topic: Topic) -> TopicSetting {
    let severity = match topic {
        Topic::SegmentChanges | Topic::Lineage | Topic::Summaries => Severity::Warning,
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
        why: "checkpoints and standbys are trusted for 12 hours: they would miss tombstones that are already \
              compacted away, and bring removed customers back",
        rule: Rule::AtLeastOrSo(MAX_CHECKPOINT_AGE.as_millis() as i64),
    }
}

fn in_sync(severity: Severity, replication: u32) -> TopicSetting {
    let value = if replication >= REPLICATION { "2" } else { "1" };
    TopicSetting {
        key: "min.insync.replicas",
        value: value.to_owned(),
        severity,
        why: "a record could be acknowledged by a single replica, and be lost with it",
        rule: Rule::AtLeast,
    }
}

impl TopicSetting {
    /// Severity of a value found on a topic; `None` if it is acceptable.
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

/// The unacceptable values in `found`, as sentences without the topic's name. Skips settings that are not in `found`.
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

/// What is wrong with a topic's number of replicas on a cluster with this many brokers; `None` if nothing.
#[must_use]
pub fn replication(topic: Topic, found: u32, brokers: u32) -> Option<(Severity, String)> {
    let wanted = brokers.min(REPLICATION);
    if found >= wanted {
        return None;
    }
    let (severity, why) = match found {
        0 | 1 if holds_state(topic) => {
            (Severity::Problem, "it is lost when one broker's disk fails")
        }
        0 | 1 => (Severity::Warning, "it is lost when one broker's disk fails"),
        _ => (
            Severity::Warning,
            "while a broker is down, it takes no records or keeps a single copy of them",
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

/// A problem if `min.insync.replicas` exceeds the number of replicas: the topic then accepts no record.
#[must_use]
pub fn unwritable(
    found: &BTreeMap<String, String>,
    replication: u32,
) -> Option<(Severity, String)> {
    let in_sync: u32 = found.get("min.insync.replicas")?.parse().ok()?;
    (in_sync > replication).then(|| {
        let text = format!(
            "min.insync.replicas is {in_sync}, but there are only {replication} replicas: no record can be written; \
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
        // Two of three brokers are down, but the topic still has three replicas.
        assert_eq!(severity(Topic::Changelog, 3, 1), None);
    }

    #[test]
    fn more_replicas_in_sync_than_there_are_cannot_be_written_to() {
        let found = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
        assert!(unwritable(&found, 1).is_some());
        assert_eq!(unwritable(&found, 2), None);
    }
}
