//! Workers on threads of their own, each kept going until all are told to stop.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flockwise_core::trainer::WarmUp;
use flockwise_http::{Readiness, WorkerPresence};
use flockwise_runtime::broker::{Broker, Failure};
use flockwise_runtime::heartbeat::{Heartbeat, beat};
use flockwise_runtime::learning_thread::{InlineExecutor, LearningExecutor, LearningThread};
use flockwise_runtime::metrics::{Metrics, Restart, WorkerMeter};
use flockwise_runtime::model_log::SharedModels;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::queries::Queries;
use flockwise_runtime::standby::Standbys;
use flockwise_runtime::store::{NoStore, Store};
use flockwise_runtime::worker::Worker;
use flockwise_store::DiskStore;

use crate::connection::reason;
use crate::exit::Failed;

/// The wait before a worker starts again, the first and the longest.
const BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A worker that ran for this long has got over what made it fail before.
const RECOVERED: Duration = Duration::from_secs(60);
/// A broker that has answered before is waited for this long.
const OUTAGE: Duration = Duration::from_secs(300);
/// How soon a wait notices that it is to stop.
const STEP: Duration = Duration::from_millis(50);

/// What all workers share.
pub(crate) struct Crew<'a> {
    pub(crate) pipeline: &'a Arc<Pipeline>,
    pub(crate) time_mode: TimeMode,
    pub(crate) metrics: &'a Metrics,
    pub(crate) readiness: &'a Arc<Readiness>,
    /// Local state, if there is any.
    pub(crate) store: Option<&'a DiskStore>,
    pub(crate) standbys: &'a Standbys,
    /// What is known of the model topic.
    pub(crate) models: &'a SharedModels,
    /// Where the trainer learns, on whatever worker it is; `None`: within that worker's loop.
    pub(crate) learning: Option<&'a LearningThread>,
    /// Where questions about customers are left.
    pub(crate) queries: &'a Queries,
    /// Signs of life, one of each worker.
    pub(crate) pulses: &'a [Heartbeat],
    /// Set from outside, or where one of them can go on no more.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs so many workers until they are told to stop. One that nothing here can help stops them all,
/// in good order, and so does a panic: half of a process would look alive and leave customers out.
pub(crate) fn run_shards<B: Broker>(
    count: usize,
    connect: impl Fn(usize) -> Result<B, Failure> + Sync,
    crew: &Crew<'_>,
) -> Result<(), Failed> {
    thread::scope(|scope| {
        let start = |number| {
            let connect = &connect;
            thread::Builder::new()
                .name(format!("flockwise-{number}"))
                .spawn_scoped(scope, move || keep_going(number, connect, crew))
                .map_err(|error| {
                    crew.stop.store(true, Ordering::Relaxed);
                    Failed::running(format!(
                        "the thread of worker {number} cannot be started: {error}; is there a limit \
                         on threads? `shards` says how many are wanted"
                    ))
                })
        };
        // All of them before any is waited for.
        let threads: Vec<_> = (0..count).map(start).collect();
        let ended: Vec<_> = threads
            .into_iter()
            .enumerate()
            .map(|(number, thread)| match thread?.join() {
                Ok(ended) => ended,
                Err(panic) => Err(panicked(number, panic.as_ref())),
            })
            .collect();
        ended.into_iter().collect()
    })
}

/// One worker after the other under the same number, each taking up where the last one left off.
fn keep_going<B: Broker>(
    number: usize,
    connect: impl Fn(usize) -> Result<B, Failure>,
    crew: &Crew<'_>,
) -> Result<(), Failed> {
    let _alarm = Alarm(crew.stop);
    if let Some(heartbeat) = crew.pulses.get(number) {
        heartbeat.attach_to_thread();
    }
    let _said_in_every_line = tracing::info_span!("worker", number).entered();
    let mut presence = crew.readiness.worker();
    let mut troubles = Troubles::default();
    while !crew.is_stopping() {
        let ended = live(number, &connect, crew, &mut presence, &mut troubles);
        presence.revoked();
        match ended {
            Ok(()) => {}
            // What is not committed will be done again after the next start.
            Err(failure) if crew.is_stopping() => {
                tracing::warn!("while stopping: {}", reason(&failure));
            }
            Err(Failure::Config(reason)) => {
                crew.stop.store(true, Ordering::Relaxed);
                return Err(Failed::running(reason));
            }
            Err(failure) => {
                let backoff = troubles.backoff();
                tracing::warn!(
                    failures = troubles.failures,
                    ?backoff,
                    "worker starts again: {}",
                    reason(&failure)
                );
                count_failure(number, crew.metrics, &failure);
                crew.wait(backoff);
            }
        }
    }
    Ok(())
}

