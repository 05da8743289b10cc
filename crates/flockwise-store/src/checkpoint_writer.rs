//! The thread that writes all checkpoints, one batch after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::CheckpointBatch;
use flockwise_runtime::task_id::TaskId;
use tracing::{debug, warn};

use crate::checkpoint_log::{CheckpointLog, WriteError};
use crate::folders::Folders;
use crate::metrics::StoreMetrics;
use crate::write_queue::{CheckpointStatus, Job, WriteQueue};

/// The state of the writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) queue: Arc<WriteQueue>,
    pub(crate) folders: Folders,
    pub(crate) app: String,
    pub(crate) clock: Clock,
    pub(crate) metrics: StoreMetrics,
    pub(crate) open: BTreeMap<TaskId, CheckpointLog>,
    /// Tasks whose failure is already logged. A task leaves the set with its next successful write.
    pub(crate) logged: BTreeSet<TaskId>,
}

impl Writer {
    /// Runs jobs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _presence = WriterGuard(&queue);
        while let Some((task, job)) = queue.next() {
            let status = self.work(task, job);
            queue.finished(task, status);
        }
    }

    fn work(&mut self, task: TaskId, job: Job) -> Option<CheckpointStatus> {
        match job {
            Job::Write { batch, is_new } => return Some(self.write(task, &batch, is_new)),
            Job::Close => {
                self.close(task);
                return None;
            }
            Job::SetAside { found } => self.set_aside(task, &found),
            Job::Remove => self.remove(task),
        }
        Some(CheckpointStatus::Empty)
    }

    fn write(&mut self, task: TaskId, batch: &CheckpointBatch, is_new: bool) -> CheckpointStatus {
        let start = self.clock.now();
        match self.try_to_write(task, batch, is_new) {
            Ok(bytes) => {
                let took = self.clock.since(start);
                self.metrics.write_seconds.observe(took.as_secs_f64());
                self.metrics.writes.inc();
                self.metrics.records.inc_by(batch.len() as u64);
                self.metrics.show_bytes(task, bytes);
                self.logged.remove(&task);
                CheckpointStatus::Ready
            }
            Err(error) => {
                self.lost(task, batch, &error);
                CheckpointStatus::Failed(self.clock.now())
            }
        }
    }

    /// Writes a batch and returns the length of the file in bytes.
    fn try_to_write(
        &mut self,
        task: TaskId,
        batch: &CheckpointBatch,
        is_new: bool,
    ) -> Result<u64, WriteError> {
        let file = self.folders.file(task);
        let former = self.open.remove(&task);
        let mut log = if is_new {
            drop(former);
            self.folders.remove(task)?;
            CheckpointLog::create(&file, (&self.app, task), batch)?
        } else {
            former.map_or_else(|| CheckpointLog::open(&file), Ok)?
        };
        log.write(batch)?;
        let bytes = log.bytes();
        self.open.insert(task, log);
        Ok(bytes)
    }

    /// Counts a failure, logs it once, and removes the checkpoint to free its space.
    fn lost(&mut self, task: TaskId, batch: &CheckpointBatch, error: &WriteError) {
        self.metrics.failures.inc();
        self.metrics.forget(task);
        let file = self.folders.file(task);
        let copy_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        if self.logged.insert(task) {
            warn!(
                task = task.0, %error, batch_bytes = batch.bytes(), copy_bytes,
                folder = %self.folders.task(task).display(), remedy = error.remedy(),
                "a task's checkpoint could not be written: the pipeline continues without it and starts a new one \
                 later; until then, a start reads the task's whole changelog"
            );
        }
        self.remove(task);
    }

    fn close(&mut self, task: TaskId) {
        self.open.remove(&task);
        self.metrics.forget(task);
    }

    fn set_aside(&mut self, task: TaskId, found: &str) {
        self.close(task);
        let folder = self.folders.task(task);
        let folder = folder.display();
        match self.folders.set_aside(task, self.clock.wall_ms()) {
            Ok(aside) => {
                self.metrics.set_aside.inc();
                warn!(
                    task = task.0, found, folder = %folder, aside = %aside.display(),
                    "a task's checkpoint cannot be used and was set aside: inspect it, then delete it; the task is \
                     restored from its changelog and gets a new checkpoint"
                );
            }
            // The checkpoint was discarded before its first batch, so there is no folder.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                debug!(task = task.0, found, "no checkpoint to set aside");
            }
            Err(error) => {
                self.metrics.failures.inc();
                warn!(
                    task = task.0, found, folder = %folder, %error,
                    "a task's checkpoint cannot be used and could not be set aside: the task is restored from its \
                     changelog, and a new checkpoint replaces this one"
                );
            }
        }
    }

    /// Removes the checkpoint. If that fails, it is removed before the next one is written.
    fn remove(&mut self, task: TaskId) {
        self.close(task);
        if let Err(error) = self.folders.remove(task) {
            debug!(task = task.0, %error, "a task's old checkpoint could not be removed");
        }
    }
}

/// Marks the writer as dead when its thread ends, by a panic too, so that no handle waits for it.
struct WriterGuard<'d>(&'d WriteQueue);

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        self.0.dead();
    }
}
