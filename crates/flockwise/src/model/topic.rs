//! Where versions are read, and orders to the trainer are left.

use std::path::Path;
use std::sync::Arc;

use flockwise_codec::model::decode_publication;
use flockwise_codec::trainer_input::{decode_trainer_input, encode_command};
use flockwise_core::model::{Model, ModelParts};
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::{Publication, Trainer, TrainerCommand, TrainerInput, WarmUp};
use flockwise_kafka::{KafkaSettings, KafkaTopicClient, admin};
use flockwise_runtime::topics::{Topic, Topics};

use crate::connection::{failed, load, settings, settled};
use crate::exit::Failed;
use crate::model::versions::Versions;

/// A pipeline as configured, before any broker is asked.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    learning: LearningPolicy,
    settings: KafkaSettings,
    topics: Topics,
}

/// Its model on the brokers.
pub(crate) struct Desk {
    setup: Setup,
    visitor: KafkaTopicClient,
    /// Where versions come that were not read yet.
    next_offset: Option<i64>,
}

impl Setup {
    pub(crate) fn of(config: &Path) -> Result<Self, Failed> {
        let config = load(config)?;
        Ok(Self {
            plan: Plan::compile(&config.features),
            learning: config.learning,
            settings: settings(&config, &format!("{}-model", config.app))?,
            // The topics that matter here have one partition, whatever the inputs have.
            topics: settled(&config, &[]),
        })
    }

    pub(crate) fn connect(self) -> Result<Desk, Failed> {
        self.expect_topic()?;
        let visitor = KafkaTopicClient::connect(self.settings.clone(), self.topics.clone());
        Ok(Desk {
            visitor: visitor.map_err(failed)?,
            setup: self,
            next_offset: None,
        })
    }

    /// Says more than that there is no such topic.
    fn expect_topic(&self) -> Result<(), Failed> {
        let name = self.topics.name(Topic::Model);
        let found = admin::find(&self.settings, std::slice::from_ref(&name)).map_err(failed)?;
        match found[..] {
            [Ok(None)] => Err(Failed::running(format!(
                "there is no topic {name}: `flockwise run` makes it when it first starts, with the `app` of its \
                 configuration"
            ))),
            _ => Ok(()),
        }
    }
}

impl Desk {
    /// The versions there are; there must be one.
    pub(crate) fn versions(&mut self) -> Result<Versions, Failed> {
        let versions = Versions::of(self.news()?);
        if versions.is_empty() {
            return Err(Failed::running(format!(
                "there is no version on topic {} yet: the first comes when so many customers were seen as \
                 `model.warm_up` says",
                self.topic()
            )));
        }
        Ok(versions)
    }

    /// What the first version waits for, from the mini-batches that the trainer has been sent.
    pub(crate) fn warm_up(&mut self) -> Result<Option<WarmUp>, Failed> {
        let Setup { plan, learning, .. } = &self.setup;
        let mut trainer = Trainer::new(Arc::new(plan.clone()), *learning, None);
        let read = self.visitor.read(Topic::Samples, None, &mut |record| {
            let lesson = decode_trainer_input(record.value.unwrap_or_default(), plan);
            if let Ok(TrainerInput::MiniBatch(batch)) = lesson {
                trainer.absorb(batch, record.offset);
            }
        });
        read.map_err(failed)?;
        Ok(trainer.pending_warm_up())
    }

    /// What was published since it was last asked, in order.
    pub(crate) fn news(&mut self) -> Result<Vec<Publication>, Failed> {
        let mut records = Vec::new();
        let next = self
            .visitor
            .read(Topic::Model, self.next_offset, &mut |record| {
                records.extend(record.value.map(|value| (record.offset, value.to_vec())));
            });
        self.next_offset = Some(next.map_err(failed)?);
        let read = |(offset, value): (i64, Vec<u8>)| {
            let read = decode_publication(&value, &self.setup.plan);
            let read = read.map(|(publication, _)| publication);
            read.map_err(|error| {
                let topic = self.topic();
                Failed::running(format!(
                    "the version at offset {offset} of topic {topic}: {error}"
                ))
            })
        };
        records.into_iter().map(read).collect()
    }

    /// The features as configured.
    pub(crate) fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// Checks that a version goes with the configuration.
    pub(crate) fn check(&self, model: &ModelParts) -> Result<(), Failed> {
        let made = Model::new(&self.setup.plan, model.clone());
        made.map(drop)
            .map_err(|error| Failed::running(format!("version {}: {error}", model.version)))
    }

    pub(crate) fn leave(&self, command: &TrainerCommand) -> Result<(), Failed> {
        let sent = self.visitor.send(Topic::Samples, &encode_command(command));
        sent.map_err(failed)
    }

    /// The largest record, in bytes, that the trainer can be sent and can publish.
    pub(crate) fn largest(&self) -> Result<u64, Failed> {
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
