//! Checkpoints: committed rows are handed to the local store in the background, a slice at a time.

mod hand_rows_to_store;

use std::time::Duration;

use crate::clock::Moment;
use crate::store::{CheckpointBatch, NoStore, Store};
use flockwise_vocabulary::task_id::TaskId;

/// How often a task's checkpoint is brought up to date. The next start reads what is newer from the changelog; a
/// customer who acts all the time is written once in this time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Rows written in one call, so that none takes long.
const MAX_ROWS_PER_CALL: usize = 1 << 14;

/// How long a leaving worker waits until the checkpoint of one task is written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The local store, and which changelog its checkpoints belong to.
pub(crate) struct Checkpointer {
    store: Box<dyn Store>,
    /// The id of the changelog topic, once it was asked for.
    changelog_id: Option<String>,
}

/// Progress of one task's checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckpointProgress {
    began: Moment,
    /// While one is being written: the changelog offset that it will cover.
    offset: Option<i64>,
}

impl CheckpointProgress {
    /// As if a checkpoint had just been written.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            began: now,
            offset: None,
        }
    }
}

impl Checkpointer {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self {
            store,
            changelog_id: None,
        }
    }

    pub(crate) fn store(&mut self) -> &mut dyn Store {
        &mut *self.store
    }

    /// Takes the store out: nothing is written through this worker any more.
    pub(crate) fn take_store(&mut self) -> Box<dyn Store> {
        std::mem::replace(&mut self.store, Box::new(NoStore))
    }
}

/// Writes the final checkpoints after the worker has left, when others can already take its tasks over.
pub(crate) fn write_final_checkpoints(
    mut store: Box<dyn Store>,
    checkpoints: Vec<(TaskId, CheckpointBatch)>,
) {
    for (task_id, batch) in checkpoints {
        if store
            .await_checkpoint(task_id, FINAL_WRITE_TIMEOUT)
            .accepts_records()
        {
            store.write(task_id, batch);
        }
        store.release(task_id);
    }
}
