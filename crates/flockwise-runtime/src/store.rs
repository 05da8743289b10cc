//! The port of the local store, which keeps checkpoints of tasks, so that a start need not read whole changelogs.
//!
//! A checkpoint holds a task's changelog records by key, and an offset. Applying the changelog's committed records from
//! that offset on gives the state as of the last commit. Records may be newer than the offset, never newer than the last
//! commit. A checkpoint that is lost or found damaged costs time and nothing else.

use std::time::Duration;

use flockwise_vocabulary::task_id::TaskId;

/// How long a checkpoint or standby is trusted after its last update. Kafka keeps a tombstone for at least a day
/// (`delete.retention.ms`): within half of that, no tombstone can be gone that was not read.
pub const MAX_CHECKPOINT_AGE: Duration = Duration::from_hours(12);

/// Records of one task to be written to the store, in one arena.
#[derive(Clone, Debug, Default)]
pub struct CheckpointBatch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The id of the changelog topic. It differs from that of any other topic of the same name.
    pub changelog: String,
    /// The fingerprint of the feature plan of the rows.
    pub plan: u64,
    /// The changelog offset that the checkpoint covers after this batch; `None`: as before.
    pub offset: Option<i64>,
    /// Time of the last commit that the records belong to, milliseconds since the epoch.
    pub committed_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Length of the key.
    key: usize,
    /// Length of the value; `None`: the key is removed.
    value: Option<usize>,
}

impl CheckpointBatch {
    /// Appends a record; a `value` of `None` removes the key.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.entries.push(Entry {
            key: key.len(),
            value: value.map(<[u8]>::len),
        });
    }

    /// Key and value of each record, in order; a value of `None` removes the key.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut remaining = self.bytes.as_slice();
        self.entries.iter().map(move |entry| {
            let (key, after) = remaining.split_at(entry.key);
            let (value, after) = after.split_at(entry.value.unwrap_or(0));
            remaining = after;
            (key, entry.value.map(|_| value))
        })
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Does it hold no record?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What a load expects of a checkpoint. One that differs is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCheckpoint {
    /// The id of the changelog topic, as [`CheckpointBatch::changelog`].
    pub changelog: String,
    /// The fingerprint of the feature plan.
    pub plan: u64,
    /// The present time, milliseconds since the epoch. A checkpoint older than [`MAX_CHECKPOINT_AGE`] may hold customers
    /// whose tombstones the changelog no longer has.
    pub now_ms: i64,
}

/// A task whose checkpoint is loaded, and the receiver of its records: see [`Store::load`].
pub struct Load<'a> {
    /// The number of the task.
    pub task: TaskId,
    /// Called with key and value of every record. Returns `false` if the record cannot be used.
    pub each: &'a mut (dyn FnMut(&[u8], &[u8]) -> bool + Send),
}

/// The state of a task's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointState {
    /// Ready for newer records.
    Ready,
    /// Still writing the last batch.
    Busy,
    /// There is none: write all rows, and set the offset only in the last batch of them.
    Empty,
    /// There is none, and none will be written.
    Off,
}

impl CheckpointState {
    /// May [`Store::write`] be called?
    #[must_use]
    pub fn accepts_records(self) -> bool {
        matches!(self, Self::Ready | Self::Empty)
    }
}

/// The checkpoints of a worker's tasks. A store never fails its worker: it logs and counts an error, and starts the
/// checkpoint over.
pub trait Store {
    /// Calls `each` with every record of a task's checkpoint. Returns the changelog offset to continue from; `None` if
    /// there is no checkpoint that can be trusted, in which case `each` is not called. If `each` returns `false`, because
    /// a record cannot be used, the checkpoint is set aside and the result is `None`: drop what `each` has received.
    fn load(
        &mut self,
        task: TaskId,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64>;

    /// As [`Store::load`] for each of these tasks, in parallel if possible. Returns the results in order.
    fn load_all(&mut self, wanted: &ExpectedCheckpoint, loads: Vec<Load<'_>>) -> Vec<Option<i64>> {
        let load = |load: Load<'_>| self.load(load.task, wanted, load.each);
        loads.into_iter().map(load).collect()
    }

    /// The state of a task's checkpoint.
    fn checkpoint_state(&mut self, task: TaskId) -> CheckpointState;

    /// As [`Store::checkpoint_state`], after waiting up to `patience` while it is [`CheckpointState::Busy`].
    fn await_checkpoint(&mut self, task: TaskId, patience: Duration) -> CheckpointState;

    /// Writes records of a task in the background, all or none. Call it only if
    /// [`CheckpointState::accepts_records`].
    fn write(&mut self, task: TaskId, records: CheckpointBatch);

    /// Gives the task up: finishes the last write, and leaves the checkpoint as it is.
    fn release(&mut self, task: TaskId);

    /// Sets a task's checkpoint aside for inspection, and starts an empty one. `reason` is logged.
    fn set_aside(&mut self, task: TaskId, reason: &str);

    /// Removes a task's checkpoint, which is not damaged, and starts an empty one.
    fn remove(&mut self, task: TaskId);
}

/// A store without checkpoints: every start reads whole changelogs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn load(
        &mut self,
        _task: TaskId,
        _wanted: &ExpectedCheckpoint,
        _each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        None
    }

    fn checkpoint_state(&mut self, _task: TaskId) -> CheckpointState {
        CheckpointState::Off
    }

    fn await_checkpoint(&mut self, _task: TaskId, _patience: Duration) -> CheckpointState {
        CheckpointState::Off
    }

    fn write(&mut self, _task: TaskId, _records: CheckpointBatch) {}

    fn release(&mut self, _task: TaskId) {}

    fn set_aside(&mut self, _task: TaskId, _reason: &str) {}

    fn remove(&mut self, _task: TaskId) {}
}
