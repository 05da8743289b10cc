//! The topics of a pipeline as the brokers have them, against what they should be.

use std::collections::BTreeMap;

use flockwise_codec::pipeline::PipelineRecord;
use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{
    self, Alteration, Found, FoundTopic, Severity, Survey, TopicSetting, wrong_partitions,
};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use serde::Serialize;

use crate::connection::{reason, settled};
use crate::pinned;

/// Every topic of a pipeline as it is, and its group.
pub(crate) struct Cluster {
    /// Inputs by name, in the order of the configuration.
    pub(crate) inputs: Vec<(String, Found)>,
    pub(crate) survey: Survey,
    /// What the pipeline's state was made with, if it has worked before.
    pub(crate) record: Option<PipelineRecord>,
}

/// An internal topic as it is and as it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    #[serde(skip)]
    pub(crate) kind: Topic,
    pub(crate) topic: String,
    pub(crate) state: State,
    /// As it should have.
    pub(crate) partitions: u32,
    pub(crate) partitions_found: Option<u32>,
    pub(crate) replication_found: Option<u32>,
    /// As it should have; more than these may be set.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// Those of the settings above as they are; empty where they may not be seen.
    pub(crate) settings_found: BTreeMap<&'static str, String>,
    /// What keeps `run` from starting, and what to do about it.
    pub(crate) problems: Vec<String>,
    /// What is worth mending.
    pub(crate) warnings: Vec<String>,
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
    ///
    /// # Errors
    /// Where none answers.
    pub(crate) fn look(config: &Config, settings: &KafkaSettings) -> Result<Self, Failure> {
        // The names alone, which do not depend on the partitions.
        let topics = settled(config, &[]);
        let mut survey = admin::survey(settings, &topics)?;
        let found = std::mem::take(&mut survey.inputs);
        let inputs = topics.inputs.into_iter().zip(found).collect();
        let mut pipeline = survey.internal.iter();
        let is_recorded = pipeline
            .any(|(topic, found)| *topic == Topic::Pipeline && matches!(found, Ok(Some(_))));
        let record = match is_recorded {
            true => pinned::read(config, settings)?,
            false => None,
        };
        Ok(Self {
            inputs,
            survey,
            record,
        })
    }

    /// Partitions of the inputs that are there, in order.
    pub(crate) fn input_partitions(&self) -> Vec<u32> {
        self.inputs
            .iter()
            .filter_map(|(_, found)| Some(found.as_ref().ok()?.as_ref()?.partitions))
            .collect()
    }

    /// The pipeline's topics with their sizes; `None` where these follow from an input that is not
    /// there.
    pub(crate) fn topics(&self, config: &Config) -> Option<Topics> {
        let partitions = self.input_partitions();
        let configured = config.state_partitions;
        // Their number is fixed at first start, whatever inputs come and go later.
        let fixed = configured.or(self.record.as_ref().map(|record| record.state_partitions));
        let is_known = fixed.is_some() || partitions.len() == self.inputs.len();
        is_known.then(|| {
            let topics = settled(config, &partitions);
            Topics {
                state_partitions: fixed.unwrap_or(topics.state_partitions),
                ..topics
            }
        })
    }

    /// Every internal topic beside what it should be.
    pub(crate) fn standings(&self, topics: &Topics) -> Vec<Standing> {
        let wrong = wrong_partitions(topics, &self.survey.partitions());
        let standing = |(topic, found): &(Topic, Found)| {
            let wrong = wrong.iter().filter(|(of, _)| of == topic);
            let wrong = wrong.map(|(_, text)| text.clone()).collect();
            standing(topics, *topic, found, self.survey.brokers, wrong)
        };
        self.survey.internal.iter().map(standing).collect()
    }

    /// What mends the settings that differ.
    pub(crate) fn alterations(&self, topics: &Topics) -> Vec<Alteration> {
        let alteration = |(topic, found): &(Topic, Found)| {
            let found = found.as_ref().ok()?.as_ref()?;
            let is_set = found.settings.as_ref()?;
            let differs = |setting: &TopicSetting| {
                let value = is_set.get(setting.key)?;
                setting.judge(value)
            };
            let wanted = admin::topic_settings(*topic, found.replication);
            let settings: Vec<_> = wanted
                .into_iter()
                .filter(|setting| differs(setting).is_some())
                .map(|setting| (setting.key, setting.value))
                .collect();
            let topic = topics.name(*topic);
            (!settings.is_empty()).then_some(Alteration { topic, settings })
        };
        self.survey.internal.iter().filter_map(alteration).collect()
    }
}

