//! The trainer's part of a worker.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::trainer_input::decode_trainer_input;
use flockwise_codec::watermarks::Learnt;
use flockwise_core::trainer::{Audit, Publication, Sampled, Trainer, TrainerInput, WarmUp};

use crate::batch::Record;
use crate::broker::{Broker, Failure, Start};
use crate::clock::Moment;
use crate::learning_thread::{
    LearningHandle, LearningJob, LearningOutcome, LearningResult, LearningTask,
};
use crate::topics::{Topic, TopicPartition};
use crate::warm_up_log::WarmUpLog;
use crate::watermarks::UNKNOWN;
use crate::worker::Worker;

/// Learning that takes longer than this is worth a line in the log.
const LONG: Duration = Duration::from_secs(10);

/// The trainer, where this worker is it.
pub(crate) struct TrainerHost {
    state: TrainerState,
    /// How far warm-up is, as of the last mini-batch; `None` once there is a version.
    warm_up: Option<WarmUp>,
    log: WarmUpLog,
    /// Mini-batches before this offset are in the model that it started from.
    learnt_to: i64,
    /// Records that came while it was learning, by their offsets. The source is paused then, so they are those of one
    /// poll at most.
    waiting: VecDeque<(i64, Vec<u8>)>,
    /// How far it has learnt.
    learnt: Learnt,
    opened: Moment,
    /// Tasks that there are.
    tasks: u32,
}

enum TrainerState {
    /// It takes the next record.
    Idle(Box<Trainer>),
    /// It is learning. Dropping the ticket gives the job up; nothing of it was published.
    Learning(Box<dyn LearningHandle>),
}

impl TrainerHost {
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state, TrainerState::Learning(_))
    }

    /// How far it has learnt; while it is learning, how far it had before. `i64::MIN`: it has yet to hear how far the tasks
    /// are.
    pub(crate) fn learnt(&mut self, now: Moment) -> Learnt {
        if let TrainerState::Idle(trainer) = &self.state {
            let has_heard = trainer.has_heard(self.tasks) || now.since(self.opened) >= UNKNOWN;
            let sampled = match has_heard {
                true => trainer.sampled(),
                false => Sampled {
                    to_ms: i64::MIN,
                    customers: 0,
                },
            };
            // A task that says so again has other customers by then.
            if sampled.to_ms != self.learnt.to_ms {
                (self.learnt.to_ms, self.learnt.customers) = (sampled.to_ms, sampled.customers);
            }
            self.learnt.version = trainer.live_version();
            self.learnt.period_ms = trainer.period_ms();
        }
        self.learnt
    }
}

pub(crate) const SAMPLES: TopicPartition = TopicPartition {
    topic: Topic::Samples,
    partition: 0,
};

impl<B: Broker> Worker<B> {
    /// Starts being the trainer, from what [`Worker::load_model`] has read; returns where to read mini-batches from:
    /// those that the model was learnt from are read again, for the customers in them.
    pub(crate) fn open_trainer(&mut self) -> Result<(TopicPartition, Start), Failure> {
        let settings = &self.pipeline.task;
        let held = self.models.held(&settings.plan);
        let held = held.map_err(|error| self.unfit(&error))?;
        let mini_batches = self.models.mini_batches();
        let live = self
            .versions
            .as_ref()
            .map(|versions| versions.current.parts().clone());
        if let Some(parts) = live.as_ref().filter(|_| mini_batches.is_none()) {
            let imported = Publication::live(parts.clone());
            self.outbox
                .model(&mut self.broker, &imported, 0..0, parts.version)?;
            // With a position, so that a trainer of a former round cannot publish.
            self.transaction.read_samples(0);
        }
        self.meter.held_version = held.as_ref().map_or(0, |held| held.version);
        let trainer = Trainer::new(Arc::clone(&settings.plan), settings.learning, live)
            .with_margin(settings.decision.margin)
            .with_history(settings.history)
            .holding(held.map(Arc::unwrap_or_clone));
        self.trainer = Some(TrainerHost {
            warm_up: trainer.pending_warm_up(),
            log: WarmUpLog::default(),
            state: TrainerState::Idle(Box::new(trainer)),
            learnt_to: mini_batches.as_ref().map_or(0, |learnt| learnt.end),
            waiting: VecDeque::new(),
            learnt: Learnt {
                to_ms: i64::MIN,
                version: 0,
                customers: 0,
                period_ms: 0,
            },
            opened: self.time_mode.clock().now(),
            tasks: settings.tasks,
        });
        tracing::info!("this worker is the trainer");
        let start = mini_batches.map_or(Start::Earliest, |learnt| Start::Offset(learnt.start));
        Ok((SAMPLES, start))
    }

    /// Hands a record of the samples topic to the trainer; while that is learning, the record waits.
    pub(crate) fn train(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(running) = &mut self.trainer else {
            return Ok(());
        };
        let lesson = record.value.unwrap_or_default();
        if running.is_busy() {
            running.waiting.push_back((record.offset, lesson.to_vec()));
            return Ok(());
        }
        self.apply(record.offset, lesson)?;
        self.finish_learning()
    }

