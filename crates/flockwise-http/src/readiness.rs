//! Whether the process is alive and ready. The workers write this state, and the probes read it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The workers' state. Probes poll it and need no order between its counts, so the atomics are relaxed.
#[derive(Debug)]
pub struct Readiness {
    shards_expected: u32,
    shards_alive: AtomicU32,
    /// The most workers that were ever alive at once. If fewer are alive now, one has ended.
    shards_seen: AtomicU32,
    shards_assigned: AtomicU32,
    tasks_running: AtomicU32,
    is_stopping: AtomicBool,
    silent: Mutex<Vec<SilentWorker>>,
    stalled: Mutex<Vec<StalledWorker>>,
    warm_up: Mutex<Option<String>>,
}

/// A worker that has uncommitted work and cannot commit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalledWorker {
    /// The worker's number in the instance.
    pub worker: usize,
    /// The age of its oldest uncommitted work.
    pub lasted: Duration,
    /// The latest error; `None` if no commit has failed yet.
    pub error: Option<String>,
}

/// A worker whose thread is alive but makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentWorker {
    /// The worker's number in the instance.
    pub worker: usize,
    /// The time since its last heartbeat.
    pub lasted: Duration,
}

/// One worker's part of the [`Readiness`]. When it is dropped, by a panic too, the worker counts as ended.
#[derive(Debug)]
pub struct WorkerPresence {
    readiness: Arc<Readiness>,
    is_assigned: bool,
    running: u32,
    /// This worker has set the warm-up text.
    is_warming_up: bool,
}

/// A snapshot of the [`Readiness`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) shards_expected: u32,
    pub(crate) shards_alive: u32,
    pub(crate) shards_ended: u32,
    pub(crate) shards_assigned: u32,
    pub(crate) tasks_running: u32,
    pub(crate) is_stopping: bool,
    pub(crate) silent: Vec<SilentWorker>,
    pub(crate) stalled: Vec<StalledWorker>,
    pub(crate) warm_up: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readiness {
    /// The state of an instance that will start `shards_expected` workers.
    #[must_use]
    pub fn new(shards_expected: u32) -> Arc<Self> {
        Arc::new(Self {
            shards_expected,
            shards_alive: AtomicU32::new(0),
            shards_seen: AtomicU32::new(0),
            shards_assigned: AtomicU32::new(0),
            tasks_running: AtomicU32::new(0),
            is_stopping: AtomicBool::new(false),
            silent: Mutex::default(),
            stalled: Mutex::default(),
            warm_up: Mutex::default(),
        })
    }

    /// Registers a worker's thread. The thread must keep the returned value for as long as it runs.
    #[must_use]
    pub fn worker(self: &Arc<Self>) -> WorkerPresence {
        let alive = self.shards_alive.fetch_add(1, Relaxed) + 1;
        self.shards_seen.fetch_max(alive, Relaxed);
        WorkerPresence {
            readiness: Arc::clone(self),
            is_assigned: false,
            running: 0,
            is_warming_up: false,
        }
    }

    /// Marks the process as stopping in an orderly way: no longer ready, but alive.
    pub fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Sets the workers that have sent no heartbeat for longer than allowed. Replaces the previous list.
    pub fn silent(&self, workers: &[SilentWorker]) {
        let mut silent = self.silences();
        silent.clear();
        silent.extend(workers);
    }

    /// Sets the workers that have not committed for longer than allowed. Replaces the previous list.
    pub fn stalled(&self, workers: Vec<StalledWorker>) {
        *lock(&self.stalled) = workers;
    }

    fn silences(&self) -> MutexGuard<'_, Vec<SilentWorker>> {
        lock(&self.silent)
    }

    pub(crate) fn status(&self) -> Status {
        let shards_alive = self.shards_alive.load(Relaxed);
        Status {
            shards_expected: self.shards_expected,
            shards_alive,
            shards_ended: self.shards_seen.load(Relaxed).saturating_sub(shards_alive),
            shards_assigned: self.shards_assigned.load(Relaxed),
            tasks_running: self.tasks_running.load(Relaxed),
            is_stopping: self.is_stopping.load(Relaxed),
            silent: self.silences().clone(),
            stalled: lock(&self.stalled).clone(),
            warm_up: lock(&self.warm_up).clone(),
        }
    }
}

impl WorkerPresence {
    /// Marks the worker as assigned, with this many running tasks, possibly none. Call it only after the worker has
    /// restored its tasks.
    pub fn assigned(&mut self, running: u32) {
        if !std::mem::replace(&mut self.is_assigned, true) {
            self.readiness.shards_assigned.fetch_add(1, Relaxed);
        }
        self.count(running);
    }

    /// Sets what the first version of the model waits for, in words, if this worker hosts the trainer and there is no
    /// version yet; otherwise `None`. A warm-up does not make the process unready: it counts events meanwhile.
    pub fn warm_up(&mut self, text: Option<String>) {
        if self.is_warming_up || text.is_some() {
            self.is_warming_up = text.is_some();
            *lock(&self.readiness.warm_up) = text;
        }
    }

    /// Marks the worker as unassigned: it has given up its tasks and waits for the next assignment.
    pub fn revoked(&mut self) {
        if std::mem::replace(&mut self.is_assigned, false) {
            self.readiness.shards_assigned.fetch_sub(1, Relaxed);
        }
        self.warm_up(None);
        self.count(0);
    }

    fn count(&mut self, running: u32) {
        change(&self.readiness.tasks_running, &mut self.running, running);
    }
}

impl Drop for WorkerPresence {
    fn drop(&mut self) {
        self.revoked();
        self.readiness.shards_alive.fetch_sub(1, Relaxed);
    }
}

/// Changes one worker's part of a total to `now`.
fn change(total: &AtomicU32, part: &mut u32, now: u32) {
    // Wraps on purpose, like the atomic: a decrease is the addition of a huge number.
    total.fetch_add(now.wrapping_sub(*part), Relaxed);
    *part = now;
}

impl StalledWorker {
    fn text(&self) -> String {
        let (worker, seconds) = (self.worker, self.lasted.as_secs());
        let error = self
            .error
            .as_deref()
            .unwrap_or("no error yet: a commit is in progress");
        format!("worker {worker} has not been able to commit for {seconds} s: {error}")
    }
}

impl Status {
    /// Whether all workers that were ever started are alive and make progress. While the process is stopping, a worker
    /// may have ended, but none may hang.
    pub(crate) fn is_alive(&self) -> bool {
        self.silent.is_empty() && (self.shards_ended == 0 || self.is_stopping)
    }

    /// Why the process is not ready, one reason each. Empty if it is ready.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.is_stopping {
            missing.push("the process is stopping".to_owned());
        }
        if self.shards_alive < self.shards_expected {
            missing.push(format!(
                "{} of {} workers run",
                self.shards_alive, self.shards_expected
            ));
        }
        if self.shards_assigned < self.shards_alive {
            missing.push(format!(
                "{} of {} workers have been assigned their tasks",
                self.shards_assigned, self.shards_alive
            ));
        }
        missing.extend(self.stalled.iter().map(StalledWorker::text));
        missing
    }
}
