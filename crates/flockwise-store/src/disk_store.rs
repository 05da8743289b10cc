//! The store of a process, and its workers' handles.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Load, Store};
use flockwise_runtime::task_id::TaskId;
use prometheus::Registry;
use tracing::{debug, info, warn};

use crate::checkpoint_writer::Writer;
use crate::folders::Folders;
use crate::load_checkpoint::{Expected, Loaded, load};
use crate::load_error::LoadError;
use crate::metrics::StoreMetrics;
use crate::write_queue::{CheckpointStatus, Job, WriteQueue};

/// How long after a failed write a new checkpoint is started.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How long a load waits for the writer at most. Well below the time that the group allows its members between polls.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a busy checkpoint is polled again.
const STEP: Duration = Duration::from_millis(5);

/// Where and how a store keeps its checkpoints.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The state directory. Only this process may use it. The store creates it if it is missing.
    pub directory: PathBuf,
    /// The pipeline's name. The store's folder in the directory has this name.
    pub app: String,
    /// How long after a failed write the task's next checkpoint is started.
    pub retry_after: Duration,
    /// The machine's clock, or a simulated one.
    pub clock: Clock,
}

impl StoreSettings {
    /// The defaults: a retry one minute after a failed write, and the machine's clock.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, app: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            app: app.into(),
            retry_after: RETRY_AFTER,
            clock: Clock::System,
        }
    }
}

/// Why a store cannot start. A failing disk is not an error here.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The registry already has metrics of these names.
    #[error("the store's metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system cannot start the writer's thread.
    #[error("cannot start the thread that writes checkpoints: {0}")]
    Thread(io::Error),
}

/// The checkpoints of a process. Clones share one store. Its thread ends after the last clone and the last handle are
/// dropped; call [`finish`](Self::finish) before, to wait until everything is written.
#[derive(Clone, Debug)]
pub struct DiskStore {
    shared: Arc<StoreShared>,
}

#[derive(Debug)]
struct StoreShared {
    queue: Arc<WriteQueue>,
    folders: Folders,
    settings: StoreSettings,
    metrics: StoreMetrics,
}

