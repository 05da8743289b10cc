//! Checks the partition counts of the internal topics.

use flockwise_runtime::topics::{Topic, Topics};

/// Topics that may have more partitions than tasks: only those of tasks are written, the others stay empty.
const MAY_HAVE_MORE: [Topic; 3] = [Topic::SegmentChanges, Topic::DeadLetters, Topic::Lineage];

/// Topics with one partition per task.
const BY_TASK: [Topic; 4] = [
    Topic::Changelog,
    Topic::Repartition,
    Topic::SegmentChanges,
    Topic::DeadLetters,
];

/// The topics with a wrong partition count, and what to do about each. `found` holds the existing topics' counts.
#[must_use]
pub fn wrong_partitions(topics: &Topics, found: &[(Topic, u32)]) -> Vec<(Topic, String)> {
    let is_wrong = |(topic, count): &&(Topic, u32)| {
        let expected = topics.partitions(*topic);
        *count < expected || (*count > expected && !MAY_HAVE_MORE.contains(topic))
    };
    let wrong: Vec<&(Topic, u32)> = found.iter().filter(is_wrong).collect();
    wrong
        .into_iter()
        .map(|(topic, count)| {
            let name = topics.name(*topic);
            let expected = topics.partitions(*topic);
            let advice = advice(topics, found, *topic, *count);
            let text =
                format!("topic {name} has {count} partitions, expected {expected}: {advice}");
            (*topic, text)
        })
        .collect()
}

fn advice(topics: &Topics, found: &[(Topic, u32)], topic: Topic, count: u32) -> String {
    if topics.partitions(topic) == 1 && !BY_TASK.contains(&topic) {
        return single(topics, topic);
    }
    match agreed(found) {
        // The state was made with another number: the configuration changed, or an input that it is derived from.
        Some(agreed) => format!(
            "a customer's state is bound to its partition, so the number is fixed at the first start; set \
             state_partitions = {agreed}, as in all topics of this app, or start under another `app`"
        ),
        None if count > topics.partitions(topic) => format!(
            "partitions were added after its creation, which Kafka cannot undo; do not raise state_partitions to \
             match, since customers would then be in two tasks. {}",
            start_over(topics)
        ),
        None => format!(
            "it was created with fewer than the others; {}",
            start_over(topics)
        ),
    }
}

/// The partition count that all topics with one partition per task agree on; `None` if they differ.
fn agreed(found: &[(Topic, u32)]) -> Option<u32> {
    let mut counts = found
        .iter()
        .filter(|(topic, _)| BY_TASK.contains(topic))
        .map(|(_, count)| *count);
    let first = counts.next()?;
    counts.all(|count| count == first).then_some(first)
}

fn start_over(topics: &Topics) -> String {
    format!(
        "`flockwise reset` recreates {} and {} and reads the inputs from where you choose; or start under another `app`",
        topics.name(Topic::Changelog),
        topics.name(Topic::Repartition)
    )
}

/// Advice for a topic that always has one partition.
fn single(topics: &Topics, topic: Topic) -> String {
    let name = topics.name(topic);
    let loss = match topic {
        Topic::Samples => {
            "this loses the latest samples; learning continues from the version in use"
        }
        Topic::Model => "this loses the model; a new one is learned, with new segments",
        _ => "this loses its records",
    };
    format!(
        "it always has one, whatever state_partitions is; stop all instances, delete {name}, and recreate it with \
         `flockwise topics --apply` ({loss})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(state_partitions: u32) -> Topics {
        Topics {
            app: "shop".to_owned(),
            inputs: Vec::new(),
            state_partitions,
        }
    }

    fn advice(found: &[(Topic, u32)]) -> String {
        let wrong = wrong_partitions(&topics(6), found).into_iter();
        let lines: Vec<String> = wrong.map(|(_, text)| text).collect();
        lines.join("\n")
    }

    #[test]
    fn where_all_agree_the_configuration_has_changed() {
        let found = BY_TASK.map(|topic| (topic, 4));
        let text = advice(&found);
        assert_eq!(
            text.matches("set state_partitions = 4").count(),
            4,
            "{text}"
        );
    }

    #[test]
    fn state_partitions_must_not_follow_a_topic_that_was_enlarged() {
        let found = BY_TASK.map(|topic| (topic, if topic == Topic::Repartition { 8 } else { 6 }));
        let text = advice(&found);
        assert!(
            text.contains("shop-repartition has 8 partitions, expected 6"),
            "{text}"
        );
        assert!(!text.contains("set state_partitions"), "{text}");
        assert!(text.contains("flockwise reset"), "{text}");
    }

    #[test]
    fn outputs_may_have_more_partitions_but_not_fewer() {
        let mut found = BY_TASK.map(|topic| (topic, 6));
        found[2].1 = 8;
        assert_eq!(advice(&found), "");
        found[2].1 = 5;
        assert!(advice(&found).contains("fewer"), "{found:?}");
    }

    #[test]
    fn samples_have_one_partition_whatever_is_configured() {
        let text = advice(&[(Topic::Samples, 3), (Topic::Changelog, 6)]);
        assert!(text.contains("it always has one"), "{text}");
        assert!(!text.contains("set state_partitions"), "{text}");
        // With one task, too.
        let wrong = wrong_partitions(&topics(1), &[(Topic::Samples, 3)]);
        assert!(wrong[0].1.contains("delete shop-samples"), "{wrong:?}");
    }
}
