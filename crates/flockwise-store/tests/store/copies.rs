//! Loads return what was written.

use flockwise_runtime::task_id::TaskId;
use std::fs;
use std::time::Duration;

use flockwise_runtime::store::{CheckpointState, ExpectedCheckpoint, Load, Store};

use crate::support::{Desk, NOW_MS, Records, batch, kept, load, load_as, sample, settled, wanted};

#[test]
fn a_copy_comes_back_as_it_was_written() {
    let desk = Desk::set();
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, TaskId(3)), None);
    assert_eq!(worker.checkpoint_state(TaskId(3)), CheckpointState::Empty);
    let records = sample(3_000, 1);
    worker.write(TaskId(3), kept(&records, Some(40)));
    assert_eq!(settled(&mut worker, TaskId(3)), CheckpointState::Ready);
    // Load it once while it is open, as after an aborted transaction, and once after it is closed.
    assert_eq!(load(&mut worker, TaskId(3)), Some((40, records.clone())));
    worker.release(TaskId(3));
    let mut other = desk.store.handle();
    assert_eq!(load(&mut other, TaskId(3)), Some((40, records)));
    assert_eq!(desk.names(), ["task-3"]);
    assert_eq!(desk.metric("writes_total"), Some(1.0));
    assert_eq!(desk.metric("records_total"), Some(3_000.0));
    assert_eq!(desk.metric("write_seconds_count"), Some(1.0));
    let bytes = desk.file(TaskId(3)).metadata().unwrap().len();
    assert_eq!(desk.metric("bytes{task=\"3\"}"), Some(bytes as f64));
    desk.finish();
    assert_eq!(desk.metric("bytes{task=\"3\"}"), None);
    assert_eq!(desk.metric("failures_total"), Some(0.0));
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}

#[test]
fn later_batches_overwrite_and_remove() {
    let desk = Desk::set();
    let mut records = sample(2_000, 1);
    desk.written(TaskId(0), &records, 10);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let mut changes = batch(None);
    for (number, (key, value)) in records.clone().iter().enumerate() {
        match number % 4 {
            0 => changes.push(key, None),
            1 => changes.push(key, Some(&value[..20])),
            2 => changes.push(key, Some(&value.repeat(3))),
            _ => continue,
        }
        match number % 4 {
            0 => records.remove(key),
            1 => records.insert(key.clone(), value[..20].to_vec()),
            _ => records.insert(key.clone(), value.repeat(3)),
        };
    }
    // If a key has two records, the later one wins. Removing a missing key has no effect.
    changes.push(b"\x01twice", Some(b"first"));
    changes.push(b"\x01twice", Some(b"second"));
    changes.push(b"\x01gone", Some(b"first"));
    changes.push(b"\x01gone", None);
    changes.push(b"\x01never", None);
    records.insert(b"\x01twice".to_vec(), b"second".to_vec());
    worker.write(TaskId(0), changes);
    desk.finish();
    // The batch has no offset, so the previous offset remains.
    assert_eq!(load(&mut worker, TaskId(0)), Some((10, records.clone())));
    worker.write(TaskId(0), batch(Some(25)));
    assert_eq!(load(&mut worker, TaskId(0)), Some((25, records)));
}

#[test]
fn a_file_of_mostly_old_records_is_rewritten() {
    let desk = Desk::set();
    let mut records = sample(6_000, 1);
    desk.written(TaskId(0), &records, 0);
    let first = desk.file(TaskId(0)).metadata().unwrap().len();
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let (mut longest, mut shrinks, mut before) = (0, 0, first);
    for offset in 1..20 {
        let news = sample(2_000, offset as u8);
        records.extend(news.clone());
        worker.write(TaskId(0), kept(&news, Some(offset)));
        settled(&mut worker, TaskId(0));
        let bytes = desk.file(TaskId(0)).metadata().unwrap().len();
        longest = longest.max(bytes);
        shrinks += usize::from(bytes < before);
        before = bytes;
    }
    assert!(
        shrinks > 2 && longest <= first * 3 / 2,
        "{shrinks}, {longest}"
    );
    desk.finish();
    assert_eq!(load(&mut worker, TaskId(0)), Some((19, records)));
    let names = fs::read_dir(desk.app().join("task-0")).unwrap();
    assert_eq!(names.count(), 1, "no file is left over");
}

