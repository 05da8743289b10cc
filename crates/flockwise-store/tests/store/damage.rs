//! Damaged files: each is rejected, or returns exactly what was written.

use flockwise_runtime::task_id::TaskId;
use std::fs;
use std::path::Path;

use flockwise_runtime::store::{CheckpointState, Store};
use flockwise_store::StoreSettings;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Desk, NOW_MS, Records, batch, kept, load, sample, settled};

/// A file after several batches, and its records after the last batch and after the one before.
#[derive(Default)]
struct Lived {
    bytes: Vec<u8>,
    /// Where the batch before the last one ends.
    confirmed: usize,
    states: [(i64, Records); 2],
}

/// Few and short records, so that a test may change every byte.
fn few() -> Records {
    let mut records = sample(5, 1);
    records.retain(|_, value| value.len() < 1_000);
    records
}

/// Five batches, the first with these records.
fn lived(mut records: Records) -> Lived {
    let desk = Desk::set();
    desk.written(TaskId(0), &records, 1);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let (mut former, mut confirmed) = (records.clone(), 0);
    for offset in 2..6 {
        former.clone_from(&records);
        confirmed = fs::read(desk.file(TaskId(0))).unwrap().len();
        let mut news = batch(Some(offset));
        for (number, key) in former.keys().enumerate() {
            match (number + offset as usize) % 9 {
                0 => {
                    news.push(key, None);
                    records.remove(key);
                }
                1 => {
                    let value = vec![offset as u8; 30 * offset as usize];
                    news.push(key, Some(&value));
                    records.insert(key.clone(), value);
                }
                _ => {}
            }
        }
        worker.write(TaskId(0), news);
        settled(&mut worker, TaskId(0));
    }
    desk.finish();
    let bytes = fs::read(desk.file(TaskId(0))).unwrap();
    let states = [(4, former), (5, records)];
    Lived {
        bytes,
        confirmed,
        states,
    }
}

/// Puts a file in place of a checkpoint and loads it. Returns the offset if it was accepted, and checks that it is
/// then correct.
fn taken(desk: &Desk, bytes: &[u8], lived: &Lived) -> Option<i64> {
    let file = desk.file(TaskId(0));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes).unwrap();
    let mut worker = desk.store.handle();
    let Some((offset, mut records)) = load(&mut worker, TaskId(0)) else {
        assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
        return None;
    };
    assert!(
        lived.states.contains(&(offset, records.clone())),
        "offset {offset}"
    );
    // The next batch continues an accepted file.
    let next = offset + 10;
    let mut changes = batch(Some(next));
    let removed: Vec<_> = records.keys().step_by(5).cloned().collect();
    for key in removed {
        changes.push(&key, None);
        records.remove(&key);
    }
    changes.push(b"\x01new", Some(b"value"));
    records.insert(b"\x01new".to_vec(), b"value".to_vec());
    worker.write(TaskId(0), changes);
    worker.release(TaskId(0));
    assert_eq!(load(&mut worker, TaskId(0)), Some((next, records)));
    assert_eq!(desk.metric("failures_total"), Some(0.0));
    worker.release(TaskId(0));
    desk.finish();
    Some(offset)
}

#[test]
fn no_wrong_bytes_are_taken_for_right() {
    let lived = lived(sample(1_500, 1));
    assert_eq!(taken(&Desk::set(), &lived.bytes, &lived), Some(5));
    let strategy = vec((any::<Index>(), 1..=255_u8), 1..4);
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(changes in strategy)| {
        let mut bytes = lived.bytes.clone();
        for (at, by) in changes {
            bytes[at.index(lived.bytes.len())] ^= by;
        }
        if bytes != lived.bytes {
            let is_tail = bytes[..lived.confirmed] == lived.bytes[..lived.confirmed];
            assert_eq!(taken(&Desk::set(), &bytes, &lived), is_tail.then_some(4));
        }
    });
}

#[test]
fn a_flipped_byte_anywhere_costs_the_last_batch_or_the_copy() {
    let (lived, desk) = (lived(few()), Desk::set());
    for at in 0..lived.bytes.len() {
        let mut bytes = lived.bytes.clone();
        bytes[at] ^= 0x01;
        let expected = (at >= lived.confirmed).then_some(4);
        assert_eq!(taken(&desk, &bytes, &lived), expected, "byte {at}");
    }
}

#[test]
fn a_file_cut_within_its_last_batch_is_an_older_copy() {
    let (lived, desk) = (lived(few()), Desk::set());
    for cut in 0..lived.bytes.len() {
        let expected = (cut >= lived.confirmed).then_some(4);
        let bytes = &lived.bytes[..cut];
        assert_eq!(taken(&desk, bytes, &lived), expected, "{cut} bytes");
        // Zeros stand for a write of which the disk has only the length.
        let mut grown = bytes.to_vec();
        grown.resize(lived.bytes.len(), 0);
        if grown != lived.bytes {
            // The bytes that were cut off may have been zeros.
            let is_tail = grown[..lived.confirmed] == lived.bytes[..lived.confirmed];
            let expected = is_tail.then_some(4);
            assert_eq!(taken(&desk, &grown, &lived), expected, "{cut} bytes");
        }
    }
}