impl Drop for StoreShared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl DiskStore {
    /// Opens the store on the checkpoints in the directory, and starts its thread, `flockwise-store`.
    ///
    /// # Errors
    /// If the registry already has such metrics, or the thread cannot start. An unusable directory is not an error
    /// here: the store logs and counts it when it writes a checkpoint.
    pub fn start(settings: StoreSettings, registry: &Registry) -> Result<Self, StoreError> {
        let metrics = StoreMetrics::register(registry)?;
        let clock = settings.clock.clone();
        let queue = Arc::new(WriteQueue::new(clock.clone(), settings.retry_after));
        let folders = Folders::new(&settings.directory, &settings.app);
        let writer = Writer {
            queue: Arc::clone(&queue),
            folders: folders.clone(),
            app: settings.app.clone(),
            clock,
            metrics: metrics.clone(),
            open: BTreeMap::new(),
            logged: BTreeSet::new(),
        };
        let thread = thread::Builder::new().name("flockwise-store".to_owned());
        thread
            .spawn(move || writer.run())
            .map_err(StoreError::Thread)?;
        let shared = StoreShared {
            queue,
            folders,
            settings,
            metrics,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A handle for a worker.
    #[must_use]
    pub fn handle(&self) -> WorkerStore {
        WorkerStore {
            number: self.shared.queue.handle(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until all batches are written and all checkpoints are closed. Returns `false` if that takes longer than
    /// `patience`, or if the writer has died.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> bool {
        self.shared.queue.finish(patience)
    }
}

/// A worker's handle of a [`DiskStore`].
///
/// A task belongs to the handle that loaded it last, until that handle releases the task or is dropped. For every
/// other handle the task has no checkpoint, and its batches are discarded: a worker that learns late that its task
/// has moved must not overwrite newer records with old ones.
#[derive(Debug)]
pub struct WorkerStore {
    number: u64,
    shared: Arc<StoreShared>,
}

/// Frees the tasks of a worker that ends without releasing them, after a fatal error or a panic.
impl Drop for WorkerStore {
    fn drop(&mut self) {
        self.shared.queue.release_all(self.number);
    }
}

impl Store for WorkerStore {
    /// Waits until the writer has finished this task's jobs. Reads the file twice, so that no record is passed on
    /// before all are checked.
    fn load(
        &mut self,
        task: TaskId,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        self.load_one(task, wanted, each)
    }

    /// Loads on as many threads as there are cores, because reading a checkpoint is bound by the CPU.
    fn load_all(&mut self, wanted: &ExpectedCheckpoint, loads: Vec<Load<'_>>) -> Vec<Option<i64>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let results = loads.iter().map(|_| OnceLock::new()).collect::<Vec<_>>();
        let places = Mutex::new(loads.into_iter().zip(&results));
        let work = || {
            let next = || places.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((load, result)) = next() {
                let offset = self.load_one(load.task, wanted, load.each);
                result.get_or_init(|| offset);
            }
        };
        thread::scope(|scope| {
            for _ in 1..cores.min(results.len()) {
                // If no thread can start, this one does all the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let offset = |result: OnceLock<_>| result.into_inner().flatten();
        results.into_iter().map(offset).collect()
    }

    fn checkpoint_state(&mut self, task: TaskId) -> CheckpointState {
        self.shared.queue.checkpoint_state(task, self.number)
    }

    fn await_checkpoint(&mut self, task: TaskId, patience: Duration) -> CheckpointState {
        let start = Instant::now();
        loop {
            match self.checkpoint_state(task) {
                CheckpointState::Busy if start.elapsed() < patience => thread::sleep(STEP),
                copy => return copy,
            }
        }
    }

    fn write(&mut self, task: TaskId, records: CheckpointBatch) {
        self.shared.queue.write(task, self.number, records);
    }

    /// Returns at once. The writer closes the checkpoint later.
    fn release(&mut self, task: TaskId) {
        self.shared.queue.release(task, self.number);
    }

    fn set_aside(&mut self, task: TaskId, reason: &str) {
        let found = reason.to_owned();
        let job = Job::SetAside { found };
        self.shared.queue.discard(task, self.number, job);
    }

    fn remove(&mut self, task: TaskId) {
        self.shared.queue.discard(task, self.number, Job::Remove);
    }
}

impl WorkerStore {
    fn load_one(
        &self,
        task: TaskId,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        let StoreShared {
            queue,
            folders,
            settings,
            metrics,
        } = &*self.shared;
        if !queue.take_over(task, self.number, PATIENCE) {
            warn!(
                task = task.0,
                "the checkpoint of this task was not written in time: the task is restored from its changelog"
            );
            queue.discard(task, self.number, Job::Remove);
            return None;
        }
        let expected = Expected {
            app: &settings.app,
            task,
            wanted,
        };
        match load(folders, expected, each) {
            Ok(Loaded { offset, bytes }) => {
                metrics.show_bytes(task, bytes);
                queue.set_status(task, self.number, CheckpointStatus::Ready);
                Some(offset)
            }
            Err(error) => {
                self.start_over(task, error);
                None
            }
        }
    }

    fn start_over(&self, task: TaskId, error: LoadError) {
        let queue = &self.shared.queue;
        match error {
            LoadError::Absent => queue.set_status(task, self.number, CheckpointStatus::Empty),
            LoadError::OldFormat => {
                info!(
                    task = task.0,
                    "removing a checkpoint of an earlier version: the task is restored from its changelog"
                );
                queue.discard(task, self.number, Job::Remove);
            }
            LoadError::Unfinished => {
                debug!(task = task.0, "removing an incomplete checkpoint");
                queue.discard(task, self.number, Job::Remove);
            }
            LoadError::Unusable(found) => {
                queue.discard(task, self.number, Job::SetAside { found });
            }
        }
    }
}
