//! The store of a process, and the handles that its workers have.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Load, Store};
use prometheus::Registry;
use tracing::{debug, warn};

use crate::folders::Folders;
use crate::load::{Expected, Loaded, load};
use crate::load_error::LoadError;
use crate::metrics::StoreMetrics;
use crate::write_queue::{CheckpointStatus, Job, WriteQueue};
use crate::writer::Writer;

/// Address space for each open copy. It costs nothing until it is used, and no copy of a task comes near;
/// there are 2^47 bytes of it, or 2^32.
const MAP_BYTES: usize = if size_of::<usize>() > 4 {
    64 << 30
} else {
    64 << 20
};
/// What went wrong is not tried again before that.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// A load waits that long for the writer, well within the time that a group allows its members.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a copy that is being written is looked at again.
const STEP: Duration = Duration::from_millis(5);

/// Where and how a store keeps its copies.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The state directory, which this process alone uses; made where it is missing.
    pub directory: PathBuf,
    /// The pipeline's name, and that of the folder in the directory.
    pub app: String,
    /// The largest size of a copy, bytes: a multiple of the machine's page size.
    pub map_bytes: usize,
    /// How long a copy that failed is left alone.
    pub retry_after: Duration,
    /// The machine's, or a simulation's.
    pub clock: Clock,
}

impl StoreSettings {
    /// The usual ones: copies of up to 64 GiB (64 MiB on 32 bits), failures left alone for a minute.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, app: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            app: app.into(),
            map_bytes: MAP_BYTES,
            retry_after: RETRY_AFTER,
            clock: Clock::System,
        }
    }
}

/// Why a store cannot be begun. What is wrong with the disk is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The metrics have their names already.
    #[error("the store's metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system gives no thread.
    #[error("no thread for writing local state: {0}")]
    Thread(io::Error),
}

/// The local state of a process; clones are the same one. Its thread ends some time after the last
/// of them and of their handles: [`finish`](Self::finish) waits for it.
#[derive(Clone, Debug)]
pub struct DiskStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Arc<WriteQueue>,
    folders: Folders,
    settings: StoreSettings,
    metrics: StoreMetrics,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl DiskStore {
    /// Begins with what the directory holds, and one thread named `flockwise-store`.
    ///
    /// # Errors
    /// Where the registry has such metrics already, or there is no thread to be had. A directory that
    /// cannot be used is no error: that is logged and counted when a copy is to be written.
    pub fn start(settings: StoreSettings, registry: &Registry) -> Result<Self, StoreError> {
        let metrics = StoreMetrics::register(registry)?;
        let clock = settings.clock.clone();
        let queue = Arc::new(WriteQueue::new(clock.clone(), settings.retry_after));
        let folders = Folders::new(&settings.directory, &settings.app);
        let writer = Writer {
            queue: Arc::clone(&queue),
            folders: folders.clone(),
            app: settings.app.clone(),
            map_bytes: settings.map_bytes,
            clock,
            metrics: metrics.clone(),
            open: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        let thread = thread::Builder::new().name("flockwise-store".to_owned());
        thread
            .spawn(move || writer.run())
            .map_err(StoreError::Thread)?;
        let shared = Shared {
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

    /// Waits until everything given is written, and every copy closed; `false` where that takes longer
    /// than the patience, or the writer is no more.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> bool {
        self.shared.queue.finish(patience)
    }
}

/// A worker's handle of a [`DiskStore`].
///
/// A task belongs to the handle that loaded it last, until it releases it or is dropped. To every other there is
/// none, and what it gives is dropped: a worker that learns late that its task is another's must not
/// put old records over newer ones.
#[derive(Debug)]
pub struct WorkerStore {
    number: u64,
    shared: Arc<Shared>,
}

/// A worker that ends without releasing its tasks, after a fatal error or a panic, leaves them to others.
impl Drop for WorkerStore {
    fn drop(&mut self) {
        self.shared.queue.release_all(self.number);
    }
}

impl Store for WorkerStore {
    /// Waits until the writer has done what it was given for this task. Reads the file twice, so that
    /// nothing is handed over before everything was checked.
    fn load(
        &mut self,
        task: u32,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        self.load_one(task, wanted, each)
    }

    /// On as many threads as there are cores: to read a copy is work, not waiting.
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
                // Where there is no thread to be had, this one does it all.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let offset = |result: OnceLock<_>| result.into_inner().flatten();
        results.into_iter().map(offset).collect()
    }

    fn checkpoint_state(&mut self, task: u32) -> CheckpointState {
        self.shared.queue.copy(task, self.number)
    }

    fn await_checkpoint(&mut self, task: u32, patience: Duration) -> CheckpointState {
        let start = Instant::now();
        loop {
            match self.checkpoint_state(task) {
                CheckpointState::Busy if start.elapsed() < patience => thread::sleep(STEP),
                copy => return copy,
            }
        }
    }

    fn write(&mut self, task: u32, records: CheckpointBatch) {
        self.shared.queue.write(task, self.number, records);
    }

    /// Returns at once; the writer closes the copy when it comes to it.
    fn release(&mut self, task: u32) {
        self.shared.queue.release(task, self.number);
    }

    fn set_aside(&mut self, task: u32, reason: &str) {
        let found = reason.to_owned();
        let job = Job::SetAside { found };
        self.shared.queue.discard(task, self.number, job);
    }

    fn remove(&mut self, task: u32) {
        self.shared.queue.discard(task, self.number, Job::Remove);
    }
}

impl WorkerStore {
    fn load_one(
        &self,
        task: u32,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        let Shared {
            queue,
            folders,
            settings,
            metrics,
        } = &*self.shared;
        if !queue.take_over(task, self.number, PATIENCE) {
            warn!(
                task,
                "the writer of local state does not come to an end with this task, which is restored \
                 from its changelog"
            );
            queue.discard(task, self.number, Job::Remove);
            return None;
        }
        let expected = Expected {
            app: &settings.app,
            task,
            wanted,
            map_bytes: settings.map_bytes,
        };
        match load(&folders.file(task), expected, each) {
            Ok(Loaded { offset, bytes }) => {
                metrics.show_bytes(task, bytes);
                queue.stands(task, self.number, CheckpointStatus::Ready);
                Some(offset)
            }
            Err(error) => {
                self.begin_anew(task, error);
                None
            }
        }
    }

    fn begin_anew(&self, task: u32, error: LoadError) {
        let queue = &self.shared.queue;
        match error {
            LoadError::Absent => queue.stands(task, self.number, CheckpointStatus::Empty),
            LoadError::Unfinished => {
                debug!(task, "a copy was begun and not completed: removed");
                queue.discard(task, self.number, Job::Remove);
            }
            LoadError::Unusable(found) => {
                queue.discard(task, self.number, Job::SetAside { found });
            }
        }
    }
}
