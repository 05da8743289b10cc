//! Test fixtures: a store in a folder of its own, and batches.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Store};
use flockwise_runtime::task_id::TaskId;
use flockwise_store::{DiskStore, StoreSettings, WorkerStore};
use prometheus::{Registry, TextEncoder};
use tempfile::TempDir;

pub(crate) const APP: &str = "shop";
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;
/// How long to wait for a checkpoint, on a machine that is busy with other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Records by changelog key.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store and its folder.
pub(crate) struct Desk {
    pub(crate) store: DiskStore,
    pub(crate) clock: Clock,
    registry: Registry,
    app: PathBuf,
    /// Removed at the end; `None`: the folder belongs to the caller.
    _folder: Option<TempDir>,
}

impl Desk {
    pub(crate) fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::new(folder.path(), APP);
        Self::with(Some(folder), settings)
    }

    /// A store with these settings. Removes `folder` at the end.
    pub(crate) fn with(folder: Option<TempDir>, mut settings: StoreSettings) -> Self {
        let clock = Clock::simulated(NOW_MS);
        settings.clock = clock.clone();
        let app = settings.directory.join(&settings.app);
        let registry = Registry::new();
        Self {
            store: DiskStore::start(settings, &registry).unwrap(),
            clock,
            registry,
            app,
            _folder: folder,
        }
    }

    /// A task's file.
    pub(crate) fn file(&self, task: TaskId) -> PathBuf {
        self.app().join(format!("task-{task}/checkpoint.log"))
    }

    pub(crate) fn app(&self) -> PathBuf {
        self.app.clone()
    }

    /// Sorted names of the entries in the app's folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.app()) else {
            return Vec::new();
        };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// Waits until all batches are written and all checkpoints are closed.
    pub(crate) fn finish(&self) {
        assert!(self.store.finish(PATIENCE));
    }

    /// The value of a series; `None` if there is no such series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        let text = text.unwrap();
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let (_, value) = lines.find(|(name, _)| *name == format!("flockwise_store_{series}"))?;
        Some(value.parse().unwrap())
    }

    /// Writes a task's checkpoint with these records and this offset, and closes it.
    pub(crate) fn written(&self, task: TaskId, records: &Records, offset: i64) {
        let mut worker = self.store.handle();
        load(&mut worker, task);
        worker.write(task, kept(records, Some(offset)));
        worker.release(task);
        self.finish();
    }
}

pub(crate) fn wanted() -> ExpectedCheckpoint {
    ExpectedCheckpoint {
        changelog: "shop-changelog 1".to_owned(),
        plan: 7,
        now_ms: NOW_MS,
    }
}

pub(crate) fn batch(offset: Option<i64>) -> CheckpointBatch {
    let ExpectedCheckpoint {
        changelog, plan, ..
    } = wanted();
    let mut kept = CheckpointBatch::default();
    (kept.changelog, kept.plan) = (changelog, plan);
    (kept.offset, kept.committed_ms) = (offset, NOW_MS);
    kept
}

pub(crate) fn kept(records: &Records, offset: Option<i64>) -> CheckpointBatch {
    let mut kept = batch(offset);
    for (key, value) in records {
        kept.push(key, Some(value));
    }
    kept
}

/// Loads a task's checkpoint: its offset and records, or `None`.
pub(crate) fn load(worker: &mut WorkerStore, task: TaskId) -> Option<(i64, Records)> {
    load_as(worker, task, &wanted())
}

pub(crate) fn load_as(
    worker: &mut WorkerStore,
    task: TaskId,
    wanted: &ExpectedCheckpoint,
) -> Option<(i64, Records)> {
    let mut records = Records::new();
    let offset = worker.load(task, wanted, &mut |key, value| {
        let former = records.insert(key.to_vec(), value.to_vec());
        assert_eq!(former, None, "no key comes twice");
        true
    });
    if offset.is_none() {
        assert!(
            records.is_empty(),
            "an unusable checkpoint passes no record on"
        );
    }
    Some((offset?, records))
}

/// Waits until the task's checkpoint is no longer busy, and returns its state.
pub(crate) fn settled(worker: &mut WorkerStore, task: TaskId) -> CheckpointState {
    let start = std::time::Instant::now();
    loop {
        match worker.checkpoint_state(task) {
            CheckpointState::Busy if start.elapsed() < PATIENCE => std::thread::yield_now(),
            copy => return copy,
        }
    }
}

/// Records of various sizes.
pub(crate) fn sample(count: usize, fill: u8) -> Records {
    let record = |number: usize| {
        let bytes = if number.is_multiple_of(50) {
            9_000
        } else {
            40 + number % 300
        };
        let key = format!("\u{1}customer-{:06}", number * 7_919 % 1_000_003);
        (
            key.into_bytes(),
            vec![fill.wrapping_add(number as u8); bytes],
        )
    };
    (0..count).map(record).collect()
}
