//! A worker on a thread of its own, started again whenever it dies.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::worker::Worker;

use crate::faulty_broker::{FaultScript, FaultyBroker};
use crate::test_broker::TestBroker;

/// A worker that works until it is told to leave.
#[derive(Debug)]
pub struct WorkerThread {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), Failure>>,
}

/// What is seen of a worker, and what it is told.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    is_assigned: AtomicBool,
    tasks: AtomicUsize,
    version: AtomicU64,
    deaths: AtomicUsize,
    trouble: OnceLock<String>,
}

/// What a worker is made from.
pub struct WorkerSetup<S> {
    /// The broker.
    pub broker: Arc<S>,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The name under which the group knows it.
    pub member: String,
    /// What goes wrong.
    pub script: Arc<FaultScript>,
    /// Where it counts.
    pub metrics: Metrics,
}

impl WorkerThread {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no thread for it.
    #[must_use]
    pub fn start<S: TestBroker>(role: WorkerSetup<S>) -> Self {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = Builder::new()
            .name(role.member.clone())
            .spawn(move || {
                keep_going(&role, &seen).inspect_err(|failure| {
                    seen.trouble.get_or_init(|| failure.to_string());
                })
            })
            .expect("a thread");
        Self { shared, thread }
    }

    /// Tasks that it owns.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared.tasks.load(Ordering::Relaxed)
    }

    /// Has it been given its tasks, even if none?
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.shared.is_assigned.load(Ordering::Relaxed)
    }

    /// The version of the model that it uses; 0: none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Relaxed)
    }

    /// How often it died.
    #[must_use]
    pub fn deaths(&self) -> usize {
        self.shared.deaths.load(Ordering::Relaxed)
    }

    /// Commits, hands over and leaves.
    ///
    /// # Panics
    /// Where it does not end in good order.
    pub fn leave(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().expect("no panic");
        ended.expect("an end in good order");
    }

    /// Why its thread has ended of itself, which it should not.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        let panicked = || self.thread.is_finished().then_some("a panic");
        self.shared
            .trouble
            .get()
            .map(String::as_str)
            .or_else(panicked)
    }
}

fn keep_going<S: TestBroker>(role: &WorkerSetup<S>, shared: &Shared) -> Result<(), Failure> {
    loop {
        let client = FaultyBroker::new(role.broker.join(&role.member)?, Arc::clone(&role.script));
        let (pipeline, metrics) = (Arc::clone(&role.pipeline), role.metrics.clone());
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
