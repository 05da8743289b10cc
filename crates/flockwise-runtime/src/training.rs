//! The trainer's part of a shard, and the adoption of what it publishes.

use std::ops::Range;
use std::sync::Arc;

use flockwise_codec::lesson::decode_mini_batch;
use flockwise_codec::model::decode_model;
use flockwise_core::model::Model;
use flockwise_core::task::Versions;
use flockwise_core::trainer::Trainer;

use crate::batch::Record;
use crate::bringing_back::HELD;
use crate::broker::{Broker, Failure, Replayed, Start};
use crate::shard::Shard;
use crate::topics::{Source, Topic};

/// The trainer, where this shard is it.
#[derive(Debug)]
pub(crate) struct OpenTrainer {
    trainer: Trainer,
    /// Mini-batches before this offset are in the model that it started from.
    learnt_to: i64,
}

pub(crate) const DELTAS: Source = Source {
    topic: Topic::Deltas,
    partition: 0,
};
const MODEL: Source = Source {
    topic: Topic::Model,
    partition: 0,
};

impl<B: Broker> Shard<B> {
    /// Reads the versions there are, so that tasks score with the newest from their first event on.
    /// Returns which mini-batches the newest was learnt from. A new trainer ends what the one before has left
    /// open.
    pub(crate) fn load_model(
        &mut self,
        is_new_trainer: bool,
    ) -> Result<Option<Range<i64>>, Failure> {
        let versions = self.read_versions(is_new_trainer)?;
        if !versions.is_empty() && std::mem::take(&mut self.is_imported) {
            tracing::info!("the model topic has a model: the imported one was for the first start");
            self.versions = None;
        }
        let mut mini_batches = None;
        for version in versions {
            mini_batches = self.take_version(Some(&version))?.or(mini_batches);
        }
        Ok(mini_batches)
    }

    /// The last two versions: the one in use and its predecessor. One that a trainer is just publishing is
    /// waited for.
    fn read_versions(&mut self, is_new_trainer: bool) -> Result<Vec<Vec<u8>>, Failure> {
        let (mut versions, mut next_offset) = (Vec::new(), None);
        for held in 0..HELD {
            let replayed = self.broker.replay(MODEL, next_offset, &mut |record| {
                next_offset = Some(record.offset + 1);
                versions.extend(record.value.map(<[u8]>::to_vec));
                if versions.len() > 2 {
                    versions.remove(0);
                }
            })?;
            let Replayed::Held(next) = replayed else {
                self.model_offset = next_offset;
                return Ok(versions);
            };
            if held == 0 && is_new_trainer {
                self.end_what_holds_model(next)?;
            }
        }
        Err(Failure::Fatal(format!(
            "a transaction is open in {} and does not end",
            self.pipeline.topics.name(Topic::Model)
        )))
    }

    /// Ends the transaction of the former trainer, who was publishing a version: dead, or about to find out
    /// that it is not the trainer any more.
    fn end_what_holds_model(&mut self, next: i64) -> Result<(), Failure> {
        let mut trainer = None;
        self.broker.peek(MODEL, next, &mut |record| {
            let name = record.origin.and_then(|name| str::from_utf8(name).ok());
            trainer = trainer.take().or_else(|| name.map(str::to_owned));
        })?;
        match trainer.filter(|trainer| trainer != self.broker.name()) {
            Some(trainer) => {
                tracing::warn!(trainer, "a trainer left a transaction open; it is ended");
                self.broker.evict(&trainer)
            }
            None => Ok(()),
        }
    }

    /// Where to read new versions from.
    pub(crate) fn model_read(&self) -> (Source, Start) {
        (
            MODEL,
            self.model_offset.map_or(Start::Earliest, Start::Offset),
        )
    }

    /// Starts being the trainer; returns where to read mini-batches from: those that the model was learnt from
    /// are read again, for the customers in them.
    pub(crate) fn open_trainer(
        &mut self,
        mini_batches: Option<Range<i64>>,
    ) -> Result<(Source, Start), Failure> {
        let settings = &self.pipeline.task;
        let model = self
            .versions
            .as_ref()
            .map(|versions| versions.current.parts().clone());
        let is_unpublished = model.is_some() && mini_batches.is_none();
        if let Some(parts) = model.as_ref().filter(|_| is_unpublished) {
            self.outbox.model(&mut self.broker, parts, 0..0)?;
            // With a position, so that a trainer of a former round cannot publish.
            self.deltas_offset = Some(0);
            self.is_pending = true;
        }
        let trainer = Trainer::new(
            Arc::clone(&settings.plan),
            settings.learning,
            settings.period_ms(),
            model,
        );
        let learnt_to = mini_batches.as_ref().map_or(0, |learnt| learnt.end);
        self.trainer = Some(OpenTrainer { trainer, learnt_to });
        tracing::info!("this shard is the trainer");
        let start = mini_batches.map_or(Start::Earliest, |learnt| Start::Offset(learnt.start));
        Ok((DELTAS, start))
    }

    /// Folds a mini-batch into the model; a new version is published in the same transaction.
    pub(crate) fn train(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(open) = &mut self.trainer else {
            return Ok(());
        };
        let batch = match record.value.map(decode_mini_batch) {
            Some(Ok(batch)) => Some(batch),
            _ => {
                tracing::error!(
                    offset = record.offset,
                    "a mini-batch cannot be read; skipped"
                );
                None
            }
        };
        if record.offset < open.learnt_to {
            batch
                .into_iter()
                .for_each(|batch| open.trainer.recall(batch, record.offset));
            return Ok(());
        }
        self.deltas_offset = Some(record.offset + 1);
        self.is_pending = true;
        let Some(version) = batch.and_then(|batch| open.trainer.fold(batch, record.offset)) else {
            return Ok(());
        };
        tracing::debug!(version = version.version, "publishing a model version");
        let next = record.offset + 1;
        let learnt = open.trainer.window_offset().unwrap_or(next)..next;
        self.outbox.model(&mut self.broker, &version, learnt)
    }

    /// Takes a published version into use.
    pub(crate) fn adopt(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.model_offset = Some(record.offset + 1);
        self.take_version(record.value).map(|_| ())
    }

    fn take_version(&mut self, value: Option<&[u8]>) -> Result<Option<Range<i64>>, Failure> {
        let Some(value) = value else { return Ok(None) };
        let plan = &self.pipeline.task.plan;
        let unfit = |error: String| {
            Failure::Config(format!(
                "the model on topic {} cannot be used: {error}",
                self.pipeline.topics.name(Topic::Model)
            ))
        };
        let (parts, mini_batches) = decode_model(value, plan).map_err(unfit)?;
        let is_newer = self
            .versions
            .as_ref()
            .is_none_or(|versions| parts.version > versions.current.version());
        if is_newer {
            let current = Model::new(plan, parts).map_err(|error| unfit(error.to_string()))?;
            let previous = self.versions.take().map(|versions| versions.current);
            self.is_imported = false;
            if previous.is_none() {
                self.tasks
                    .values_mut()
                    .for_each(|open| open.unplaced = Some(0));
            }
            self.meter.model_version = current.version();
            self.meter.segments = current.segments().len() as u64;
            self.versions = Some(Versions {
                current: Arc::new(current),
                previous,
            });
        }
        Ok(mini_batches)
    }
}
