//! The topics of a pipeline as the brokers have them, against what they should be.

use std::collections::BTreeMap;

use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{self, Found};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use serde::Serialize;

use crate::connection::{input_names, reason, settled};
use crate::exit::Failed;

/// Every topic of a pipeline as it is.
pub(crate) struct Cluster {
    /// By name, in the order of the configuration.
    pub(crate) inputs: Vec<(String, Found)>,
    internal: Vec<(Topic, Found)>,
}

/// An internal topic as it is and as it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    pub(crate) topic: String,
    pub(crate) state: State,
    /// As it should have.
    pub(crate) partitions: u32,
    pub(crate) partitions_found: Option<u32>,
    /// As it should have; more than these may be set.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// What is wrong and what to do about it.
    pub(crate) problems: Vec<String>,
}

/// How an internal topic stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Right,
    Missing,
    Wrong,
}

impl Cluster {
    /// Asks the brokers.
    pub(crate) fn look(config: &Config, settings: &KafkaSettings) -> Result<Self, Failure> {
        Self::by(config, |names| admin::survey(settings, names))
    }

    /// Asks the brokers what is there, and not with which settings.
    pub(crate) fn glance(config: &Config, settings: &KafkaSettings) -> Result<Self, Failure> {
        Self::by(config, |names| admin::count(settings, names))
    }

    fn by(
        config: &Config,
        find: impl FnOnce(&[String]) -> Result<Vec<Found>, Failure>,
    ) -> Result<Self, Failure> {
        let inputs = input_names(config);
        // The names alone, which do not depend on the partitions.
        let topics = settled(config, &[]);
        let internal = Topics::internal();
        let mut names = inputs.clone();
        names.extend(internal.map(|topic| topics.name(topic)));
        let mut found = find(&names)?.into_iter();
        let inputs = inputs.into_iter().zip(found.by_ref()).collect();
        Ok(Self {
            inputs,
            internal: internal.into_iter().zip(found).collect(),
        })
    }

    /// Partitions of every input, in order; all must be there.
    pub(crate) fn input_partitions(&self) -> Result<Vec<u32>, Failed> {
        let partitions = |(name, found): &(String, Found)| match found {
            Ok(Some(found)) => Ok(found.partitions),
            Ok(None) => Err(Failed::running(format!(
                "there is no topic {name}; create it, or correct its name in the configuration (a \
                 principal without permission to describe a topic is told the same)"
            ))),
            Err(failure) => Err(Failed::running(reason(failure))),
        };
        self.inputs.iter().map(partitions).collect()
    }

    /// The pipeline's topics with their sizes; `None` where these follow from an input that is not
    /// there.
    pub(crate) fn topics(&self, config: &Config) -> Option<Topics> {
        let partitions: Vec<u32> = self
            .inputs
            .iter()
            .filter_map(|(_, found)| Some(found.as_ref().ok()?.as_ref()?.partitions))
            .collect();
        let is_known = config.state_partitions.is_some() || partitions.len() == self.inputs.len();
        is_known.then(|| settled(config, &partitions))
    }

    /// Every internal topic beside what it should be.
    pub(crate) fn standings(&self, topics: &Topics) -> Vec<Standing> {
        self.internal
            .iter()
            .map(|(topic, found)| standing(topics, *topic, found))
            .collect()
    }
}

fn standing(topics: &Topics, topic: Topic, found: &Found) -> Standing {
    let name = topics.name(topic);
    let partitions = topics.partitions(topic);
    let settings: BTreeMap<_, _> = admin::topic_settings(topic).into_iter().collect();
    let (problems, is_missing) = match found {
        Ok(None) => (Vec::new(), true),
        Ok(Some(found)) => {
            let differing = found
                .settings
                .iter()
                .flat_map(|found| differing(&name, &settings, found));
            (
                recount(topic, partitions, found.partitions)
                    .into_iter()
                    .chain(differing)
                    .collect(),
                false,
            )
        }
        Err(failure) => (vec![reason(failure).to_owned()], false),
    };
    let state = match (is_missing, problems.is_empty()) {
        (true, _) => State::Missing,
        (false, true) => State::Right,
        (false, false) => State::Wrong,
    };
    let partitions_found = found
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .map(|found| found.partitions);
    Standing {
        topic: name,
        state,
        partitions,
        partitions_found,
        settings,
        problems,
    }
}

