//! The trainer's part of a shard, and the adoption of what it publishes.

use std::ops::Range;
use std::sync::Arc;

use flockwise_codec::lesson::decode_lesson;
use flockwise_codec::model::decode_publication;
use flockwise_core::model::{Model, ModelParts};
use flockwise_core::task::Versions;
use flockwise_core::trainer::{Lesson, Order, Publication, Trainer};

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

/// What the model topic holds besides the version in use.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// A version that is held back.
    held: Option<ModelParts>,
    /// The mini-batches that the newest was learnt from.
    mini_batches: Option<Range<i64>>,
}

impl<B: Broker> Shard<B> {
    /// Reads the versions there are, so that tasks score with the newest from their first event on. A new
    /// trainer ends what the one before has left open.
    pub(crate) fn load_model(&mut self, is_new_trainer: bool) -> Result<Published, Failure> {
        let versions = self.read_versions(is_new_trainer)?;
        if !versions.is_empty() && std::mem::take(&mut self.is_imported) {
            tracing::info!("the model topic has a model: the imported one was for the first start");
            self.versions = None;
        }
        let (mut live, mut published) = (Vec::new(), Published::default());
        for version in versions {
            let (publication, mini_batches) = self.read_version(&version)?;
            published.mini_batches = mini_batches.or(published.mini_batches);
            if publication.is_held {
                published.held = Some(publication.model);
            } else {
                published.held = None;
                live.push(publication.model);
            }
        }
        // The one in use and its predecessor.
        for version in live.drain(live.len().saturating_sub(2)..) {
            self.take_version(version)?;
        }
        Ok(published)
    }

