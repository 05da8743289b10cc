//! A process that is killed while it writes leaves a complete batch and loses no confirmed one.

use flockwise_runtime::task_id::TaskId;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flockwise_runtime::store::{CheckpointState, Store};
use flockwise_store::StoreSettings;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{APP, Desk, Records, kept, load, settled};

/// Tells the child process where to write.
const FOLDER: &str = "FLOCKWISE_TEST_FOLDER";
const SEED: u64 = 11;

/// All records of the checkpoint at an offset.
fn generation(offset: i64) -> Records {
    let count = 300 + offset % 7 * 40;
    let record = |number: i64| {
        let bytes = 30 + (offset * 13 + number * 7) % 400;
        let value = [
            offset.to_le_bytes().as_slice(),
            &vec![number as u8; bytes as usize],
        ]
        .concat();
        (format!("\u{1}customer-{number:05}").into_bytes(), value)
    };
    (0..count).map(record).collect()
}

#[test]
fn a_killed_process_leaves_a_whole_batch() {
    eprintln!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let settings = StoreSettings::new(folder.path(), APP);
    let desk = Desk::with(Some(folder), settings);
    let mut former = -1;
    for round in 0..15 {
        let mut child = writer(&path);
        // Keep the pipe open until the end, or the child fails to print.
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let confirmed = confirmed(&mut said, random.random_range(1..20));
        // Kill anywhere within a batch: a batch takes a few times as long as the longest of these waits.
        for _ in 0..random.random_range(0..2_000_000_u32) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (offset, records) = load(&mut desk.store.handle(), TaskId(0)).expect("a checkpoint");
        assert!(offset >= confirmed && confirmed > former, "round {round}");
        assert!(
            records == generation(offset),
            "round {round}, offset {offset}"
        );
        former = offset;
    }
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}

fn writer(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "killed::writes_until_it_is_killed"])
        .args(["--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits for this many batches and returns the offset of the last.
fn confirmed(said: impl BufRead, batches: usize) -> i64 {
    let offsets = said
        .lines()
        .filter_map(|line| line.unwrap().strip_prefix("written ")?.parse().ok());
    offsets.take(batches).last().expect("a batch")
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let settings = StoreSettings::new(folder, APP);
    let desk = Desk::with(None, settings);
    let mut worker = desk.store.handle();
    let loaded = load(&mut worker, TaskId(0));
    let (former, mut records) = loaded.unwrap_or((-1, Records::new()));
    for offset in former + 1.. {
        let next = generation(offset);
        let mut batch = kept(&next, Some(offset));
        for key in records.keys().filter(|key| !next.contains_key(*key)) {
            batch.push(key, None);
        }
        records = next;
        worker.write(TaskId(0), batch);
        assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Ready);
        println!("written {offset}");
    }
}
