//! The trainer, hosted by the worker that is assigned the samples topic.

mod learn_and_publish;

use std::collections::VecDeque;
use std::time::Duration;

use flockwise_codec::watermarks::Learnt;
use flockwise_core::publication::{Audit, Publication};
use flockwise_core::trainer::{Sampled, Trainer, WarmUp};

use crate::clock::Moment;
use crate::learning_thread::{InlineExecutor, LearningExecutor, LearningHandle, LearningOutcome};
use crate::topics::{Topic, TopicPartition};
use crate::warm_up_log::WarmUpLog;
use crate::watermarks::UNKNOWN;

pub(crate) const SAMPLES: TopicPartition = TopicPartition {
    topic: Topic::Samples,
    partition: 0,
};

/// Learning that takes longer than this is logged.
const LONG: Duration = Duration::from_secs(10);

/// What a worker needs to host the trainer, and the trainer if this worker hosts it.
pub(crate) struct TrainerHost {
    executor: Box<dyn LearningExecutor>,
    running: Option<RunningTrainer>,
    /// The lineage topic says that the pipeline has caught up.
    pub(crate) has_announced: bool,
}

struct RunningTrainer {
    state: TrainerState,
    /// Progress of warm-up as of the last mini-batch; `None` once there is a version.
    warm_up: Option<WarmUp>,
    log: WarmUpLog,
    /// Mini-batches before this offset are in the model that the trainer started from.
    learnt_to: i64,
    /// Records that arrived while the trainer was learning, with their offsets. The partition is paused then, so they are
    /// those of one poll at most.
    waiting: VecDeque<(i64, Vec<u8>)>,
    learnt: Learnt,
    started: Moment,
    /// Number of tasks of the pipeline.
    tasks: u32,
}

enum TrainerState {
    /// Takes the next record.
    Idle(Box<Trainer>),
    /// Learns. Dropping the handle abandons the job, of which nothing was published.
    Learning(Box<dyn LearningHandle>),
}

impl TrainerHost {
    /// Without another executor, learning blocks the worker.
    pub(crate) fn new() -> Self {
        Self {
            executor: Box::new(InlineExecutor),
            running: None,
            has_announced: false,
        }
    }

    pub(crate) fn set_executor(&mut self, executor: Box<dyn LearningExecutor>) {
        self.executor = executor;
    }

    /// Does this worker host the trainer?
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn is_learning(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(RunningTrainer::is_learning)
    }

    /// Another worker hosts the trainer from now on, or this one starts it again.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// How far the trainer has learnt, if it runs here.
    pub(crate) fn learnt(&mut self, now: Moment) -> Option<Learnt> {
        self.running.as_mut().map(|running| running.learnt(now))
    }

    fn warm_up(&self) -> Option<WarmUp> {
        self.running.as_ref()?.warm_up
    }
}

impl RunningTrainer {
    fn is_learning(&self) -> bool {
        matches!(self.state, TrainerState::Learning(_))
    }

    /// How far the trainer has learnt; while it learns, how far it had before. `to_ms` is `i64::MIN` until it knows how
    /// far the tasks have sampled.
    fn learnt(&mut self, now: Moment) -> Learnt {
        if let TrainerState::Idle(trainer) = &self.state {
            let has_heard = trainer.has_heard(self.tasks) || now.since(self.started) >= UNKNOWN;
            let sampled = match has_heard {
                true => trainer.sampled(),
                false => Sampled {
                    to_ms: i64::MIN,
                    customers: 0,
                },
            };
            // A task that reports the same time again has other customers by then.
            if sampled.to_ms != self.learnt.to_ms {
                (self.learnt.to_ms, self.learnt.customers) = (sampled.to_ms, sampled.customers);
            }
            self.learnt.version = trainer.live_version();
            self.learnt.period_ms = trainer.period_ms();
        }
        self.learnt
    }
}

impl LearningOutcome {
    /// The version to publish. A command that fails is logged.
    fn publication(self) -> Option<Box<Publication>> {
        let (command, outcome) = match self {
            Self::Learnt(publication) => return publication,
            Self::Executed(command, outcome) => (command, outcome),
        };
        let Audit { what, who, why, .. } = command.audit();
        match outcome {
            Ok(publication) => {
                let version = publication.model.version;
                tracing::info!(
                    what,
                    version,
                    who,
                    why,
                    "command executed: a new version is in use"
                );
                Some(publication)
            }
            Err(error) => {
                tracing::error!(%error, who, why, "command refused by the trainer");
                None
            }
        }
    }
}
