//! Where the trainer learns: beside the worker's loop, or within it where results must not depend on timing.
//!
//! Learning takes seconds to minutes. What comes of it depends on the job alone, which owns the trainer with its
//! window, so it does not matter where and when it runs; while it runs, the worker hands the trainer nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use flockwise_core::trainer::{CommandError, Publication, Trainer, TrainerCommand};

/// Jobs that wait for the thread, at most: one a worker, and those that were dropped meanwhile.
const JOBS: usize = 64;

/// What the trainer is to do.
#[derive(Debug)]
pub enum LearningTask {
    /// Learn from the window.
    Learn,
    /// Carry an order out.
    Execute(TrainerCommand),
}

/// A trainer and what it is to do.
#[derive(Debug)]
pub struct LearningJob {
    /// The trainer as of the record.
    pub trainer: Trainer,
    /// What it is to do.
    pub task: LearningTask,
    /// Offset of the record on the samples topic that asked for it.
    pub offset: i64,
}

/// A job that is done.
#[derive(Debug)]
pub struct LearningResult {
    /// The trainer afterwards.
    pub trainer: Trainer,
    /// What came of it.
    pub outcome: LearningOutcome,
    /// Offset of the record on the samples topic that asked for it.
    pub offset: i64,
    /// How long it took.
    pub took: Duration,
}

/// What came of a job.
#[derive(Debug)]
pub enum LearningOutcome {
    /// Of learning: a version, where there is one to be published.
    Learnt(Option<Box<Publication>>),
    /// Of an order.
    Executed(TrainerCommand, Result<Box<Publication>, CommandError>),
}

impl LearningJob {
    /// Does it, in this thread.
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

/// Does jobs.
pub trait LearningExecutor: Send {
    /// Begins a job. It is given up when the ticket is dropped.
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle>;
}

/// A job that was begun.
pub trait LearningHandle: Send {
    /// What came of it, once it is done. Not to be asked again after that.
    ///
    /// # Panics
    /// Where the job panicked.
    fn finished(&mut self) -> Option<LearningResult>;
}

/// Does a job at once, in the worker's thread: for replays, whose results must not depend on timing.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineExecutor;

impl LearningExecutor for InlineExecutor {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        Box::new(AtOnce(Some(job.run())))
    }
}

struct AtOnce(Option<LearningResult>);

impl LearningHandle for AtOnce {
    fn finished(&mut self) -> Option<LearningResult> {
        self.0.take()
    }
}

/// One thread that does the jobs of all workers of a process, one after the other. It ends with its last clone,
/// after the job in hand.
#[derive(Clone, Debug)]
pub struct LearningThread {
    jobs: SyncSender<Posted>,
}

/// A job on its way to the thread.
#[derive(Debug)]
struct Posted {
    job: LearningJob,
    is_dropped: Arc<AtomicBool>,
    answer: SyncSender<LearningResult>,
}

impl LearningThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the operating system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, posted) = sync_channel(JOBS);
        thread::Builder::new()
            .name("flockwise-learn".to_owned())
            .spawn(move || work(&posted))?;
        Ok(Self { jobs })
    }
}

fn work(posted: &Receiver<Posted>) {
    for Posted {
        job,
        is_dropped,
        answer,
    } in posted
    {
        if !is_dropped.load(Ordering::Relaxed) {
            // Nobody listens where the worker lost the trainer meanwhile.
            answer.send(job.run()).ok();
        }
    }
}

impl LearningExecutor for LearningThread {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        let (answer, done) = sync_channel(1);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let posted = Posted {
            job,
            is_dropped: Arc::clone(&is_dropped),
            answer,
        };
        let mut ticket = Posting {
            jobs: self.jobs.clone(),
            unsent: Some(posted),
            is_dropped,
            done,
        };
        ticket.post();
        Box::new(ticket)
    }
}

struct Posting {
    jobs: SyncSender<Posted>,
    /// Where the queue was full.
    unsent: Option<Posted>,
    is_dropped: Arc<AtomicBool>,
    done: Receiver<LearningResult>,
}

impl Posting {
    fn post(&mut self) {
        let Some(posted) = self.unsent.take() else {
            return;
        };
        match self.jobs.try_send(posted) {
            Ok(()) => {}
            Err(TrySendError::Full(posted)) => self.unsent = Some(posted),
            // The answer's sender is dropped with it, which `finished` tells.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl LearningHandle for Posting {
    fn finished(&mut self) -> Option<LearningResult> {
        self.post();
        match self.done.try_recv() {
            Ok(done) => Some(done),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the learning thread panicked; see above"),
        }
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