fn recount(topic: Topic, expected: u32, found: u32) -> Option<String> {
    if found == expected {
        return None;
    }
    let way_out = match topic {
        Topic::Deltas | Topic::Model | Topic::Lineage => {
            "delete it, and `flockwise topics --apply` makes it anew".to_owned()
        }
        _ => format!(
            "their number is fixed at first start: set state_partitions = {found}, or start anew under \
             another `app`"
        ),
    };
    Some(format!(
        "has {found} partitions, expected {expected}; {way_out}"
    ))
}

fn differing(
    topic: &str,
    expected: &BTreeMap<&'static str, String>,
    found: &BTreeMap<String, String>,
) -> Vec<String> {
    expected
        .iter()
        .filter_map(|(key, expected)| {
            let found = found
                .get(*key)
                .filter(|found| !suffices(key, found, expected))?;
            Some(format!(
                "{key} is {found}, expected {expected}; set it with `kafka-configs.sh --alter \
                 --entity-type topics --entity-name {topic} --add-config {key}={expected}`"
            ))
        })
        .collect()
}

/// Larger records than needed do no harm.
fn suffices(key: &str, found: &str, expected: &str) -> bool {
    let bytes = |text: &str| text.parse::<u64>().ok();
    match key {
        "max.message.bytes" => bytes(found) >= bytes(expected),
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use flockwise_kafka::admin::FoundTopic;

    use super::*;

    fn topics() -> Topics {
        Topics {
            app: "shop".to_owned(),
            inputs: Vec::new(),
            state_partitions: 6,
        }
    }

    fn found(partitions: u32, settings: &[(&str, &str)]) -> Found {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Ok(Some(FoundTopic {
            partitions,
            settings: Some(settings.iter().map(own).collect()),
        }))
    }

    fn stands(topic: Topic, found: &Found) -> (State, String) {
        let standing = standing(&topics(), topic, found);
        (standing.state, standing.problems.join("\n"))
    }

    #[test]
    fn what_is_as_it_should_be_or_not_there_is_no_problem() {
        let larger = [
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "9000000"),
        ];
        let none = String::new();
        assert_eq!(
            stands(Topic::Changelog, &found(6, &larger)),
            (State::Right, none.clone())
        );
        assert_eq!(
            stands(Topic::Changelog, &Ok(None)),
            (State::Missing, none.clone())
        );
        let hidden = Ok(Some(FoundTopic {
            partitions: 1,
            settings: None,
        }));
        assert_eq!(stands(Topic::Model, &hidden), (State::Right, none));
    }

    #[test]
    fn every_difference_is_told_with_the_way_out() {
        let differing = [
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "1048588"),
        ];
        let (state, problems) = stands(Topic::Changelog, &found(4, &differing));
        assert_eq!(state, State::Wrong);
        for part in [
            "has 4 partitions, expected 6; their number is fixed at first start: set state_partitions = 4",
            "cleanup.policy is delete, expected compact; set it with",
            "--entity-name shop-changelog --add-config max.message.bytes=4194304",
        ] {
            assert!(problems.contains(part), "{part}\n{problems}");
        }
        let (_, problems) = stands(Topic::Deltas, &found(2, &[]));
        assert!(
            problems.starts_with("has 2 partitions, expected 1; delete it"),
            "{problems}"
        );
        let refused = Err(Failure::Config("no permission".to_owned()));
        assert_eq!(
            stands(Topic::Model, &refused),
            (State::Wrong, "no permission".to_owned())
        );
    }
}