/// From connecting until the worker ends.
fn live<B: Broker>(
    number: usize,
    connect: impl Fn(usize) -> Result<B, Failure>,
    crew: &Crew<'_>,
    presence: &mut WorkerPresence,
    troubles: &mut Troubles,
) -> Result<(), Failure> {
    let broker = match connect(number) {
        Err(Failure::Config(reason)) if troubles.may_be_outage() => Err(Failure::Fatal(reason)),
        connected => connected,
    }?;
    let pipeline = Arc::clone(crew.pipeline);
    let worker = Worker::new(
        number,
        broker,
        pipeline,
        crew.time_mode.clone(),
        crew.metrics.clone(),
    )
    .with_store(crew.store())
    .with_standbys(crew.standbys.clone())
    .with_learning(crew.workbench())
    .with_shared_models(crew.models)
    .with_queries(crew.queries);
    let (started, mut has_worked) = (Instant::now(), false);
    let mut told: Option<WarmUp> = None;
    let ended = worker.run(crew.stop, |worker| {
        if worker.is_assigned() {
            has_worked = true;
            let running = u32::try_from(worker.tasks().count());
            presence.assigned(running.unwrap_or(u32::MAX));
            if worker.warm_up() != told {
                told = worker.warm_up();
                presence.warm_up(told.map(|warm_up| warm_up.to_string()));
            }
        } else {
            told = None;
            presence.revoked();
        }
    });
    if has_worked {
        troubles.worked_for(started.elapsed());
    }
    ended
}

impl Crew<'_> {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn store(&self) -> Box<dyn Store> {
        match self.store {
            Some(store) => Box::new(store.handle()),
            None => Box::new(NoStore),
        }
    }

    fn workbench(&self) -> Box<dyn LearningExecutor> {
        match self.learning {
            Some(thread) => Box::new(thread.clone()),
            None => Box::new(InlineExecutor),
        }
    }

    fn wait(&self, patience: Duration) {
        let start = Instant::now();
        while start.elapsed() < patience && !self.is_stopping() {
            beat();
            thread::sleep(STEP);
        }
    }
}

/// Failures of one number, one after the other.
#[derive(Debug, Default)]
struct Troubles {
    failures: u32,
    worked_until: Option<Instant>,
}

impl Troubles {
    /// Counts a failure and says how long to wait: twice as long as the last time.
    fn backoff(&mut self) -> Duration {
        let doubled = BACKOFF.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        doubled.min(LONGEST_BACKOFF)
    }

    fn worked_for(&mut self, span: Duration) {
        self.worked_until = Some(Instant::now());
        if span >= RECOVERED {
            self.failures = 0;
        }
    }

    /// Settings that worked a moment ago are likely right.
    fn may_be_outage(&self) -> bool {
        self.worked_until
            .is_some_and(|until| until.elapsed() < OUTAGE)
    }
}

/// Stops all workers when a panic unwinds through one.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The worker's own counts are gone with it, and it holds nothing any more.
fn count_failure(number: usize, metrics: &Metrics, failure: &Failure) {
    WorkerMeter::new(number).export(metrics);
    let why = match failure {
        Failure::Fenced(_) => Restart::Fenced,
        _ => Restart::Failed,
    };
    metrics.restarted(number, why, reason(failure));
}

fn panicked(number: usize, panic: &(dyn Any + Send)) -> Failed {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failed::running(format!(
        "shard {number} panicked: {}; this is a defect of flockwise, please report it with the log \
         above. Nothing that was committed is lost: a restart goes on from there",
        text.unwrap_or("without a word")
    ))
}
