//! Runs the workers, one thread each, and restarts those that fail until all are told to stop.

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

use crate::exit::Failed;
use crate::kafka_settings::reason;

/// The wait before a worker restarts: the first one, and the longest.
const BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A worker that has run for this long has recovered: its next wait is the first one again.
const RECOVERY_TIME: Duration = Duration::from_secs(60);
/// After a worker has run, configuration errors are retried for this long, since they may come from an outage.
const OUTAGE_TIME: Duration = Duration::from_secs(300);
/// How often a wait checks whether to stop.
const STEP: Duration = Duration::from_millis(50);

/// What all workers share.
pub(crate) struct WorkerContext<'a> {
    pub(crate) pipeline: &'a Arc<Pipeline>,
    pub(crate) time_mode: TimeMode,
    pub(crate) metrics: &'a Metrics,
    pub(crate) readiness: &'a Arc<Readiness>,
    /// The checkpoints; `None` if none are kept.
    pub(crate) store: Option<&'a DiskStore>,
    pub(crate) standbys: &'a Standbys,
    /// The contents of the model topic, which only one worker needs to read.
    pub(crate) models: &'a SharedModels,
    /// The thread where the trainer learns; `None` if it learns in the loop of its worker.
    pub(crate) learning: Option<&'a LearningThread>,
    /// Customer queries to the workers.
    pub(crate) queries: &'a Queries,
    /// One heartbeat per worker.
    pub(crate) heartbeats: &'a [Heartbeat],
    /// Stops all workers. Set from outside, or by a worker that cannot continue.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs `count` workers until they are told to stop. A worker with a configuration error or a panic stops
/// all others in good order: a process with only some of its workers would look alive and serve only
/// some customers.
pub(crate) fn run_workers<B: Broker>(
    count: usize,
    connect: impl Fn(usize) -> Result<B, Failure> + Sync,
    context: &WorkerContext<'_>,
) -> Result<(), Failed> {
    thread::scope(|scope| {
        let start = |number| {
            let connect = &connect;
            thread::Builder::new()
                .name(format!("flockwise-{number}"))
                .spawn_scoped(scope, move || supervise(number, connect, context))
                .map_err(|error| {
                    context.stop.store(true, Ordering::Relaxed);
                    Failed::runtime(format!(
                        "cannot start the thread of worker {number}: {error}; raise the limit on threads, \
                         or lower `shards`"
                    ))
                })
        };
        // Starts all threads before it waits for any.
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

/// Runs the worker with this number, and starts a new one in its place whenever it fails.
fn supervise<B: Broker>(
    number: usize,
    connect: impl Fn(usize) -> Result<B, Failure>,
    context: &WorkerContext<'_>,
) -> Result<(), Failed> {
    let _stop_on_panic = StopOnPanic(context.stop);
    if let Some(heartbeat) = context.heartbeats.get(number) {
        heartbeat.attach_to_thread();
    }
    let _span = tracing::info_span!("worker", number).entered();
    let mut presence = context.readiness.worker();
    let mut history = RestartHistory::default();
    while !context.is_stopping() {
        let ended = run_worker(number, &connect, context, &mut presence, &mut history);
        presence.revoked();
        match ended {
            Ok(()) => {}
            // Uncommitted work is done again after the next start.
            Err(failure) if context.is_stopping() => {
                tracing::warn!(
                    "worker failed while stopping, uncommitted work is done again after the next start: {}",
                    reason(&failure)
                );
            }
            Err(Failure::Config(reason)) => {
                context.stop.store(true, Ordering::Relaxed);
                return Err(Failed::runtime(reason));
            }
            Err(failure) => {
                let backoff = history.backoff();
                tracing::warn!(
                    failures = history.failures,
                    ?backoff,
                    "worker restarts: {}",
                    reason(&failure)
                );
                count_failure(number, context.metrics, &failure);
                context.wait(backoff);
            }
        }
    }
    Ok(())
}

/// Connects and runs one worker until it ends.
fn run_worker<B: Broker>(
    number: usize,
    connect: impl Fn(usize) -> Result<B, Failure>,
    context: &WorkerContext<'_>,
    presence: &mut WorkerPresence,
    history: &mut RestartHistory,
) -> Result<(), Failure> {
    let broker = match connect(number) {
        Err(Failure::Config(reason)) if history.may_be_outage() => Err(Failure::Fatal(reason)),
        connected => connected,
    }?;
    let pipeline = Arc::clone(context.pipeline);
    let worker = Worker::new(
        number,
        broker,
        pipeline,
        context.time_mode.clone(),
        context.metrics.clone(),
    )
    .with_store(context.store())
    .with_standbys(context.standbys.clone())
    .with_learning(context.learning_executor())
    .with_shared_models(context.models)
    .with_queries(context.queries);
    let (started, mut has_worked) = (Instant::now(), false);
    let mut reported: Option<WarmUp> = None;
    let ended = worker.run(context.stop, |worker| {
        if worker.is_assigned() {
            has_worked = true;
            let running = u32::try_from(worker.tasks().count());
            presence.assigned(running.unwrap_or(u32::MAX));
            if worker.warm_up() != reported {
                reported = worker.warm_up();
                presence.warm_up(reported.map(|warm_up| warm_up.to_string()));
            }
        } else {
            reported = None;
            presence.revoked();
        }
    });
    if has_worked {
        history.worked_for(started.elapsed());
    }
    ended
}

impl WorkerContext<'_> {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn store(&self) -> Box<dyn Store> {
        match self.store {
            Some(store) => Box::new(store.handle()),
            None => Box::new(NoStore),
        }
    }

    fn learning_executor(&self) -> Box<dyn LearningExecutor> {
        match self.learning {
            Some(thread) => Box::new(thread.clone()),
            None => Box::new(InlineExecutor),
        }
    }

    fn wait(&self, duration: Duration) {
        let start = Instant::now();
        while start.elapsed() < duration && !self.is_stopping() {
            beat();
            thread::sleep(STEP);
        }
    }
}

/// The recent failures of one worker.
#[derive(Debug, Default)]
struct RestartHistory {
    failures: u32,
    worked_until: Option<Instant>,
}

impl RestartHistory {
    /// Counts a failure. Returns how long to wait: twice as long as the last time, up to [`LONGEST_BACKOFF`].
    fn backoff(&mut self) -> Duration {
        let doubled = BACKOFF.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        doubled.min(LONGEST_BACKOFF)
    }

    fn worked_for(&mut self, span: Duration) {
        self.worked_until = Some(Instant::now());
        if span >= RECOVERY_TIME {
            self.failures = 0;
        }
    }

    /// Whether a configuration error may come from an outage: the same settings worked a moment ago.
    fn may_be_outage(&self) -> bool {
        self.worked_until
            .is_some_and(|until| until.elapsed() < OUTAGE_TIME)
    }
}

/// Stops all workers if its thread panics.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Counts the failure, and resets the gauges of the worker, which no longer owns anything.
fn count_failure(number: usize, metrics: &Metrics, failure: &Failure) {
    WorkerMeter::new(number, std::iter::empty()).export(metrics);
    let why = match failure {
        Failure::Fenced(_) => Restart::Fenced,
        _ => Restart::Failed,
    };
    metrics.restarted(number, why, reason(failure));
}

fn panicked(number: usize, panic: &(dyn Any + Send)) -> Failed {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failed::runtime(format!(
        "worker {number} panicked: {}; please report this as a bug, with the log above. Nothing that was \
         committed is lost: a restart continues from the last commit",
        text.unwrap_or("no message")
    ))
}