    /// All versions that are kept, in the order in which they were published. One that a trainer is just
    /// publishing is waited for.
    fn read_versions(&mut self, is_new_trainer: bool) -> Result<Vec<Vec<u8>>, Failure> {
        let (mut versions, mut next_offset) = (Vec::new(), None);
        for held in 0..HELD {
            let replayed = self.broker.replay(MODEL, next_offset, &mut |record| {
                next_offset = Some(record.offset + 1);
                versions.extend(record.value.map(<[u8]>::to_vec));
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
        published: Published,
    ) -> Result<(Source, Start), Failure> {
        let settings = &self.pipeline.task;
        let live = self
            .versions
            .as_ref()
            .map(|versions| versions.current.parts().clone());
        let Published { held, mini_batches } = published;
        if let Some(parts) = live.as_ref().filter(|_| mini_batches.is_none()) {
            let imported = Publication::live(parts.clone());
            self.outbox
                .model(&mut self.broker, &imported, 0..0, parts.version)?;
            // With a position, so that a trainer of a former round cannot publish.
            self.deltas_offset = Some(0);
            self.is_pending = true;
        }
        self.meter.held_version = held.as_ref().map_or(0, |held| held.version);
        let trainer = Trainer::new(
            Arc::clone(&settings.plan),
            settings.learning,
            settings.period_ms(),
            live,
        )
        .with_margin(settings.decision.margin)
        .holding(held);
        let learnt_to = mini_batches.as_ref().map_or(0, |learnt| learnt.end);
        self.trainer = Some(OpenTrainer { trainer, learnt_to });
        tracing::info!("this shard is the trainer");
        let start = mini_batches.map_or(Start::Earliest, |learnt| Start::Offset(learnt.start));
        Ok((DELTAS, start))
    }

    /// Tells the trainer what it is told; a new version is published in the same transaction.
    pub(crate) fn train(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(open) = &mut self.trainer else {
            return Ok(());
        };
        let offset = record.offset;
        let plan = &self.pipeline.task.plan;
        let lesson = record.value.unwrap_or_default();
        let lesson = decode_lesson(lesson, plan)
            .inspect_err(|error| {
                tracing::error!(offset, error, "not understood by the trainer; skipped");
            })
            .ok();
        if offset < open.learnt_to {
            if let Some(Lesson::MiniBatch(batch)) = lesson {
                open.trainer.recall(batch, offset);
            }
            return Ok(());
        }
        self.deltas_offset = Some(offset + 1);
        self.is_pending = true;
        let publication = match lesson {
            Some(Lesson::MiniBatch(batch)) => open.trainer.fold(batch, offset),
            Some(Lesson::Order(order)) => obeyed(&mut open.trainer, &order),
            None => None,
        };
        let next = offset + 1;
        let learnt = open.trainer.window_offset().unwrap_or(next)..next;
        publication.map_or(Ok(()), |publication| self.publish(&publication, learnt))
    }

    fn publish(&mut self, publication: &Publication, learnt: Range<i64>) -> Result<(), Failure> {
        let version = publication.model.version;
        let moved = publication
            .review
            .as_ref()
            .map_or(0.0, |review| review.moved);
        self.meter.moved_share = moved;
        if publication.is_held {
            self.meter.held_version = version;
            tracing::warn!(
                version,
                moved,
                "this version would move too many customers and is held; see `flockwise model show --held`, \
                 then `flockwise model approve {version}`"
            );
        } else {
            self.meter.held_version = 0;
            tracing::debug!(version, moved, "publishing a model version");
        }
        self.tell_shifts(publication)?;
        let in_use = self
            .versions
            .as_ref()
            .map(|versions| versions.current.parts());
        let number = in_use.map_or(0, |model| model.version);
        self.outbox
            .model(&mut self.broker, publication, learnt, number)?;
        if publication.is_held {
            return Ok(());
        }
        let model = &publication.model;
        for step in &model.lineage {
            self.meter.open.count_step(*step);
        }
        let topics = &self.pipeline.topics;
        self.outbox.lineage(&mut self.broker, topics, model, in_use)
    }

    /// Says that customers are changing.
    fn tell_shifts(&mut self, publication: &Publication) -> Result<(), Failure> {
        let model = &publication.model;
        for shift in &publication.shifts {
            let name = shift.feature.and_then(|index| model.features.get(index));
            let (what, off) = (name.map_or("quantisation error", String::as_str), shift.off);
            tracing::info!(
                what,
                off,
                "customers are changing: this is so many standard deviations off its past; the model learns faster \
                 for a half-life"
            );
        }
        self.meter.open.drifts += publication.shifts.len() as u64;
        let topics = &self.pipeline.topics;
        self.outbox.shifts(&mut self.broker, topics, publication)
    }

    /// Takes a published version into use, unless it is held.
    pub(crate) fn adopt(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.model_offset = Some(record.offset + 1);
        let Some(value) = record.value else {
            return Ok(());
        };
        match self.read_version(value)? {
            (publication, _) if publication.is_held => Ok(()),
            (publication, _) => self.take_version(publication.model),
        }
    }

    fn read_version(&self, value: &[u8]) -> Result<(Publication, Option<Range<i64>>), Failure> {
        decode_publication(value, &self.pipeline.task.plan).map_err(|error| self.unfit(&error))
    }

    fn unfit(&self, error: &str) -> Failure {
        Failure::Config(format!(
            "the model on topic {} cannot be used: {error}",
            self.pipeline.topics.name(Topic::Model)
        ))
    }

    fn take_version(&mut self, parts: ModelParts) -> Result<(), Failure> {
        let current = self
            .versions
            .as_ref()
            .map(|versions| versions.current.version());
        if current.is_some_and(|current| parts.version <= current) {
            return Ok(());
        }
        let current = Model::new(&self.pipeline.task.plan, parts)
            .map_err(|error| self.unfit(&error.to_string()))?;
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
        Ok(())
    }
}

/// What comes of an order.
fn obeyed(trainer: &mut Trainer, order: &Order) -> Option<Publication> {
    let (who, why) = (&order.who, &order.why);
    match trainer.obey(order) {
        Ok(publication) => {
            let (what, version) = (order.audit().what, publication.model.version);
            tracing::info!(what, version, who, why, "a version is in use by order");
            Some(publication)
        }
        Err(refused) => {
            tracing::error!(%refused, who, why, "an order is not carried out");
            None
        }
    }
}
