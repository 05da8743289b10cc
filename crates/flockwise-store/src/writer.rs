//! The thread that does all writing, one batch after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::CheckpointBatch;
use tracing::{debug, warn};

use crate::environment::{Environment, WriteError};
use crate::folders::Folders;
use crate::metrics::StoreMetrics;
use crate::write_queue::{CheckpointStatus, Job, WriteQueue};

/// What the writer's thread has.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) queue: Arc<WriteQueue>,
    pub(crate) folders: Folders,
    pub(crate) app: String,
    pub(crate) map_bytes: usize,
    pub(crate) clock: Clock,
    pub(crate) metrics: StoreMetrics,
    pub(crate) open: BTreeMap<u32, Environment>,
    /// Tasks whose failure was told, until they are written again.
    pub(crate) told: BTreeSet<u32>,
}

impl Writer {
    /// Until all is over.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _presence = WriterGuard(&queue);
        while let Some((task, job)) = queue.next() {
            let standing = self.work(task, job);
            queue.finished(task, standing);
        }
    }

    fn work(&mut self, task: u32, job: Job) -> Option<CheckpointStatus> {
        match job {
            Job::Write { kept, is_anew } => return Some(self.write(task, &kept, is_anew)),
            Job::Close => {
                self.close(task);
                return None;
            }
            Job::SetAside { found } => self.set_aside(task, &found),
            Job::Remove => self.remove(task),
        }
        Some(CheckpointStatus::Empty)
    }

    fn write(&mut self, task: u32, kept: &CheckpointBatch, is_anew: bool) -> CheckpointStatus {
        let start = self.clock.now();
        match self.try_to_write(task, kept, is_anew) {
            Ok(bytes) => {
                let took = self.clock.since(start);
                self.metrics.write_seconds.observe(took.as_secs_f64());
                self.metrics.writes.inc();
                self.metrics.records.inc_by(kept.len() as u64);
                self.metrics.show_bytes(task, bytes);
                self.told.remove(&task);
                CheckpointStatus::Ready
            }
            Err(error) => {
                self.lost(task, kept, &error);
                CheckpointStatus::Failed(self.clock.now())
            }
        }
    }

    /// Returns the length of the file.
    fn try_to_write(
        &mut self,
        task: u32,
        kept: &CheckpointBatch,
        is_anew: bool,
    ) -> Result<u64, WriteError> {
        if is_anew {
            self.open.remove(&task);
            self.folders.remove(task).map_err(heed::Error::Io)?;
        }
        let environment = match self.open.remove(&task) {
            Some(environment) => environment,
            None => Environment::open(&self.folders.task(task), self.map_bytes)?,
        };
        environment.write((&self.app, task), kept, is_anew)?;
        let bytes = environment.bytes();
        self.open.insert(task, environment);
        Ok(bytes)
    }

    /// Counts a failure, tells of it once, and gives the disk its room back.
    fn lost(&mut self, task: u32, kept: &CheckpointBatch, error: &WriteError) {
        self.metrics.failures.inc();
        self.metrics.forget(task);
        let file = self.folders.file(task);
        let copy_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        if self.told.insert(task) {
            warn!(
                task, %error, batch_bytes = kept.bytes(), copy_bytes,
                folder = %self.folders.task(task).display(), remedy = error.remedy(),
                "a task's local copy could not be written: the pipeline goes on without, and begins it \
                 anew in a while; until then a start reads the task's changelog whole"
            );
        }
        self.remove(task);
    }

    fn close(&mut self, task: u32) {
        self.open.remove(&task);
        self.metrics.forget(task);
    }

    fn set_aside(&mut self, task: u32, found: &str) {
        self.close(task);
        let folder = self.folders.task(task);
        let folder = folder.display();
        match self.folders.set_aside(task, self.clock.wall_ms()) {
            Ok(aside) => {
                self.metrics.set_aside.inc();
                warn!(
                    task, found, folder = %folder, aside = %aside.display(),
                    "a task's local copy cannot be used: set aside, to be removed when somebody has \
                     looked into it; the task is restored from its changelog, and a new copy begun"
                );
            }
            // Nothing was there to be set aside: it was discarded before its first batch.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                debug!(task, found, "there is no copy to set aside");
            }
            Err(error) => {
                self.metrics.failures.inc();
                warn!(
                    task, found, folder = %folder, %error,
                    "a task's local copy cannot be used, nor be set aside: the task is restored from its \
                     changelog, and a new copy will take its place"
                );
            }
        }
    }

    /// What cannot be removed now is, before anything is written in its place.
    fn remove(&mut self, task: u32) {
        self.close(task);
        if let Err(error) = self.folders.remove(task) {
            debug!(task, %error, "a task's former copy could not be removed");
        }
    }
}

/// Nobody must wait for a writer that is no more.
struct WriterGuard<'d>(&'d WriteQueue);

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        self.0.dead();
    }
}
