//! Reads the model topic, and sends commands to the trainer.

use std::path::Path;
use std::sync::Arc;

use flockwise_codec::model::decode_publication;
use flockwise_codec::trainer_input::{decode_trainer_input, encode_command};
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{Trainer, TrainerCommand, TrainerInput, WarmUp};
use flockwise_kafka::{KafkaSettings, KafkaTopicClient, admin};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::exit::Failed;
use crate::kafka_settings::{expect_topic, failed, load, pipeline_topics, settings};
use crate::reports::model::versions::VersionHistory;

/// A configured pipeline, not yet connected.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    learning: LearningPolicy,
    settings: KafkaSettings,
    topics: Topics,
}

/// A client of the pipeline's model and samples topics.
pub(crate) struct ModelClient {
    setup: Setup,
    topic_client: KafkaTopicClient,
    /// The next offset to read of the model topic; `None` before the first read.
    next_offset: Option<i64>,
}

/// Offset, key and value.
type PublishedRecord = (i64, Vec<u8>, Vec<u8>);

impl Setup {
    pub(crate) fn of(config: &Path) -> Result<Self, Failed> {
        let config = load(config)?;
        Ok(Self {
            plan: config.plan(),
            learning: config.learning,
            settings: settings(&config, &format!("{}-model", config.app))?,
            // The two topics used here have one partition, so the inputs do not matter.
            topics: pipeline_topics(&config, &[]),
        })
    }

    pub(crate) fn connect(self) -> Result<ModelClient, Failed> {
        expect_topic(&self.settings, &self.topics, Topic::Model)?;
        let topic_client = KafkaTopicClient::connect(self.settings.clone(), self.topics.clone());
        Ok(ModelClient {
            topic_client: topic_client.map_err(failed)?,
            setup: self,
            next_offset: None,
        })
    }
}

impl ModelClient {
    /// All versions. Fails if there is none.
    pub(crate) fn versions(&mut self) -> Result<VersionHistory, Failed> {
        let versions = VersionHistory::of(self.publications()?);
        if versions.is_empty() {
            return Err(Failed::runtime(format!(
                "there is no version on topic {} yet: the first one follows the warm-up (`model.warm_up`); \
                 `flockwise model list` says what it waits for",
                self.topic()
            )));
        }
        Ok(versions)
    }

    /// What the first version waits for, computed from the mini-batches on the samples topic; `None` if nothing.
    pub(crate) fn warm_up(&mut self) -> Result<Option<WarmUp>, Failed> {
        let Setup { plan, learning, .. } = &self.setup;
        let mut trainer = Trainer::new(Arc::new(plan.clone()), *learning, None);
        let read = self.topic_client.read(Topic::Samples, None, &mut |record| {
            let lesson = decode_trainer_input(record.value.unwrap_or_default(), plan);
            if let Ok(TrainerInput::MiniBatch(batch)) = lesson {
                trainer.absorb(batch, record.offset);
            }
        });
        read.map_err(failed)?;
        Ok(trainer.pending_warm_up())
    }

    /// The versions published since the last call and not deleted, in order.
    pub(crate) fn publications(&mut self) -> Result<Vec<Publication>, Failed> {
        let mut records: Vec<PublishedRecord> = Vec::new();
        let next = self
            .topic_client
            .read(Topic::Model, self.next_offset, &mut |record| {
                let key = record.key.unwrap_or_default();
                match record.value {
                    Some(value) => records.push((record.offset, key.to_vec(), value.to_vec())),
                    None => records.retain(|(_, published, _)| published != key),
                }
            });
        self.next_offset = Some(next.map_err(failed)?);
        let read = |(offset, _, value): PublishedRecord| {
            let read = decode_publication(&value, &self.setup.plan);
            let read = read.map(|(publication, _)| publication);
            read.map_err(|error| {
                let topic = self.topic();
                Failed::runtime(format!(
                    "cannot decode the version at offset {offset} of topic {topic}: {error}"
                ))
            })
        };
        records.into_iter().map(read).collect()
    }

    /// The configured features.
    pub(crate) fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// Checks that a version matches the configured features.
    pub(crate) fn check(&self, model: &ModelVersion) -> Result<(), Failed> {
        let made = Model::new(&self.setup.plan, model.clone());
        made.map(drop)
            .map_err(|error| Failed::runtime(format!("version {}: {error}", model.version)))
    }

    pub(crate) fn send(&self, command: &TrainerCommand) -> Result<(), Failed> {
        let samples = TopicPartition {
            topic: Topic::Samples,
            partition: 0,
        };
        let sent = self.topic_client.send(samples, &encode_command(command));
        sent.map(drop).map_err(failed)
    }

    /// The largest record, in bytes, that both can be sent to the trainer and published by it.
    pub(crate) fn largest_record_bytes(&self) -> Result<u64, Failed> {
        let Setup {
            settings, topics, ..
        } = &self.setup;
        let names = [Topic::Samples, Topic::Model].map(|topic| topics.name(topic));
        let found = admin::find(settings, &names).map_err(failed)?;
        let settings_found = found.into_iter().flatten().flatten();
        let limits = settings_found
            .filter_map(|found| found.settings?.get("max.message.bytes")?.parse().ok());
        let own = u64::from(admin::largest_record_bytes(settings));
        Ok(limits.fold(own, u64::min))
    }

    /// The name of the model's topic.
    pub(crate) fn topic(&self) -> String {
        self.setup.topics.name(Topic::Model)
    }
}
