//! Compares a pipeline's topics on the brokers with what they should be.

use std::collections::BTreeMap;

use flockwise_codec::pipeline_record::PipelineRecord;
use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{
    self, Alteration, Found, FoundTopic, Severity, Survey, TopicSetting, wrong_partitions,
};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use serde::Serialize;

use crate::admin::check_pipeline_record;
use crate::kafka_settings::{pipeline_topics, reason};

/// The topics of a pipeline and its consumer group, as the brokers describe them.
pub(crate) struct Cluster {
    /// Inputs with their names, in the order of the configuration.
    pub(crate) inputs: Vec<(String, Found)>,
    pub(crate) survey: Survey,
    /// The pipeline record; `None` before the first start.
    pub(crate) record: Option<PipelineRecord>,
}

/// What was found of an internal topic, and what was expected. `topics --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct TopicStatus {
    #[serde(skip)]
    pub(crate) kind: Topic,
    pub(crate) topic: String,
    pub(crate) state: TopicState,
    /// The expected number.
    pub(crate) partitions: u32,
    /// `None` if the topic is missing or cannot be described.
    pub(crate) partitions_found: Option<u32>,
    pub(crate) replication_found: Option<u32>,
    /// The expected settings. A topic may have more.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// The current values of these settings; empty without permission to read them.
    pub(crate) settings_found: BTreeMap<&'static str, String>,
    /// Reasons for `run` not to start, with what to do about each.
    pub(crate) problems: Vec<String>,
    /// Findings that should be corrected, but do not keep `run` from starting.
    pub(crate) warnings: Vec<String>,
}

/// The result for one internal topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TopicState {
    /// As it should be, maybe with warnings.
    #[serde(rename = "right")]
    Correct,
    /// The topic does not exist.
    Missing,
    /// It has problems.
    Wrong,
}

impl Cluster {
    /// Asks the brokers for the topics, the group and the pipeline record.
    ///
    /// # Errors
    /// If no broker answers.
    pub(crate) fn inspect(config: &Config, settings: &KafkaSettings) -> Result<Self, Failure> {
        // Only for the names, which do not depend on the number of partitions.
        let topics = pipeline_topics(config, &[]);
        let mut survey = admin::survey(settings, &topics)?;
        let found = std::mem::take(&mut survey.inputs);
        let inputs = topics.inputs.into_iter().zip(found).collect();
        let mut pipeline = survey.internal.iter();
        let is_recorded = pipeline
            .any(|(topic, found)| *topic == Topic::Pipeline && matches!(found, Ok(Some(_))));
        let record = match is_recorded {
            true => check_pipeline_record::read(config, settings)?,
            false => None,
        };
        Ok(Self {
            inputs,
            survey,
            record,
        })
    }

    /// Partition counts of the inputs that exist, in the order of the configuration.
    pub(crate) fn input_partitions(&self) -> Vec<u32> {
        self.inputs
            .iter()
            .filter_map(|(_, found)| Some(found.as_ref().ok()?.as_ref()?.partitions))
            .collect()
    }

    /// The pipeline's topics with their partition counts; `None` if these depend on an input that does not
    /// exist.
    pub(crate) fn topics(&self, config: &Config) -> Option<Topics> {
        let partitions = self.input_partitions();
        let configured = config.state_partitions;
        // The number is fixed at the first start, whatever inputs are added or removed later.
        let fixed = configured.or(self.record.as_ref().map(|record| record.state_partitions));
        let is_known = fixed.is_some() || partitions.len() == self.inputs.len();
        is_known.then(|| {
            let topics = pipeline_topics(config, &partitions);
            Topics {
                state_partitions: fixed.unwrap_or(topics.state_partitions),
                ..topics
            }
        })
    }

    /// Compares every internal topic with what it should be.
    pub(crate) fn statuses(&self, topics: &Topics) -> Vec<TopicStatus> {
        let wrong = wrong_partitions(topics, &self.survey.partitions());
        let status = |(topic, found): &(Topic, Found)| {
            let wrong = wrong.iter().filter(|(of, _)| of == topic);
            let wrong = wrong.map(|(_, text)| text.clone()).collect();
            status(topics, *topic, found, self.survey.brokers, wrong)
        };
        self.survey.internal.iter().map(status).collect()
    }

    /// The changes that correct differing settings.
    pub(crate) fn alterations(&self, topics: &Topics) -> Vec<Alteration> {
        let alteration = |(topic, found): &(Topic, Found)| {
            let found = found.as_ref().ok()?.as_ref()?;
            let current = found.settings.as_ref()?;
            let differs = |setting: &TopicSetting| {
                let value = current.get(setting.key)?;
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

fn status(
    topics: &Topics,
    topic: Topic,
    found: &Found,
    brokers: u32,
    mut problems: Vec<String>,
) -> TopicStatus {
    let existing = found.as_ref().ok().and_then(Option::as_ref);
    let replication = existing.map_or(brokers.min(3), |found| found.replication);
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
        (Ok(None), true) => TopicState::Missing,
        (_, true) => TopicState::Correct,
        (_, false) => TopicState::Wrong,
    };
    TopicStatus {
        kind: topic,
        topic: topics.name(topic),
        state,
        partitions: topics.partitions(topic),
        partitions_found: existing.map(|found| found.partitions),
        replication_found: existing.map(|found| found.replication),
        settings_found: current_settings(&wanted, existing),
        settings: wanted
            .into_iter()
            .map(|setting| (setting.key, setting.value))
            .collect(),
        problems,
        warnings,
    }
}

fn current_settings(
    wanted: &[TopicSetting],
    found: Option<&FoundTopic>,
) -> BTreeMap<&'static str, String> {
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
            "the principal may not read its settings, so it is unknown whether records can be lost; grant the \
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

    fn status_of(topic: Topic, found: &Found) -> TopicStatus {
        status(&topics(), topic, found, 3, Vec::new())
    }

    #[test]
    fn what_is_as_it_should_be_or_not_there_is_no_problem() {
        let larger = [
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "9000000"),
            ("delete.retention.ms", "172800000"),
        ];
        let right = status_of(Topic::Changelog, &found(Some(&larger)));
        assert_eq!(right.state, TopicState::Correct);
        assert!(right.warnings.is_empty(), "{:?}", right.warnings);
        assert_eq!(right.settings_found["max.message.bytes"], "9000000");
        assert_eq!(
            status_of(Topic::Changelog, &Ok(None)).state,
            TopicState::Missing
        );
        let hidden = status_of(Topic::Model, &found(None));
        assert_eq!(hidden.state, TopicState::Correct);
        assert!(hidden.warnings[0].contains("DescribeConfigs"));
    }

    #[test]
    fn every_difference_is_told_with_what_mends_it() {
        let differing = [
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "1048588"),
        ];
        let wrong = status_of(Topic::Changelog, &found(Some(&differing)));
        assert_eq!(wrong.state, TopicState::Wrong);
        let problems = wrong.problems.join("\n");
        for part in [
            "cleanup.policy is delete, expected compact:",
            "max.message.bytes is 1048588, expected 4194304:",
            "`flockwise topics --apply` sets it",
        ] {
            assert!(problems.contains(part), "{part}\n{problems}");
        }
        let refused = Err(Failure::Config("no permission".to_owned()));
        let refused = status_of(Topic::Model, &refused);
        assert_eq!(refused.state, TopicState::Wrong);
        assert_eq!(refused.problems, ["no permission"]);
    }
}
