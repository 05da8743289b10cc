//! Whether the internal topics have the partitions that they should.

use flockwise_runtime::topics::{Topic, Topics};

/// Topics of which only the partitions of tasks are written: more of them stay empty and do no harm.
const MAY_HAVE_MORE: [Topic; 3] = [Topic::SegmentChanges, Topic::DeadLetters, Topic::Lineage];

/// Topics that have a partition for each task.
const BY_TASK: [Topic; 4] = [
    Topic::Changelog,
    Topic::Repartition,
    Topic::SegmentChanges,
    Topic::DeadLetters,
];

/// The topics whose number of partitions is wrong, with what to do about it. `found` holds those that are there.
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
            let text = format!(
                "topic {name} has {count} partitions where {expected} are expected: {advice}"
            );
            (*topic, text)
        })
        .collect()
}

fn advice(topics: &Topics, found: &[(Topic, u32)], topic: Topic, count: u32) -> String {
    if topics.partitions(topic) == 1 && !BY_TASK.contains(&topic) {
        return single(topics, topic);
    }
    match agreed(found) {
        // The state was made with another number: the configuration, or an input that it follows, has changed.
        Some(agreed) => format!(
            "a customer's state is bound to its partition, so their number is fixed at first start; set \
             state_partitions = {agreed} as all topics of this app have it, or start under another `app`"
        ),
        None if count > topics.partitions(topic) => format!(
            "it has been enlarged since it was made, which Kafka cannot undo, and state_partitions must not follow \
             it: customers would be in two tasks. {}",
            start_over(topics)
        ),
        None => format!(
            "it was made with fewer than the others; {}",
            start_over(topics)
        ),
    }
}

/// The number of partitions that all topics with one for each task have, where they agree.
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
        "`flockwise reset` makes {} and {} again and reads the inputs from where you say; or start under another `app`",
        topics.name(Topic::Changelog),
        topics.name(Topic::Repartition)
    )
}

/// A topic that has one partition whatever `state_partitions` is.
fn single(topics: &Topics, topic: Topic) -> String {
    let name = topics.name(topic);
    let loss = match topic {
        Topic::Samples => {
            "what the model has been learnt from lately goes with it, and it is learnt on from the version in use"
        }
        Topic::Model => "the model goes with it, and is learnt again with new segments",
        _ => "its records go with it",
    };
    format!(
        "it always has one, whatever state_partitions is; stop all instances, delete {name}, and `flockwise topics \
         --apply` makes it again ({loss})"
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
            text.contains("shop-repartition has 8 partitions where 6"),
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
        // Also where there is one task.
        let wrong = wrong_partitions(&topics(1), &[(Topic::Samples, 3)]);
        assert!(wrong[0].1.contains("delete shop-samples"), "{wrong:?}");
    }
}