#[test]
fn a_copy_that_becomes_empty_is_one_still() {
    let desk = Desk::set();
    let records = sample(500, 1);
    desk.written(TaskId(0), &records, 10);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let mut removal = batch(Some(11));
    for key in records.keys() {
        removal.push(key, None);
    }
    worker.write(TaskId(0), removal);
    assert_eq!(load(&mut worker, TaskId(0)), Some((11, Records::new())));
}

#[test]
fn keys_of_any_length_come_back() {
    let desk = Desk::set();
    let lengths = [0, 1, 493, 494, 495, 508, 509, 510, 511, 512, 4_000, 70_000];
    let mut records = Records::new();
    for length in lengths {
        for last in [b'a', b'b'] {
            let mut key = vec![b'k'; length];
            key.extend((length > 0).then_some(last));
            records.insert(key, vec![last; length % 700]);
        }
    }
    desk.written(TaskId(0), &records, 10);
    let mut worker = desk.store.handle();
    assert_eq!(load(&mut worker, TaskId(0)), Some((10, records.clone())));
    let mut removal = batch(Some(11));
    for key in records.keys().filter(|key| key.last() == Some(&b'a')) {
        removal.push(key, None);
    }
    records.retain(|key, _| key.last() != Some(&b'a'));
    worker.write(TaskId(0), removal);
    assert_eq!(load(&mut worker, TaskId(0)), Some((11, records)));
}

#[test]
fn a_copy_without_an_offset_is_not_trusted() {
    let desk = Desk::set();
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let (first, second) = (sample(100, 1), sample(200, 1));
    worker.write(TaskId(0), kept(&first, None));
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Ready);
    // An incomplete checkpoint is removed, not set aside.
    assert_eq!(load(&mut desk.store.handle(), TaskId(0)), None);
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
    load(&mut worker, TaskId(0));
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
    worker.write(TaskId(0), kept(&first, None));
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Ready);
    worker.write(TaskId(0), kept(&second, Some(5)));
    assert_eq!(load(&mut worker, TaskId(0)), Some((5, second)));
    assert_eq!(desk.names(), ["task-0"]);
}

#[test]
fn a_discarded_copy_is_set_aside_and_begun_anew() {
    let desk = Desk::set();
    desk.written(TaskId(4), &sample(300, 1), 10);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(4));
    worker.set_aside(TaskId(4), "tested");
    assert_eq!(settled(&mut worker, TaskId(4)), CheckpointState::Empty);
    assert_eq!(desk.names(), [format!("task-4.aside-{NOW_MS}")]);
    let records = sample(50, 2);
    worker.write(TaskId(4), kept(&records, Some(20)));
    assert_eq!(load(&mut worker, TaskId(4)), Some((20, records)));
    desk.clock.advance(Duration::from_millis(1));
    worker.set_aside(TaskId(4), "tested once more");
    desk.finish();
    assert_eq!(desk.names(), [format!("task-4.aside-{}", NOW_MS + 1)]);
    // There is no checkpoint to set aside.
    worker.set_aside(TaskId(4), "tested a third time");
    desk.finish();
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(2.0));
    assert_eq!(desk.metric("failures_total"), Some(0.0));
}

#[test]
fn a_record_that_cannot_be_used_sets_the_copy_aside() {
    let desk = Desk::set();
    desk.written(TaskId(0), &sample(300, 1), 10);
    let mut worker = desk.store.handle();
    let mut calls = 0;
    let offset = worker.load(TaskId(0), &wanted(), &mut |_, _| {
        calls += 1;
        calls < 7
    });
    assert_eq!((offset, calls), (None, 7));
    assert_eq!(settled(&mut worker, TaskId(0)), CheckpointState::Empty);
    assert_eq!(desk.names(), [format!("task-0.aside-{NOW_MS}")]);
}

