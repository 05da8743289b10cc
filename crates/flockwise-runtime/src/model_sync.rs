//! The model versions that a worker scores with, and how it keeps up with the model topic.

use std::sync::Arc;

use flockwise_core::task::Versions;

use crate::batch::Record;
use crate::broker::{Broker, Failure, Replayed, Start};
use crate::model_log::ModelLog;
use crate::restore::MAX_HELD_READS;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

const MODEL: TopicPartition = TopicPartition {
    topic: Topic::Model,
    partition: 0,
};

impl<B: Broker> Worker<B> {
    /// Reads the versions published since this process last looked, so that tasks score with the newest from their
    /// first event on. A new trainer ends what the one before has left open.
    pub(crate) fn load_model(&mut self, is_new_trainer: bool) -> Result<(), Failure> {
        self.shared_models.catch_up(&mut self.models);
        self.read_versions(is_new_trainer)?;
        let versions = self.latest_versions()?;
        self.shared_models.share(&self.models);
        if versions.is_some() && std::mem::take(&mut self.is_imported) {
            tracing::info!("the model topic has a model: the imported one was for the first start");
            self.versions = None;
        }
        versions
            .into_iter()
            .for_each(|versions| self.use_versions(versions));
        Ok(())
    }

    /// Reads on to the end of the model topic. One that a trainer is just publishing is waited for.
    fn read_versions(&mut self, is_new_trainer: bool) -> Result<(), Failure> {
        for held in 0..MAX_HELD_READS {
            match self.read_on()? {
                Replayed::Whole(_) => return Ok(()),
                Replayed::Held(next) => {
                    if held == 0 && is_new_trainer {
                        self.end_open_model_transaction(next)?;
                    }
                }
                Replayed::Gone => {
                    tracing::warn!(
                        "the model topic does not hold what was read of it; it is read from its start"
                    );
                    self.models = ModelLog::default();
                    self.shared_models.clear();
                }
            }
        }
        Err(Failure::Fatal(format!(
            "a transaction is open in {} and does not end",
            self.pipeline.topics.name(Topic::Model)
        )))
    }

    fn read_on(&mut self) -> Result<Replayed, Failure> {
        let Self { broker, models, .. } = self;
        let mut unfit = None;
        let replayed = broker.replay(MODEL, models.next_offset, &mut |record| {
            let taken = models.take(record.offset, record.value);
            unfit = unfit.take().or(taken.err());
        })?;
        unfit.map_or(Ok(replayed), |error| Err(self.unfit(&error)))
    }

    /// Ends the transaction of the former trainer, who was publishing a version: dead, or about to find out
    /// that it is not the trainer any more.
    fn end_open_model_transaction(&mut self, next: i64) -> Result<(), Failure> {
        let mut trainer = None;
        self.broker.read_uncommitted(MODEL, next, &mut |record| {
            let name = record.origin.and_then(|name| str::from_utf8(name).ok());
            trainer = trainer.take().or_else(|| name.map(str::to_owned));
        })?;
        match trainer.filter(|trainer| trainer != self.broker.transactional_id()) {
            Some(trainer) => {
                tracing::warn!(trainer, "a trainer left a transaction open; it is ended");
                self.broker.fence(&trainer)
            }
            None => Ok(()),
        }
    }

    /// Where to read new versions from.
    pub(crate) fn model_read(&self) -> (TopicPartition, Start) {
        let next = self.models.next_offset;
        (MODEL, next.map_or(Start::Earliest, Start::Offset))
    }

    /// Takes a published version into use, unless it is held.
    pub(crate) fn adopt(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let taken = self.models.take(record.offset, record.value);
        taken.map_err(|error| self.unfit(&error))?;
        if let Some(versions) = self.latest_versions()? {
            self.use_versions(versions);
        }
        self.shared_models.share(&self.models);
        Ok(())
    }

    fn latest_versions(&mut self) -> Result<Option<Versions>, Failure> {
        let versions = self.models.versions(&self.pipeline.task.plan);
        versions.map_err(|error| self.unfit(&error))
    }

    pub(crate) fn unfit(&self, error: &str) -> Failure {
        Failure::Config(format!(
            "the model on topic {} cannot be used: {error}",
            self.pipeline.topics.name(Topic::Model)
        ))
    }

    /// Scores with these from now on, unless it already does, or has newer ones.
    fn use_versions(&mut self, versions: Versions) {
        let version = versions.current.version();
        let in_use = self.versions.as_ref();
        if in_use.is_some_and(|in_use| version <= in_use.current.version()) {
            return;
        }
        self.is_imported = false;
        if self.versions.is_none() {
            self.tasks
                .values_mut()
                .for_each(RunningTask::look_for_unassigned);
        }
        self.meter.model_version = version;
        self.meter.segments = versions.current.segments().len() as u64;
        let before = self
            .versions
            .take()
            .map(|versions| Arc::clone(&versions.current));
        self.versions = Some(Versions {
            previous: versions.previous.or(before),
            ..versions
        });
    }
}
