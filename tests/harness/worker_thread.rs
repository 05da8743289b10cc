//! A worker on its own thread, restarted after each fatal or fenced failure.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::worker::Worker;

use crate::faulty_broker::{FaultScript, FaultyBroker};
use crate::test_broker::TestBroker;

/// A worker that runs until [`WorkerThread::leave`].
#[derive(Debug)]
pub struct WorkerThread {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), Failure>>,
}

/// State shared between a worker's thread and the test.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    is_assigned: AtomicBool,
    tasks: AtomicUsize,
    version: AtomicU64,
    deaths: AtomicUsize,
    failure: OnceLock<String>,
}

/// Everything that a worker is made of.
pub struct WorkerSetup<S> {
    /// The broker that it connects to.
    pub broker: Arc<S>,
    /// The pipeline that it runs.
    pub pipeline: Arc<Pipeline>,
    /// Its name in the group. A restarted worker keeps it.
    pub member: String,
    /// The faults of its client.
    pub script: Arc<FaultScript>,
    /// The metrics that it counts into.
    pub metrics: Metrics,
}

impl WorkerThread {
    /// Starts the thread.
    ///
    /// # Panics
    /// If the thread cannot be started.
    #[must_use]
    pub fn start<S: TestBroker>(setup: WorkerSetup<S>) -> Self {
        let shared = Arc::new(Shared::default());
        let thread_shared = Arc::clone(&shared);
        let thread = Builder::new()
            .name(setup.member.clone())
            .spawn(move || {
                run_until_stopped(&setup, &thread_shared).inspect_err(|failure| {
                    thread_shared.failure.get_or_init(|| failure.to_string());
                })
            })
            .expect("a thread");
        Self { shared, thread }
    }

    /// Number of tasks that it owns.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared.tasks.load(Ordering::Relaxed)
    }

    /// True once it has an assignment, even an empty one.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.shared.is_assigned.load(Ordering::Relaxed)
    }

    /// The model version that it uses; 0 if it has none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Relaxed)
    }

    /// Number of fatal or fenced failures so far, each followed by a restart.
    #[must_use]
    pub fn deaths(&self) -> usize {
        self.shared.deaths.load(Ordering::Relaxed)
    }

    /// Commits, leaves the group and waits until the thread ends.
    ///
    /// # Panics
    /// If the worker fails or panics.
    pub fn leave(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().expect("no panic");
        ended.expect("no failure");
    }

    /// Why its thread has ended although nobody called [`WorkerThread::leave`]; `None` while it runs.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        let panicked = || self.thread.is_finished().then_some("a panic");
        self.shared
            .failure
            .get()
            .map(String::as_str)
            .or_else(panicked)
    }
}

fn run_until_stopped<S: TestBroker>(
    setup: &WorkerSetup<S>,
    shared: &Shared,
) -> Result<(), Failure> {
    loop {
        let client =
            FaultyBroker::new(setup.broker.join(&setup.member)?, Arc::clone(&setup.script));
        let (pipeline, metrics) = (Arc::clone(&setup.pipeline), setup.metrics.clone());
        let worker = Worker::new(0, client, pipeline, TimeMode::live(), metrics);
        let ended = worker.run(&shared.stop, |worker| {
            shared
                .tasks
                .store(worker.tasks().count(), Ordering::Relaxed);
            shared
                .is_assigned
                .store(worker.is_assigned(), Ordering::Relaxed);
            let version = worker
                .versions()
                .map_or(0, |versions| versions.current.version());
            shared.version.store(version, Ordering::Relaxed);
        });
        shared.tasks.store(0, Ordering::Relaxed);
        match ended {
            Err(Failure::Fatal(_) | Failure::Fenced(_)) => {
                shared.deaths.fetch_add(1, Ordering::Relaxed)
            }
            ended => return ended,
        };
    }
}