#[test]
fn a_copy_of_something_else_is_set_aside() {
    let others = [
        ExpectedCheckpoint {
            changelog: "shop-changelog 2".to_owned(),
            ..wanted()
        },
        ExpectedCheckpoint {
            plan: 8,
            ..wanted()
        },
        ExpectedCheckpoint {
            now_ms: NOW_MS + 12 * 3_600_000 + 1,
            ..wanted()
        },
        ExpectedCheckpoint {
            now_ms: NOW_MS - 12 * 3_600_000 - 1,
            ..wanted()
        },
    ];
    for (count, other) in others.iter().enumerate() {
        let desk = Desk::set();
        desk.written(TaskId(0), &sample(30, 1), 10);
        let mut worker = desk.store.handle();
        assert_eq!(load_as(&mut worker, TaskId(0), other), None, "{count}");
        desk.finish();
        assert_eq!(
            desk.metric("rejected_checkpoints_total"),
            Some(1.0),
            "{count}"
        );
    }
    // A checkpoint of exactly twelve hours is accepted.
    let desk = Desk::set();
    desk.written(TaskId(0), &sample(30, 1), 10);
    let latest = ExpectedCheckpoint {
        now_ms: NOW_MS + 12 * 3_600_000,
        ..wanted()
    };
    assert!(load_as(&mut desk.store.handle(), TaskId(0), &latest).is_some());
}

#[test]
fn the_age_of_a_copy_is_that_of_its_offset() {
    let desk = Desk::set();
    desk.written(TaskId(0), &sample(30, 1), 10);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let later_ms = NOW_MS + 12 * 3_600_000;
    let mut newer = batch(None);
    newer.committed_ms = later_ms;
    worker.write(TaskId(0), newer);
    let later = ExpectedCheckpoint {
        now_ms: later_ms + 1,
        ..wanted()
    };
    assert_eq!(load_as(&mut worker, TaskId(0), &later), None);
}

#[test]
fn a_batch_of_another_changelog_costs_the_copy() {
    let desk = Desk::set();
    desk.written(TaskId(0), &sample(30, 1), 10);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    let mut stray = batch(Some(11));
    stray.changelog = "shop-changelog 2".to_owned();
    worker.write(TaskId(0), stray);
    desk.finish();
    assert_eq!(desk.metric("failures_total"), Some(1.0));
    assert_eq!(load(&mut desk.store.handle(), TaskId(0)), None);
}

#[test]
fn several_copies_come_back_at_once_each_to_its_own() {
    let desk = Desk::set();
    let records = |task: u8| sample(500 + usize::from(task), task);
    // Task 5 has no checkpoint, and the records of task 7 are rejected.
    for task in (0..9).filter(|task| *task != 5) {
        desk.written(TaskId(task.into()), &records(task), task.into());
    }
    let mut found = vec![Records::new(); 9];
    let takers = (0..).zip(&mut found);
    let takers = takers.map(|(task, found)| taking(found, task != 7));
    let mut takers: Vec<_> = takers.collect();
    let loads = (0..).zip(&mut takers);
    let loads = loads
        .map(|(task, each)| Load {
            task: TaskId(task),
            each,
        })
        .collect();
    let offsets = desk.store.handle().load_all(&wanted(), loads);
    drop(takers);
    for (task, (offset, found)) in (0..9).zip(offsets.into_iter().zip(found)) {
        let is_whole = !matches!(task, 5 | 7);
        assert_eq!(offset, is_whole.then_some(i64::from(task)));
        assert!(!is_whole || found == records(task));
    }
}

/// Collects every record, and accepts or rejects it.
fn taking(found: &mut Records, is_of_use: bool) -> impl FnMut(&[u8], &[u8]) -> bool + Send {
    move |key, value| {
        found.insert(key.to_vec(), value.to_vec());
        is_of_use
    }
}

#[test]
fn no_other_user_may_read_a_copy() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::set();
    desk.written(TaskId(0), &sample(10, 1), 1);
    let file = desk.file(TaskId(0));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&desk.app()), 0o700);
}
