//! A damaged checkpoint is either read whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::store::{CheckpointBatch, ExpectedCheckpoint, Store};
use flockwise_runtime::task_id::TaskId;
use flockwise_store::{DiskStore, StoreSettings};
use prometheus::Registry;

const APP: &str = "shop";
const TASK: TaskId = TaskId(0);
const NOW_MS: i64 = 1_800_000_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The offsets of its batches.
const OFFSETS: [i64; 2] = [7, 8];

/// The file of a valid checkpoint.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = start(folder.path());
    let mut handle = store.handle();
    let mut each = |_: &[u8], _: &[u8]| true;
    assert_eq!(handle.load(TASK, &expected(), &mut each), None);
    for offset in OFFSETS {
        let mut batch = CheckpointBatch::default();
        batch.changelog = expected().changelog;
        batch.plan = expected().plan;
        batch.offset = Some(offset);
        batch.committed_ms = NOW_MS;
        for (key, value) in records(offset) {
            batch.push(&key, Some(&value));
        }
        handle.await_checkpoint(TASK, PATIENCE);
        handle.write(TASK, batch);
    }
    handle.await_checkpoint(TASK, PATIENCE);
    drop(handle);
    assert!(store.finish(PATIENCE), "written");
    drop(store);
    fs::read(file(folder.path())).expect("the checkpoint")
});

fn start(folder: &Path) -> DiskStore {
    let mut settings = StoreSettings::new(folder, APP);
    settings.clock = Clock::simulated(NOW_MS);
    DiskStore::start(settings, &Registry::new()).expect("a store")
}

fn expected() -> ExpectedCheckpoint {
    ExpectedCheckpoint {
        changelog: "a changelog".to_owned(),
        plan: 42,
        now_ms: NOW_MS,
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join(APP).join(format!("task-{TASK}/checkpoint.log"))
}

/// The records as of an offset.
fn records(offset: i64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..20_u8)
        .map(|n| (vec![1, n], vec![n ^ offset as u8; usize::from(n) * 300]))
        .collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![FILE.clone()]
}

pub(crate) fn run(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path());
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, bytes).expect("the checkpoint");
    let store = start(folder.path());
    let mut found = BTreeMap::new();
    let mut each = |key: &[u8], value: &[u8]| found.insert(key.to_vec(), value.to_vec()).is_none();
    let offset = store.handle().load(TASK, &expected(), &mut each);
    match offset {
        // Whatever bytes are damaged: what is accepted is what was written.
        Some(offset) => {
            assert!(OFFSETS.contains(&offset), "offset {offset}");
            assert_eq!(found, records(offset));
        }
        None => assert!(found.is_empty(), "nothing of a refused checkpoint is read"),
    }
    offset.is_some()
}