    /// Publishes what was learnt, if learning is done, in the present transaction, and hands the trainer the records
    /// that waited for it.
    pub(crate) fn finish_learning(&mut self) -> Result<(), Failure> {
        while let Some(running) = &mut self.trainer {
            if let TrainerState::Learning(ticket) = &mut running.state {
                let Some(done) = ticket.finished() else {
                    return Ok(());
                };
                self.learnt(done)?;
                continue;
            }
            let Some((offset, lesson)) = running.waiting.pop_front() else {
                return Ok(());
            };
            self.apply(offset, &lesson)?;
        }
        Ok(())
    }

    /// What the first version waits for, where this worker is the trainer and there is none.
    #[must_use]
    pub fn warm_up(&self) -> Option<WarmUp> {
        self.trainer.as_ref()?.warm_up
    }

    /// Shows what the first version waits for.
    pub(crate) fn report_warm_up(&mut self) {
        self.meter.warm_up = self.warm_up().unwrap_or_default();
        let now = self.time_mode.clock().now();
        if let Some(running) = self.trainer.as_mut().filter(|_| self.time_mode.is_live()) {
            running.log.tell(running.warm_up, now);
        }
    }

    /// Tells a trainer that is free what a record says.
    fn apply(&mut self, offset: i64, lesson: &[u8]) -> Result<(), Failure> {
        let lesson = decode_trainer_input(lesson, &self.pipeline.task.plan)
            .inspect_err(|error| {
                tracing::error!(offset, error, "not understood by the trainer; skipped");
            })
            .ok();
        let Some(running) = &mut self.trainer else {
            return Ok(());
        };
        let TrainerState::Idle(trainer) = &mut running.state else {
            return Ok(());
        };
        let is_new = offset >= running.learnt_to;
        let task = match lesson {
            Some(TrainerInput::MiniBatch(batch)) if is_new => {
                trainer.absorb(batch, offset).then_some(LearningTask::Learn)
            }
            Some(TrainerInput::MiniBatch(batch)) => {
                trainer.replay(batch, offset);
                None
            }
            Some(TrainerInput::Sampled(sampled)) if is_new => trainer
                .hear(&sampled, offset)
                .then_some(LearningTask::Learn),
            Some(TrainerInput::Sampled(sampled)) => {
                trainer.replay_sampled(&sampled, offset);
                None
            }
            Some(TrainerInput::Command(command)) => {
                is_new.then_some(LearningTask::Execute(command))
            }
            None => None,
        };
        running.warm_up = trainer.pending_warm_up();
        match task {
            Some(task) => self.start_learning(task, offset),
            None if is_new => self.note_applied(offset),
            None => {}
        }
        Ok(())
    }

    /// A record is dealt with: it goes with the next commit.
    fn note_applied(&mut self, offset: i64) {
        self.transaction.read_samples(offset + 1);
    }

    /// The position stays before the record until the job is done, so that a successor begins with it.
    fn start_learning(&mut self, task: LearningTask, offset: i64) {
        let Some(running) = self.trainer.take() else {
            return;
        };
        let state = match running.state {
            TrainerState::Idle(trainer) => {
                TrainerState::Learning(self.executor.start(LearningJob {
                    trainer: *trainer,
                    task,
                    offset,
                }))
            }
            busy @ TrainerState::Learning(_) => busy,
        };
        self.trainer = Some(TrainerHost { state, ..running });
    }

    /// Learning is done: the trainer is free again, and what it has to say is published.
    fn learnt(&mut self, done: LearningResult) -> Result<(), Failure> {
        let LearningResult {
            trainer,
            outcome,
            offset,
            took,
        } = done;
        if took >= LONG {
            let seconds = took.as_secs_f64();
            tracing::info!(
                seconds,
                "the trainer has learnt from its window; this takes long"
            );
        }
        let next = offset + 1;
        let learnt = trainer.window_offset().unwrap_or(next)..next;
        if let Some(running) = &mut self.trainer {
            running.warm_up = trainer.pending_warm_up();
            running.state = TrainerState::Idle(Box::new(trainer));
        }
        self.note_applied(offset);
        match outcome.publication() {
            Some(publication) => self.publish(&publication, learnt),
            None => Ok(()),
        }
    }

    fn publish(&mut self, publication: &Publication, learnt: Range<i64>) -> Result<(), Failure> {
        let version = publication.model.version;
        let moved = publication
            .impact
            .as_ref()
            .map_or(0.0, |impact| impact.moved);
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
        self.report_shifts(publication)?;
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
            self.transaction.counts().count_step(*step);
        }
        self.outbox
            .lineage(&mut self.broker, &self.pipeline, model, in_use)
    }

    /// Says that customers are changing.
    fn report_shifts(&mut self, publication: &Publication) -> Result<(), Failure> {
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
        self.transaction.counts().drifts += publication.shifts.len() as u64;
        let topics = &self.pipeline.topics;
        self.outbox.shifts(&mut self.broker, topics, publication)
    }
}

impl LearningOutcome {
    /// What is to be published; an order that is not carried out is logged.
    fn publication(self) -> Option<Box<Publication>> {
        let (command, outcome) = match self {
            Self::Learnt(publication) => return publication,
            Self::Executed(command, outcome) => (command, outcome),
        };
        let Audit { what, who, why, .. } = command.audit();
        match outcome {
            Ok(publication) => {
                let version = publication.model.version;
                tracing::info!(what, version, who, why, "a version is in use by order");
                Some(publication)
            }
            Err(reject) => {
                tracing::error!(%reject, who, why, "an order is not carried out");
                None
            }
        }
    }
}