fn standing(
    topics: &Topics,
    topic: Topic,
    found: &Found,
    brokers: u32,
    mut problems: Vec<String>,
) -> Standing {
    let there = found.as_ref().ok().and_then(Option::as_ref);
    let replication = there.map_or(brokers.min(3), |found| found.replication);
    let wanted = admin::topic_settings(topic, replication);
    let mut warnings = Vec::new();
    match found {
        Ok(Some(found)) => {
            for (severity, text) in differences(topic, found, &wanted, brokers) {
                match severity {
                    Severity::Problem => problems.push(text),
                    Severity::Warning => warnings.push(text),
                }
            }
        }
        Ok(None) => {}
        Err(failure) => problems.push(reason(failure).to_owned()),
    }
    let state = match (found, problems.is_empty()) {
        (Ok(None), true) => State::Missing,
        (_, true) => State::Right,
        (_, false) => State::Wrong,
    };
    Standing {
        kind: topic,
        topic: topics.name(topic),
        state,
        partitions: topics.partitions(topic),
        partitions_found: there.map(|found| found.partitions),
        replication_found: there.map(|found| found.replication),
        settings_found: seen(&wanted, there),
        settings: wanted
            .into_iter()
            .map(|setting| (setting.key, setting.value))
            .collect(),
        problems,
        warnings,
    }
}

fn seen(wanted: &[TopicSetting], found: Option<&FoundTopic>) -> BTreeMap<&'static str, String> {
    let Some(settings) = found.and_then(|found| found.settings.as_ref()) else {
        return BTreeMap::new();
    };
    let value = |setting: &TopicSetting| Some((setting.key, settings.get(setting.key)?.clone()));
    wanted.iter().filter_map(value).collect()
}

fn differences(
    topic: Topic,
    found: &FoundTopic,
    wanted: &[TopicSetting],
    brokers: u32,
) -> Vec<(Severity, String)> {
    let mut differences: Vec<_> = admin::replication(topic, found.replication, brokers)
        .into_iter()
        .collect();
    let Some(settings) = &found.settings else {
        differences.push((
            Severity::Warning,
            "its settings may not be seen, so it is not known whether records can be lost; give the \
             principal DescribeConfigs on it"
                .to_owned(),
        ));
        return differences;
    };
    differences.extend(admin::unwritable(settings, found.replication));
    let differing = admin::differing(wanted, settings).into_iter();
    differences.extend(differing.map(|(severity, text)| {
        let text = format!("{text}; `flockwise topics --apply` sets it");
        (severity, text)
    }));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics {
            app: "shop".to_owned(),
            inputs: Vec::new(),
            state_partitions: 6,
        }
    }

    fn found(settings: Option<&[(&str, &str)]>) -> Found {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Ok(Some(FoundTopic {
            partitions: 6,
            replication: 3,
            rights: None,
            settings: settings.map(|settings| settings.iter().map(own).collect()),
        }))
    }

    fn stands(topic: Topic, found: &Found) -> Standing {
        standing(&topics(), topic, found, 3, Vec::new())
    }

    #[test]
    fn what_is_as_it_should_be_or_not_there_is_no_problem() {
        let larger = [
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "9000000"),
            ("delete.retention.ms", "172800000"),
        ];
        let right = stands(Topic::Changelog, &found(Some(&larger)));
        assert_eq!(right.state, State::Right);
        assert!(right.warnings.is_empty(), "{:?}", right.warnings);
        assert_eq!(right.settings_found["max.message.bytes"], "9000000");
        assert_eq!(stands(Topic::Changelog, &Ok(None)).state, State::Missing);
        let hidden = stands(Topic::Model, &found(None));
        assert_eq!(hidden.state, State::Right);
        assert!(hidden.warnings[0].contains("DescribeConfigs"));
    }

    #[test]
    fn every_difference_is_told_with_what_mends_it() {
        let differing = [
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "1048588"),
        ];
        let wrong = stands(Topic::Changelog, &found(Some(&differing)));
        assert_eq!(wrong.state, State::Wrong);
        let problems = wrong.problems.join("\n");
        for part in [
            "cleanup.policy is delete, expected compact:",
            "max.message.bytes is 1048588, expected 4194304:",
            "`flockwise topics --apply` sets it",
        ] {
            assert!(problems.contains(part), "{part}\n{problems}");
        }
        let refused = Err(Failure::Config("no permission".to_owned()));
        let refused = stands(Topic::Model, &refused);
        assert_eq!(refused.state, State::Wrong);
        assert_eq!(refused.problems, ["no permission"]);
    }
}
