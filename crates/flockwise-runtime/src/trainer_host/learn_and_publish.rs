//! Trains: hands records of the samples topic to the trainer, and publishes its versions.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use flockwise_codec::trainer_input::decode_trainer_input;
use flockwise_codec::watermarks::Learnt;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{Trainer, TrainerInput, WarmUp};

use super::{LONG, RunningTrainer, SAMPLES, TrainerState};
use crate::batch::Record;
use crate::broker::{Broker, Failure, Start};
use crate::learning_thread::{LearningJob, LearningResult, LearningTask};
use crate::topics::TopicPartition;
use crate::warm_up_log::WarmUpLog;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Starts the trainer from the versions that [`Worker::load_model`] has read. Returns where to read mini-batches from:
    /// the trainer needs the customers of those that the model was learnt from.
    pub(crate) fn open_trainer(&mut self) -> Result<(TopicPartition, Start), Failure> {
        let settings = &self.pipeline.task;
        let held = self.model.log().held(&settings.plan);
        let held = held.map_err(|error| self.unfit(&error))?;
        let mini_batches = self.model.log().mini_batches();
        let versions = self.model.versions();
        let live = versions.map(|versions| versions.current.as_version().clone());
        if let Some(parts) = live.as_ref().filter(|_| mini_batches.is_none()) {
            let imported = Publication::live(parts.clone());
            self.outbox
                .model(&mut self.broker, &imported, 0..0, parts.version)?;
            // With a position, so that a trainer of a former generation cannot publish.
            self.transaction.read_samples(0);
        }
        self.meter.held_version = held.as_ref().map_or(0, |held| held.version);
        let trainer = Trainer::new(Arc::clone(&settings.plan), settings.learning, live)
            .with_margin(settings.decision.margin)
            .with_history(settings.history)
            .holding(held.map(Arc::unwrap_or_clone));
        self.trainer.running = Some(RunningTrainer {
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
            started: self.time_mode.clock().now(),
            tasks: settings.tasks,
        });
        tracing::info!("this worker is the trainer");
        let start = mini_batches.map_or(Start::Earliest, |learnt| Start::Offset(learnt.start));
        Ok((SAMPLES, start))
    }

    /// Hands a record of the samples topic to the trainer. While the trainer learns, the record waits.
    pub(crate) fn train(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(running) = &mut self.trainer.running else {
            return Ok(());
        };
        let input = record.value.unwrap_or_default();
        if running.is_learning() {
            running.waiting.push_back((record.offset, input.to_vec()));
            return Ok(());
        }
        self.apply(record.offset, input)?;
        self.finish_learning()
    }

    /// If learning is done, publishes its result in the open transaction and hands the trainer the records that waited.
    pub(crate) fn finish_learning(&mut self) -> Result<(), Failure> {
        while let Some(running) = &mut self.trainer.running {
            if let TrainerState::Learning(handle) = &mut running.state {
                let Some(result) = handle.finished() else {
                    return Ok(());
                };
                self.learnt(result)?;
                continue;
            }
            let Some((offset, input)) = running.waiting.pop_front() else {
                return Ok(());
            };
            self.apply(offset, &input)?;
        }
        Ok(())
    }

    /// What the first version waits for; `None` if this worker does not host the trainer, or if there is a version.
    #[must_use]
    pub fn warm_up(&self) -> Option<WarmUp> {
        self.trainer.warm_up()
    }

    /// Reports in metrics and log what the first version waits for.
    pub(crate) fn report_warm_up(&mut self) {
        self.meter.warm_up = self.warm_up().unwrap_or_default();
        let now = self.time_mode.clock().now();
        let running = self.trainer.running.as_mut();
        if let Some(running) = running.filter(|_| self.time_mode.is_live()) {
            running.log.report(running.warm_up, now);
        }
    }

    /// Applies a record to a trainer that is idle.
    fn apply(&mut self, offset: i64, input: &[u8]) -> Result<(), Failure> {
        let input = decode_trainer_input(input, &self.pipeline.task.plan)
            .inspect_err(|error| {
                tracing::error!(
                    offset,
                    error,
                    "the trainer cannot decode a record of the samples topic and skips it"
                );
            })
            .ok();
        let Some(running) = &mut self.trainer.running else {
            return Ok(());
        };
        let TrainerState::Idle(trainer) = &mut running.state else {
            return Ok(());
        };
        let is_new = offset >= running.learnt_to;
        let task = match input {
            Some(TrainerInput::MiniBatch(batch)) if is_new => {
                let learns = trainer.absorb(batch, offset);
                learns.then_some(LearningTask::Learn)
            }
            Some(TrainerInput::MiniBatch(batch)) => {
                trainer.replay(batch, offset);
                None
            }
            Some(TrainerInput::Sampled(sampled)) if is_new => {
                let learns = trainer.hear(&sampled, offset);
                learns.then_some(LearningTask::Learn)
            }
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
            None if is_new => self.transaction.read_samples(offset + 1),
            None => {}
        }
        Ok(())
    }

    /// Starts a job. The position stays before the record until the job is done, so that another trainer would start
    /// with it.
    fn start_learning(&mut self, task: LearningTask, offset: i64) {
        let Some(running) = self.trainer.running.take() else {
            return;
        };
        let state = match running.state {
            TrainerState::Idle(trainer) => {
                let job = LearningJob {
                    trainer: *trainer,
                    task,
                    offset,
                };
                TrainerState::Learning(self.trainer.executor.start(job))
            }
            learning @ TrainerState::Learning(_) => learning,
        };
        self.trainer.running = Some(RunningTrainer { state, ..running });
    }

    /// A job is done: the trainer is idle again, and the result is published.
    fn learnt(&mut self, result: LearningResult) -> Result<(), Failure> {
        let LearningResult {
            trainer,
            outcome,
            offset,
            took,
        } = result;
        if took >= LONG {
            let seconds = took.as_secs_f64();
            tracing::info!(seconds, "learning a model version took long");
        }
        let next = offset + 1;
        let learnt = trainer.window_offset().unwrap_or(next)..next;
        if let Some(running) = &mut self.trainer.running {
            running.warm_up = trainer.pending_warm_up();
            running.state = TrainerState::Idle(Box::new(trainer));
        }
        self.transaction.read_samples(next);
        match outcome.publication() {
            Some(publication) => self.publish(&publication, learnt),
            None => Ok(()),
        }
    }

    fn publish(&mut self, publication: &Publication, learnt: Range<i64>) -> Result<(), Failure> {
        let version = publication.model.version;
        let impact = publication.impact.as_ref();
        let moved = impact.map_or(0.0, |impact| impact.moved);
        self.meter.moved_share = moved;
        if publication.is_held {
            self.meter.held_version = version;
            tracing::warn!(
                version,
                moved,
                "this version would move a larger share of customers than model.churn_budget, and is held; see `flockwise model show --held`, \
                 then `flockwise model approve {version}`"
            );
        } else {
            self.meter.held_version = 0;
            tracing::debug!(version, moved, "publishing a model version");
        }
        self.report_drift(publication)?;
        let versions = self.model.versions();
        let in_use = versions.map(|versions| versions.current.as_version());
        let task_id = in_use.map_or(0, |model| model.version);
        self.outbox
            .model(&mut self.broker, publication, learnt, task_id)?;
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

    /// Reports drift in log, metrics and on the lineage topic.
    fn report_drift(&mut self, publication: &Publication) -> Result<(), Failure> {
        let model = &publication.model;
        for shift in &publication.shifts {
            let name = shift.feature.and_then(|index| model.features.get(index));
            let (what, deviations) = (name.map_or("quantisation error", String::as_str), shift.off);
            tracing::info!(
                what,
                deviations,
                "drift alarm: {what} is {deviations:.1} standard deviations away from its usual value; for one half-life \
                 the model forgets twice as fast"
            );
        }
        self.transaction.counts().drift_alarms += publication.shifts.len() as u64;
        let topics = &self.pipeline.topics;
        self.outbox.shifts(&mut self.broker, topics, publication)
    }
}
