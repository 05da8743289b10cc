//! Tasks move between the workers of a process.

use flockwise_runtime::task_id::TaskId;
use std::thread;

use flockwise_runtime::store::{CheckpointState, Store};

use crate::support::{Desk, batch, kept, load, sample, settled};

#[test]
fn a_task_is_handed_over_with_all_that_was_given() {
    let desk = Desk::set();
    let mut workers = [desk.store.handle(), desk.store.handle()];
    load(&mut workers[0], TaskId(0));
    let mut records = sample(0, 0);
    for round in 0..20 {
        let (giver, taker) = (round % 2, (round + 1) % 2);
        let news = sample(100 + round * 37, round as u8);
        records.extend(news.clone());
        settled(&mut workers[giver], TaskId(0));
        workers[giver].write(TaskId(0), kept(&news, Some(round as i64)));
        workers[giver].release(TaskId(0));
        // Load at once, while the writer is still busy.
        let loaded = load(&mut workers[taker], TaskId(0));
        assert_eq!(loaded, Some((round as i64, records.clone())));
    }
}

#[test]
fn what_comes_from_a_former_owner_is_dropped() {
    let desk = Desk::set();
    let (mut former, mut latter) = (desk.store.handle(), desk.store.handle());
    load(&mut former, TaskId(0));
    let records = sample(100, 1);
    former.write(TaskId(0), kept(&records, Some(1)));
    // The former owner did not release the task and does not know yet that it has moved.
    assert_eq!(load(&mut latter, TaskId(0)), Some((1, records.clone())));
    assert_eq!(former.checkpoint_state(TaskId(0)), CheckpointState::Off);
    former.write(TaskId(0), kept(&sample(100, 9), None));
    former.set_aside(TaskId(0), "tested");
    former.release(TaskId(0));
    assert_eq!(settled(&mut latter, TaskId(0)), CheckpointState::Ready);
    latter.write(TaskId(0), batch(Some(2)));
    assert_eq!(load(&mut former, TaskId(0)), Some((2, records)));
    assert_eq!(desk.metric("rejected_checkpoints_total"), Some(0.0));
}

/// A fatal error ends a worker before it can release anything, and a standby needs no load.
#[test]
fn what_a_shard_that_ended_had_is_written_by_one_that_comes_by_way_of_a_standby() {
    let desk = Desk::set();
    let mut former = desk.store.handle();
    load(&mut former, TaskId(0));
    former.write(TaskId(0), kept(&sample(100, 1), Some(1)));
    drop(former);
    let mut latter = desk.store.handle();
    latter.remove(TaskId(0));
    assert_eq!(settled(&mut latter, TaskId(0)), CheckpointState::Empty);
    let records = sample(50, 2);
    latter.write(TaskId(0), kept(&records, Some(7)));
    assert_eq!(settled(&mut latter, TaskId(0)), CheckpointState::Ready);
    assert_eq!(load(&mut latter, TaskId(0)), Some((7, records)));
}

#[test]
fn a_shard_that_ends_leaves_what_another_has_taken_over() {
    let desk = Desk::set();
    let (mut former, mut latter) = (desk.store.handle(), desk.store.handle());
    load(&mut former, TaskId(0));
    load(&mut latter, TaskId(0));
    drop(former);
    assert_eq!(settled(&mut latter, TaskId(0)), CheckpointState::Empty);
}

#[test]
fn what_is_nobodys_takes_nothing() {
    let desk = Desk::set();
    let mut worker = desk.store.handle();
    assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Off);
    load(&mut worker, TaskId(0));
    assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Empty);
    worker.release(TaskId(0));
    assert_eq!(worker.checkpoint_state(TaskId(0)), CheckpointState::Off);
    // A batch that is written anyway is discarded.
    worker.write(TaskId(0), kept(&sample(10, 1), Some(1)));
    desk.finish();
    assert_eq!(desk.metric("writes_total"), Some(0.0));
}

#[test]
fn a_batch_that_was_not_asked_for_costs_the_copy_and_no_more() {
    let desk = Desk::set();
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    worker.write(TaskId(0), kept(&sample(2_000, 1), Some(1)));
    worker.write(TaskId(0), kept(&sample(10, 2), Some(2)));
    let (loaded, copy) = (
        load(&mut worker, TaskId(0)),
        settled(&mut worker, TaskId(0)),
    );
    // The writer may have finished the first batch before the second came.
    if let Some((offset, records)) = loaded {
        assert_eq!(
            (offset, records.len(), copy),
            (2, 2_000, CheckpointState::Ready)
        );
    } else {
        assert_eq!(copy, CheckpointState::Empty);
    }
}

#[test]
fn many_tasks_of_many_shards_share_one_writer() {
    let desk = Desk::set();
    thread::scope(|scope| {
        for number in 0..4_u32 {
            let mut worker = desk.store.handle();
            scope.spawn(move || {
                let tasks = [number, number + 4, number + 8];
                for round in 0..5 {
                    for task in tasks {
                        let loaded = load(&mut worker, TaskId(task)).map(|(offset, _)| offset);
                        assert_eq!(loaded, (round > 0).then(|| round - 1));
                        worker.write(TaskId(task), kept(&sample(200, task as u8), Some(round)));
                        worker.release(TaskId(task));
                    }
                }
            });
        }
    });
    desk.finish();
    assert_eq!(desk.metric("writes_total"), Some(60.0));
    assert_eq!(desk.metric("failures_total"), Some(0.0));
}

#[test]
fn a_store_that_was_finished_may_be_used_on() {
    let desk = Desk::set();
    let records = sample(500, 1);
    let mut worker = desk.store.handle();
    load(&mut worker, TaskId(0));
    worker.write(TaskId(0), kept(&records, Some(1)));
    desk.finish();
    assert!(desk.file(TaskId(0)).exists());
    worker.write(TaskId(0), batch(Some(2)));
    assert_eq!(load(&mut worker, TaskId(0)), Some((2, records)));
}
