//! The port behind which local state stands: a copy of what tasks' changelogs hold, so that a start need
//! not read them whole.
//!
//! A store holds for each task the changelog's records by key, and an offset: with the changelog's
//! committed records from there on put over them, they are the state as of the last commit. Records may
//! be newer than the offset, never than the last commit. What a store lost, or gets wrong, costs time
//! and nothing else.

use std::time::Duration;

/// How long what is kept beside a changelog is trusted without having been brought up to date. Kafka keeps a
/// tombstone for a day (`delete.retention.ms`) at least: within half of it none can be gone that was not seen.
pub const MAX_CHECKPOINT_AGE: Duration = Duration::from_hours(12);

/// Records of one task on their way to the store, in one arena.
#[derive(Clone, Debug, Default)]
pub struct CheckpointBatch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Which changelog they are of: what tells it from another topic of the same name.
    pub changelog: String,
    /// The fingerprint of the plan under which rows were kept.
    pub plan: u64,
    /// From this offset on the changelog tells what is newer, if that has moved.
    pub offset: Option<i64>,
    /// When the last of them was committed, milliseconds since the epoch.
    pub committed_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: usize,
    /// `None`: the key is gone.
    value: Option<usize>,
}

impl CheckpointBatch {
    /// Appends a record; `value` writes it, and there is none where it is to be removed.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.entries.push(Entry {
            key: key.len(),
            value: value.map(<[u8]>::len),
        });
    }

    /// Key and value of each record in order.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = self.bytes.as_slice();
        self.entries.iter().map(move |entry| {
            let (key, after) = rest.split_at(entry.key);
            let (value, after) = after.split_at(entry.value.unwrap_or(0));
            rest = after;
            (key, entry.value.map(|_| value))
        })
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Are there none?
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

/// Which state a load wants: anything else is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCheckpoint {
    /// The changelog's identity, as [`CheckpointBatch::changelog`].
    pub changelog: String,
    /// The plan's fingerprint.
    pub plan: u64,
    /// Now, milliseconds since the epoch: what was written too long ago may hold customers whose
    /// tombstones the changelog no longer has.
    pub now_ms: i64,
}

/// A task to be loaded, and who takes its records in: see [`Store::load`].
pub struct Load<'a> {
    /// Its number.
    pub task: u32,
    /// Called with every record kept.
    pub each: &'a mut (dyn FnMut(&[u8], &[u8]) -> bool + Send),
}

/// How a task's copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointState {
    /// Ready for what is newer.
    Ready,
    /// The last records given are being written.
    Busy,
    /// There is none: it is to be given everything, with the offset only along with the last of it.
    Empty,
    /// There is none and will be none.
    Off,
}

impl CheckpointState {
    /// May records be given?
    #[must_use]
    pub fn accepts_records(self) -> bool {
        matches!(self, Self::Ready | Self::Empty)
    }
}

/// Local state of the tasks of a worker. It never fails a worker: what goes wrong is logged, counted, and
/// the copy begins anew.
pub trait Store {
    /// Calls `each` with every record kept of a task, and returns the offset from which the changelog goes
    /// on; `None` where there is nothing that may be trusted, and then nothing was called. `each`
    /// returns `false` where a record cannot be used: the copy is then set aside, and the caller starts
    /// over without it.
    fn load(
        &mut self,
        task: u32,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64>;

    /// As [`Store::load`] of each of these, where possible at once; what came of each, in order.
    fn load_all(&mut self, wanted: &ExpectedCheckpoint, loads: Vec<Load<'_>>) -> Vec<Option<i64>> {
        let load = |load: Load<'_>| self.load(load.task, wanted, load.each);
        loads.into_iter().map(load).collect()
    }

    /// How a task's copy stands.
    fn checkpoint_state(&mut self, task: u32) -> CheckpointState;

    /// As [`Store::checkpoint_state`], once what is being written is written, or `patience` has passed.
    fn await_checkpoint(&mut self, task: u32, patience: Duration) -> CheckpointState;

    /// Writes records of a task, all or none, behind the caller's back. Only while the copy is not busy.
    fn write(&mut self, task: u32, records: CheckpointBatch);

    /// The task goes elsewhere: what was given is written, and the copy is left as it is.
    fn release(&mut self, task: u32);

    /// Sets a task's copy aside, for somebody to look into, and begins with an empty one.
    fn set_aside(&mut self, task: u32, reason: &str);

    /// Removes a task's copy, with which nothing is wrong, and begins with an empty one.
    fn remove(&mut self, task: u32);
}

/// No local state: every start reads the changelogs whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn load(
        &mut self,
        _task: u32,
        _wanted: &ExpectedCheckpoint,
        _each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        None
    }

    fn checkpoint_state(&mut self, _task: u32) -> CheckpointState {
        CheckpointState::Off
    }

    fn await_checkpoint(&mut self, _task: u32, _patience: Duration) -> CheckpointState {
        CheckpointState::Off
    }

    fn write(&mut self, _task: u32, _records: CheckpointBatch) {}

    fn release(&mut self, _task: u32) {}

    fn set_aside(&mut self, _task: u32, _reason: &str) {}

    fn remove(&mut self, _task: u32) {}
}
