//! Follows the model topic.

use std::sync::Arc;

use flockwise_core::task::Versions;

use super::MODEL;
use crate::batch::Record;
use crate::broker::{Broker, Failure, Replayed};
use crate::model_log::ModelLog;
use crate::restore_tasks::MAX_HELD_READS;
use crate::topics::Topic;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Reads the versions published since this process last read the model topic, so that tasks score with the newest one
    /// from their first event on. A new trainer ends the transaction that the former trainer left open.
    pub(crate) fn load_model(&mut self, is_new_trainer: bool) -> Result<(), Failure> {
        self.model.shared.catch_up(&mut self.model.log);
        self.read_versions(is_new_trainer)?;
        let versions = self.latest_versions()?;
        self.model.shared.share(&self.model.log);
        if versions.is_some() && std::mem::take(&mut self.model.is_imported) {
            tracing::info!(
                "`model.import` is ignored: it is for the first start, and the model topic already has a model"
            );
            self.model.versions = None;
        }
        if let Some(versions) = versions {
            self.use_versions(versions);
        }
        Ok(())
    }

    /// Reads the model topic to its end. Waits for a version that a trainer is publishing.
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
                        "records that were read before are missing from the model topic: reading it again from its start"
                    );
                    self.model.log = ModelLog::default();
                    self.model.shared.clear();
                }
            }
        }
        Err(Failure::Fatal(format!(
            "a transaction stays open on topic {}: find it with `kafka-transactions.sh find-hanging` and abort it",
            self.pipeline.topics.name(Topic::Model)
        )))
    }

    fn read_on(&mut self) -> Result<Replayed, Failure> {
        let (broker, log) = (&mut self.broker, &mut self.model.log);
        let mut unfit = None;
        let replayed = broker.replay(MODEL, log.next_offset, &mut |record| {
            let taken = log.take(record.offset, record.value);
            unfit = unfit.take().or(taken.err());
        })?;
        unfit.map_or(Ok(replayed), |error| Err(self.unfit(&error)))
    }

    /// Ends the transaction of the former trainer, which was publishing a version. That trainer is dead, or about to find
    /// out that it is no longer the trainer.
    fn end_open_model_transaction(&mut self, next: i64) -> Result<(), Failure> {
        let mut trainer = None;
        self.broker.read_uncommitted(MODEL, next, &mut |record| {
            let name = record.origin.and_then(|name| str::from_utf8(name).ok());
            trainer = trainer.take().or_else(|| name.map(str::to_owned));
        })?;
        match trainer.filter(|trainer| trainer != self.broker.transactional_id()) {
            Some(trainer) => {
                tracing::warn!(
                    trainer,
                    "ending a transaction that the former trainer left open"
                );
                self.broker.fence(&trainer)
            }
            None => Ok(()),
        }
    }

    /// Takes in a record of the model topic: uses the version, unless it is held.
    pub(crate) fn adopt(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let taken = self.model.log.take(record.offset, record.value);
        taken.map_err(|error| self.unfit(&error))?;
        if let Some(versions) = self.latest_versions()? {
            self.use_versions(versions);
        }
        self.model.shared.share(&self.model.log);
        Ok(())
    }

    fn latest_versions(&mut self) -> Result<Option<Versions>, Failure> {
        let versions = self.model.log.versions(&self.pipeline.task.plan);
        versions.map_err(|error| self.unfit(&error))
    }

    pub(crate) fn unfit(&self, error: &str) -> Failure {
        Failure::Config(format!(
            "the model on topic {} cannot be used: {error}",
            self.pipeline.topics.name(Topic::Model)
        ))
    }

    /// Scores with these versions from now on, unless those in use are as new.
    fn use_versions(&mut self, versions: Versions) {
        let version = versions.current.version();
        let model = &mut self.model;
        if model.versions.is_some() && version <= model.version() {
            return;
        }
        model.is_imported = false;
        if model.versions.is_none() {
            let tasks = self.tasks.iter_mut();
            tasks.for_each(|(_, running)| running.look_for_unassigned());
        }
        self.meter.model_version = version;
        self.meter.segments = versions.current.segmentation().segments().len() as u64;
        let before = model
            .versions
            .take()
            .map(|versions| Arc::clone(&versions.current));
        model.versions = Some(Versions {
            previous: versions.previous.or(before),
            ..versions
        });
    }
}