#[test]
fn a_repeated_batch_is_no_batch() {
    let (lived, desk) = (lived(sample(50, 1)), Desk::set());
    let mut bytes = lived.bytes.clone();
    bytes.extend_from_slice(&lived.bytes[lived.confirmed..]);
    assert_eq!(taken(&desk, &bytes, &lived), Some(5));
}

#[test]
fn a_copy_of_an_earlier_version_is_removed() {
    let desk = Desk::set();
    let folder = desk.app().join("task-0");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data.mdb"), "an LMDB file").unwrap();
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, TaskId(0)), None);
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
    assert_eq!(desk.names(), [""; 0]);
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}

/// If this fails, the format has changed: give it a new version.
#[test]
fn the_format_is_the_golden_file() {
    let desk = Desk::set();
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(3));
    let mut first = batch(None);
    first.push(b"\x01ada", Some(b"one"));
    first.push(b"\x01bob", Some(b""));
    worker.write(TaskId(3), first);
    settled(&mut worker, TaskId(3));
    let mut second = batch(Some(42));
    second.push(b"\x01bob", None);
    second.push(b"\x01ada", Some(b"two"));
    worker.write(TaskId(3), second);
    desk.finish();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/checkpoint-2.log");
    let written = fs::read(desk.file(TaskId(3))).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &written).unwrap();
    }
    assert_eq!(written, fs::read(&golden).unwrap());
    let expected = Records::from([(b"\x01ada".to_vec(), b"two".to_vec())]);
    assert_eq!(load(&mut worker, TaskId(3)), Some((42, expected)));
}

#[test]
fn foreign_files_are_set_aside() {
    let foreign: [(&str, &[u8]); 4] = [
        ("text", b"not a checkpoint"),
        ("zeros", &[0; 20_000]),
        ("ones", &[255; 20_000]),
        ("an own file", include_bytes!("damage.rs")),
    ];
    for (name, bytes) in foreign {
        let desk = Desk::set();
        assert_eq!(taken(&desk, bytes, &Lived::default()), None, "{name}");
        assert_eq!(
            desk.metric("rejected_checkpoints_total"),
            Some(1.0),
            "{name}"
        );
        let aside = desk
            .app()
            .join(format!("task-0.aside-{NOW_MS}/checkpoint.log"));
        assert_eq!(fs::read(aside).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_copy_of_another_task_or_app_is_set_aside() {
    let desk = Desk::set();
    desk.written(TaskId(1), &sample(50, 1), 4);
    fs::rename(desk.app().join("task-1"), desk.app().join("task-2")).unwrap();
    assert_eq!(load(&mut desk.store.handle(), TaskId(2)), None);
    desk.finish();
    assert_eq!(desk.names(), [format!("task-2.aside-{NOW_MS}")]);
    let folder = tempfile::tempdir().unwrap();
    desk.written(TaskId(1), &sample(50, 1), 4);
    fs::create_dir(folder.path().join("shoe")).unwrap();
    fs::rename(desk.app().join("task-1"), folder.path().join("shoe/task-1")).unwrap();
    let settings = StoreSettings::new(folder.path(), "shoe");
    let shoe = Desk::with(Some(folder), settings);
    assert_eq!(load(&mut shoe.store.handle(), TaskId(1)), None);
    shoe.finish();
    assert_eq!(shoe.metric("rejected_checkpoints_total"), Some(1.0));
}

#[test]
fn what_is_no_folder_or_no_file_is_set_aside() {
    let makings: [fn(&Path); 3] = [
        |folder| fs::write(folder, "a file in the folder's place").unwrap(),
        |folder| fs::create_dir_all(folder.join("checkpoint.log/deep")).unwrap(),
        |folder| {
            fs::create_dir(folder).unwrap();
            let made = std::process::Command::new("mkfifo")
                .arg(folder.join("checkpoint.log"))
                .status();
            assert!(made.unwrap().success());
        },
    ];
    for make in makings {
        let desk = Desk::set();
        fs::create_dir(desk.app()).unwrap();
        make(&desk.app().join("task-0"));
        let mut worker = desk.store.handle();
        assert_eq!(load(&mut worker, TaskId(0)), None);
        assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
        assert_eq!(desk.metric("rejected_checkpoints_total"), Some(1.0));
        let records = sample(10, 1);
        worker.write(TaskId(0), kept(&records, Some(1)));
        assert_eq!(load(&mut worker, TaskId(0)), Some((1, records)));
    }
}

#[test]
fn a_folder_without_a_file_is_no_copy() {
    let desk = Desk::set();
    fs::create_dir_all(desk.app().join("task-0")).unwrap();
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, TaskId(0)), None);
    assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Empty);
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}
