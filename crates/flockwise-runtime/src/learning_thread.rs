//! Where the trainer learns: on a thread of its own, or in the worker's loop if results must not depend on timing.
//!
//! Learning takes seconds to minutes. Its result depends on the job alone, which owns the trainer with its window, so
//! it does not matter where and when the job runs. While it runs, the worker hands the trainer nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CommandError, Trainer, TrainerCommand};

/// Jobs in the queue of the thread, at most: one for each worker, and abandoned ones.
const MAX_QUEUED_JOBS: usize = 64;

/// What a job does with the trainer.
#[derive(Debug)]
pub enum LearningTask {
    /// Learn a version from the samples in the window.
    Learn,
    /// Execute an operator's command.
    Execute(TrainerCommand),
}

/// A trainer, and what it must do.
#[derive(Debug)]
pub struct LearningJob {
    /// The trainer as of the record at `offset`.
    pub trainer: Trainer,
    /// Learn or execute a command.
    pub task: LearningTask,
    /// Offset of the record of the samples topic that caused the job.
    pub offset: i64,
}

/// The result of a job.
#[derive(Debug)]
pub struct LearningResult {
    /// The trainer after the job.
    pub trainer: Trainer,
    /// What the job produced.
    pub outcome: LearningOutcome,
    /// Offset of the record of the samples topic that caused the job.
    pub offset: i64,
    /// How long the job took, without its time in the queue.
    pub took: Duration,
}

/// What a job produced.
#[derive(Debug)]
pub enum LearningOutcome {
    /// The version that was learnt; `None` if there is none to publish.
    Learnt(Option<Box<Publication>>),
    /// The command, and its version or why it was refused.
    Executed(TrainerCommand, Result<Box<Publication>, CommandError>),
}

impl LearningJob {
    /// Runs the job in this thread.
    #[must_use]
    pub fn run(self) -> LearningResult {
        let started = Instant::now();
        let Self {
            mut trainer,
            task,
            offset,
        } = self;
        let outcome = match task {
            LearningTask::Learn => {
                LearningOutcome::Learnt(trainer.learn_from_window().map(Box::new))
            }
            LearningTask::Execute(command) => {
                let publication = trainer.execute(&command).map(Box::new);
                LearningOutcome::Executed(command, publication)
            }
        };
        LearningResult {
            trainer,
            outcome,
            offset,
            took: started.elapsed(),
        }
    }
}

/// Runs jobs.
pub trait LearningExecutor: Send {
    /// Starts a job. Dropping the handle abandons it.
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle>;
}

/// A started job.
pub trait LearningHandle: Send {
    /// The result; `None` until the job is done. Do not call this again once it has returned the result.
    ///
    /// # Panics
    /// If the job panicked.
    fn finished(&mut self) -> Option<LearningResult>;
}

/// Runs a job at once, in the worker's thread: for replays, whose results must not depend on timing.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineExecutor;

impl LearningExecutor for InlineExecutor {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        Box::new(InlineHandle(Some(job.run())))
    }
}

struct InlineHandle(Option<LearningResult>);

impl LearningHandle for InlineHandle {
    fn finished(&mut self) -> Option<LearningResult> {
        self.0.take()
    }
}

/// One thread that runs the jobs of all workers of a process, one after the other. Once all clones and handles are
/// dropped, it finishes its present job and ends.
#[derive(Clone, Debug)]
pub struct LearningThread {
    jobs: SyncSender<QueuedJob>,
}

/// A job in the queue of the thread.
#[derive(Debug)]
struct QueuedJob {
    job: LearningJob,
    is_abandoned: Arc<AtomicBool>,
    sender: SyncSender<LearningResult>,
}

impl LearningThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system cannot start a thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, queue) = sync_channel(MAX_QUEUED_JOBS);
        thread::Builder::new()
            .name("flockwise-learn".to_owned())
            .spawn(move || work(&queue))?;
        Ok(Self { jobs })
    }
}

fn work(queue: &Receiver<QueuedJob>) {
    for QueuedJob {
        job,
        is_abandoned,
        sender,
    } in queue
    {
        if !is_abandoned.load(Ordering::Relaxed) {
            // If the job was abandoned meanwhile, the result has no receiver.
            sender.send(job.run()).ok();
        }
    }
}

impl LearningExecutor for LearningThread {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        let (sender, receiver) = sync_channel(1);
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let job = QueuedJob {
            job,
            is_abandoned: Arc::clone(&is_abandoned),
            sender,
        };
        let mut handle = QueuedHandle {
            jobs: self.jobs.clone(),
            unsent: Some(job),
            is_abandoned,
            receiver,
        };
        handle.enqueue();
        Box::new(handle)
    }
}

struct QueuedHandle {
    jobs: SyncSender<QueuedJob>,
    /// The job, until the queue has room for it.
    unsent: Option<QueuedJob>,
    is_abandoned: Arc<AtomicBool>,
    receiver: Receiver<LearningResult>,
}

impl QueuedHandle {
    fn enqueue(&mut self) {
        let Some(job) = self.unsent.take() else {
            return;
        };
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => self.unsent = Some(job),
            // This drops the result's sender as well, so `finished` panics.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl LearningHandle for QueuedHandle {
    fn finished(&mut self) -> Option<LearningResult> {
        self.enqueue();
        match self.receiver.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                panic!("the learning thread panicked: see its message above")
            }
        }
    }
}

impl Drop for QueuedHandle {
    fn drop(&mut self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
