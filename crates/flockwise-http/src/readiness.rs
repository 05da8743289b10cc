//! Is the process alive, and may it be counted on? Written by the workers, read by the probes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the workers say of themselves. Probes poll: no order between the counts is relied upon.
#[derive(Debug)]
pub struct Readiness {
    shards_expected: u32,
    shards_alive: AtomicU32,
    /// The most that ever lived at once: fewer than that, and one has ended.
    shards_seen: AtomicU32,
    shards_assigned: AtomicU32,
    tasks_running: AtomicU32,
    is_stopping: AtomicBool,
    silent: Mutex<Vec<Silence>>,
    stalled: Mutex<Vec<Stalled>>,
    warm_up: Mutex<Option<String>>,
}

/// A worker that has something to commit, and whose commits come to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Which.
    pub worker: usize,
    /// Since its oldest uncommitted work.
    pub lasted: Duration,
    /// The latest error, if one was told.
    pub error: Option<String>,
}

/// A worker whose thread lives and gets nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Which.
    pub worker: usize,
    /// Without a sign of life.
    pub lasted: Duration,
}

/// One worker's part in it. Dropping it, by a panic too, says that the worker's thread has ended.
#[derive(Debug)]
pub struct WorkerPresence {
    readiness: Arc<Readiness>,
    is_assigned: bool,
    running: u32,
    /// It has said what warm-up waits for.
    is_warming_up: bool,
}

/// The counts as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) shards_expected: u32,
    pub(crate) shards_alive: u32,
    pub(crate) shards_ended: u32,
    pub(crate) shards_assigned: u32,
    pub(crate) tasks_running: u32,
    pub(crate) is_stopping: bool,
    pub(crate) silent: Vec<Silence>,
    pub(crate) stalled: Vec<Stalled>,
    pub(crate) warm_up: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readiness {
    /// So many workers are to come.
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

    /// A worker's thread has begun; to be held for as long as it runs.
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

    /// The process is going down in good order: not ready any more, but nothing is wrong.
    pub fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// These workers have been silent for longer than one may be, and no others.
    pub fn silent(&self, workers: &[Silence]) {
        let mut silent = self.silences();
        silent.clear();
        silent.extend(workers);
    }

    /// These workers have not committed for longer than may be, and no others.
    pub fn stalled(&self, workers: Vec<Stalled>) {
        *lock(&self.stalled) = workers;
    }

    fn silences(&self) -> MutexGuard<'_, Vec<Silence>> {
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
    /// The worker has been assigned its tasks (none, it may be), and so many run. A worker that restores tasks is not
    /// assigned yet.
    pub fn assigned(&mut self, running: u32) {
        if !std::mem::replace(&mut self.is_assigned, true) {
            self.readiness.shards_assigned.fetch_add(1, Relaxed);
        }
        self.count(running);
    }

    /// What the first version of the model waits for, in words, where this worker is the trainer and there is none. It
    /// makes nothing unready: events are counted meanwhile.
    pub fn warm_up(&mut self, text: Option<String>) {
        if self.is_warming_up || text.is_some() {
            self.is_warming_up = text.is_some();
            *lock(&self.readiness.warm_up) = text;
        }
    }

    /// The worker has handed over all it had, and waits for the next assignment.
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

/// Takes one worker's part of a total from what it was to what it is.
fn change(total: &AtomicU32, part: &mut u32, now: u32) {
    // Wrapping on purpose, as the atomic does: a smaller part is a huge one to be added.
    total.fetch_add(now.wrapping_sub(*part), Relaxed);
    *part = now;
}

impl Stalled {
    fn text(&self) -> String {
        let (worker, seconds) = (self.worker, self.lasted.as_secs());
        let error = self
            .error
            .as_deref()
            .unwrap_or("no error yet: a commit is under way");
        format!("worker {worker} has not been able to commit for {seconds} s: {error}")
    }
}

impl Status {
    /// Do all threads live that were ever started, and get on? One that has ended is as it should be while
    /// stopping; one that hangs never is.
    pub(crate) fn is_alive(&self) -> bool {
        self.silent.is_empty() && (self.shards_ended == 0 || self.is_stopping)
    }

    /// What is missing before the process may be counted on, in words; empty once it may.
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
        missing.extend(self.stalled.iter().map(Stalled::text));
        missing
    }
}
